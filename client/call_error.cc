#include "client/call_error.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "client/printable.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace hmar {
namespace {

constexpr size_t kMaxDetailsBytes = size_t{64} << 10;
constexpr int kMaxDetails = 16;  // google.rpc knows a dozen kinds.
constexpr int kMaxViolations = 100;
constexpr size_t kMaxReasonBytes = 63;  // As google.rpc.ErrorInfo has it.
constexpr absl::Duration kMaxRetryDelay = absl::Hours(1);

template <typename Detail>
std::string TypeUrl() {
  return absl::StrCat("type.googleapis.com/", Detail::descriptor()->full_name());
}

// The detail of this type that a status carries, if any.
template <typename Detail>
std::optional<Detail> FindDetail(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(TypeUrl<Detail>());
  Detail detail;
  if (!payload.has_value() || !detail.ParseFromString(std::string(*payload))) return std::nullopt;
  return detail;
}

// One line for each thing the details tell, indented.
std::string DetailLines(const absl::Status& status) {
  std::string lines;
  if (const auto bad = FindDetail<google::rpc::BadRequest>(status)) {
    const int shown = std::min(bad->field_violations_size(), kMaxViolations);
    for (int i = 0; i < shown; ++i) {
      const auto& violation = bad->field_violations(i);
      absl::StrAppend(&lines, "\n  ", Printable(violation.field()), ": ",
                      Printable(violation.description()));
    }
    if (const int more = bad->field_violations_size() - shown; more > 0) {
      absl::StrAppend(&lines, "\n  and ", more, " more");
    }
  }
  if (const auto resource = FindDetail<google::rpc::ResourceInfo>(status)) {
    absl::StrAppend(&lines, "\n  ", Printable(resource->resource_type()), " '",
                    Printable(resource->resource_name()), "'");
    if (!resource->description().empty()) {
      absl::StrAppend(&lines, ": ", Printable(resource->description()));
    }
  }
  if (const auto delay = RetryDelay(status)) {
    absl::StrAppend(&lines, "\n  retry in ", absl::FormatDuration(*delay));
  }
  return lines;
}

bool IsReason(const std::string& text) {
  return text.size() <= kMaxReasonBytes && std::all_of(text.begin(), text.end(), [](char c) {
           const auto byte = static_cast<unsigned char>(c);
           return absl::ascii_isupper(byte) || absl::ascii_isdigit(byte) || c == '_';
         });
}

}  // namespace

absl::Status StatusFromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  // absl's codes are gRPC's, number for number.
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  const std::string message = Printable(status.error_message());
  absl::Status bare(code, message);
  google::rpc::Status details;
  if (status.error_details().size() > kMaxDetailsBytes ||
      !details.ParseFromString(status.error_details())) {
    return bare;
  }
  for (int i = 0; i < std::min(details.details_size(), kMaxDetails); ++i) {
    bare.SetPayload(details.details(i).type_url(), absl::Cord(details.details(i).value()));
  }
  const std::string reason = ErrorReason(bare);
  absl::Status result(code,
                      absl::StrCat(message, reason.empty() ? "" : absl::StrCat(" [", reason, "]"),
                                   DetailLines(bare)));
  bare.ForEachPayload([&result](absl::string_view type_url, const absl::Cord& payload) {
    result.SetPayload(type_url, payload);
  });
  return result;
}

std::string ErrorReason(const absl::Status& status) {
  const auto info = FindDetail<google::rpc::ErrorInfo>(status);
  return info.has_value() && IsReason(info->reason()) ? info->reason() : "";
}

std::optional<absl::Duration> RetryDelay(const absl::Status& status) {
  const auto retry = FindDetail<google::rpc::RetryInfo>(status);
  if (!retry.has_value()) return std::nullopt;
  const absl::Duration delay = absl::Seconds(retry->retry_delay().seconds()) +
                               absl::Nanoseconds(retry->retry_delay().nanos());
  return std::clamp(delay, absl::ZeroDuration(), kMaxRetryDelay);
}

}  // namespace hmar
