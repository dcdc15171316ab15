#include "client/call_error.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace hmar {
namespace {

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
    for (const auto& violation : bad->field_violations()) {
      absl::StrAppend(&lines, "\n  ", violation.field(), ": ", violation.description());
    }
  }
  if (const auto resource = FindDetail<google::rpc::ResourceInfo>(status)) {
    absl::StrAppend(&lines, "\n  ", resource->resource_type(), " '", resource->resource_name(),
                    "'");
    if (!resource->description().empty()) absl::StrAppend(&lines, ": ", resource->description());
  }
  if (const auto delay = RetryDelay(status)) {
    absl::StrAppend(&lines, "\n  retry in ", absl::FormatDuration(*delay));
  }
  return lines;
}

}  // namespace

absl::Status StatusFromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  // absl's codes are gRPC's, number for number.
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  absl::Status bare(code, status.error_message());
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details())) return bare;
  for (const auto& detail : details.details()) {
    bare.SetPayload(detail.type_url(), absl::Cord(detail.value()));
  }
  const std::string reason = ErrorReason(bare);
  absl::Status result(
      code, absl::StrCat(status.error_message(),
                         reason.empty() ? "" : absl::StrCat(" [", reason, "]"), DetailLines(bare)));
  bare.ForEachPayload([&result](absl::string_view type_url, const absl::Cord& payload) {
    result.SetPayload(type_url, payload);
  });
  return result;
}

std::string ErrorReason(const absl::Status& status) {
  const auto info = FindDetail<google::rpc::ErrorInfo>(status);
  return info.has_value() ? info->reason() : "";
}

std::optional<absl::Duration> RetryDelay(const absl::Status& status) {
  const auto retry = FindDetail<google::rpc::RetryInfo>(status);
  if (!retry.has_value()) return std::nullopt;
  return absl::Seconds(retry->retry_delay().seconds()) +
         absl::Nanoseconds(retry->retry_delay().nanos());
}

}  // namespace hmar
