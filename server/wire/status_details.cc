#include "server/wire/status_details.h"

#include <google/rpc/error_details.pb.h>
#include <grpcpp/support/error_details.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace hmar {
namespace {

constexpr size_t kMaxQuotedBytes = 64;
constexpr size_t kMaxMessageBytes = 600;
constexpr size_t kMaxDescriptionBytes = 400;
constexpr size_t kMaxFieldBytes = 128;
// Sent as base64, a third longer, beside the message: together under 8 KB.
constexpr size_t kMaxBadRequestBytes = 3500;

constexpr absl::Duration kDefaultRetryDelay = absl::Seconds(1);

constexpr char kTypePrefix[] = "type.googleapis.com/";

// Any text as printable ASCII of at most `max_bytes`.
std::string Printable(absl::string_view text, size_t max_bytes) {
  std::string printable;
  for (const char c : text) {
    const std::string piece =
        c >= ' ' && c <= '~'
            ? std::string(1, c)
            : absl::StrCat("\\x", absl::Hex(static_cast<uint8_t>(c), absl::kZeroPad2));
    if (printable.size() + piece.size() > max_bytes - 3) return printable + "...";
    printable += piece;
  }
  return printable;
}

template <typename Detail>
std::string TypeUrl() {
  return kTypePrefix + Detail::descriptor()->full_name();
}

template <typename Detail>
void Attach(const Detail& detail, absl::Status* status) {
  status->SetPayload(TypeUrl<Detail>(), absl::Cord(detail.SerializeAsString()));
}

template <typename Detail>
bool Attached(const absl::Status& status, Detail* detail) {
  const auto payload = status.GetPayload(TypeUrl<Detail>());
  return payload.has_value() && detail->ParseFromString(std::string(*payload));
}

google::rpc::RetryInfo RetryInfoOf(absl::Duration delay) {
  delay = std::clamp(delay, absl::Milliseconds(100), absl::Minutes(5));
  const int64_t milliseconds = absl::ToInt64Milliseconds(delay);
  google::rpc::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(milliseconds / 1000);
  info.mutable_retry_delay()->set_nanos(static_cast<int32_t>(milliseconds % 1000) * 1'000'000);
  return info;
}

bool MayRetry(absl::StatusCode code) {
  return code == absl::StatusCode::kResourceExhausted || code == absl::StatusCode::kUnavailable;
}

}  // namespace

std::string Quoted(absl::string_view value) {
  const std::string head = absl::CHexEscape(value.substr(0, kMaxQuotedBytes));
  if (value.size() <= kMaxQuotedBytes) return absl::StrCat("\"", head, "\"");
  return absl::StrCat("\"", head, "...\" (", value.size(), " bytes)");
}

absl::Status InvalidRequest(const std::vector<Violation>& violations, size_t more) {
  google::rpc::BadRequest bad_request;
  for (const Violation& violation : violations) {
    auto* entry = bad_request.add_field_violations();
    entry->set_field(Printable(violation.field, kMaxFieldBytes));
    entry->set_description(Printable(violation.description, kMaxDescriptionBytes));
    entry->set_reason(RowOf(violation.reason).name);
    if (bad_request.ByteSizeLong() > kMaxBadRequestBytes) {
      bad_request.mutable_field_violations()->RemoveLast();
      break;
    }
  }
  const Violation& first = violations.front();
  std::string message = absl::StrCat(first.field, ": ", first.description);
  if (const size_t count = violations.size() + more; count > 1) {
    message = absl::StrCat(count, " fields are invalid; the first is ", message);
  }
  absl::Status status = ErrorOf(first.reason, message);
  Attach(bad_request, &status);
  return status;
}

absl::Status ModelNotFound(absl::string_view name, const std::vector<std::string>& known) {
  absl::Status status = ErrorOf(Reason::kModelNotFound,
                                absl::StrCat("model: no model named ", Quoted(name),
                                             "; this server holds ", absl::StrJoin(known, ", ")));
  google::rpc::ResourceInfo info;
  info.set_resource_type("hmar.v1.Model");
  info.set_resource_name(Printable(name, kMaxFieldBytes));
  info.set_description("No such model on this server");
  Attach(info, &status);
  return status;
}

google::rpc::Status ToRpcStatus(const absl::Status& status, absl::string_view request_id) {
  google::rpc::Status details;
  if (status.ok()) return details;
  const ReasonRow& row = RowOf(ReasonOf(status));
  google::rpc::ErrorInfo error_info;
  error_info.set_domain(kErrorDomain);
  error_info.set_reason(row.name);
  if (!request_id.empty()) {
    (*error_info.mutable_metadata())["request_id"] = std::string(request_id);
  }
  details.set_code(static_cast<int>(row.code));
  details.set_message(Printable(status.message(), kMaxMessageBytes));
  details.add_details()->PackFrom(error_info);
  if (google::rpc::BadRequest bad_request; Attached(status, &bad_request)) {
    details.add_details()->PackFrom(bad_request);
  }
  if (google::rpc::ResourceInfo resource; Attached(status, &resource)) {
    details.add_details()->PackFrom(resource);
  }
  if (const std::optional<std::string> subject = QuotaOf(status)) {
    google::rpc::QuotaFailure quota;
    auto* violation = quota.add_violations();
    violation->set_subject(*subject);
    violation->set_description(details.message());
    details.add_details()->PackFrom(quota);
  }
  if (MayRetry(row.code)) {
    const absl::Duration delay = RetryDelayOf(status).value_or(kDefaultRetryDelay);
    details.add_details()->PackFrom(RetryInfoOf(delay));
  }
  return details;
}

grpc::Status ToGrpcStatus(const absl::Status& status, absl::string_view request_id) {
  if (status.ok()) return grpc::Status::OK;
  grpc::Status result;
  grpc::SetErrorDetails(ToRpcStatus(status, request_id), &result);
  return result;
}

}  // namespace hmar
