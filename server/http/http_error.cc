#include "server/http/http_error.h"

#include <google/rpc/error_details.pb.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "server/base/error_reasons.h"
#include "server/base/errors.h"
#include "server/wire/status_details.h"

namespace hmar {
namespace {

using Json = nlohmann::ordered_json;

int HttpStatusOf(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kInvalidArgument:
      return 400;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kResourceExhausted:
      return 429;
    case absl::StatusCode::kCancelled:
      return 499;  // Nobody listens any more; the number is nginx's.
    case absl::StatusCode::kUnavailable:
      return 503;
    case absl::StatusCode::kDeadlineExceeded:
      return 504;
    default:
      return 500;
  }
}

const char* TypeOf(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 429:
      return "rate_limit_error";
    default:
      return status < 500 ? "invalid_request_error" : "server_error";
  }
}

// As the status details have it, whose messages start with the path of a field.
std::string InHttpTerms(std::string message, absl::string_view path, absl::string_view field) {
  const size_t at = message.find(absl::StrCat(path, ": "));
  if (at != std::string::npos) message.replace(at, path.size(), field.data(), field.size());
  return message;
}

Reason ReasonOf(const HttpFault& fault) {
  return fault.status == 408 ? Reason::kDeadlineExceeded : Reason::kMessageInvalid;
}

template <typename Detail>
bool Find(const google::rpc::Status& details, Detail* detail) {
  return std::any_of(details.details().begin(), details.details().end(),
                     [&](const auto& any) { return any.UnpackTo(detail); });
}

Json Shape(int status, const std::string& message, const char* reason,
           absl::string_view request_id) {
  Json error = {{"message", message},
                {"type", TypeOf(status)},
                {"param", nullptr},
                {"code", reason},
                {"reason", reason}};
  if (!request_id.empty()) error["request_id"] = std::string(request_id);
  return error;
}

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::string HttpFieldOf(absl::string_view path, absl::string_view class_field) {
  absl::ConsumePrefix(&path, "request.");
  if (path == "class_id" || path == "class_name") return std::string(class_field);
  constexpr std::array<std::array<absl::string_view, 2>, 6> kNames = {{
      {"num_images", "n"},
      {"output.format", "output_format"},
      {"output.quality", "output_compression"},
      {"output.receipt_in_png", "embed_receipt"},
      {"previews.mode", "previews"},
      {"edit.region", "mask"},
  }};
  for (const auto& [proto, http] : kNames) {
    if (path == proto) return std::string(http);
  }
  std::string field = absl::StrReplaceAll(path, {{"sampling.mask_schedule.scales", "mask_schedule"},
                                                 {"sampling.", ""},
                                                 {"previews.scales", "preview_scales"},
                                                 {"prefix.tokens", "prefix"},
                                                 {"].tokens", "]"},
                                                 {"output.", ""},
                                                 {"scheduling.", ""}});
  return std::string(absl::StripPrefix(field, "edit."));
}

HttpError ErrorOfStatus(const absl::Status& status, absl::string_view request_id,
                        absl::string_view class_field) {
  const google::rpc::Status details = ToRpcStatus(status, request_id);
  HttpError error;
  error.status = HttpStatusOf(static_cast<absl::StatusCode>(details.code()));
  Json json = Shape(error.status, details.message(), RowOf(ReasonOf(status)).name, request_id);
  if (google::rpc::BadRequest bad_request; Find(details, &bad_request)) {
    for (const auto& violation : bad_request.field_violations()) {
      const std::string field = HttpFieldOf(violation.field(), class_field);
      if (json["param"].is_null()) {
        json["param"] = field;
        json["message"] = InHttpTerms(details.message(), violation.field(), field);
      }
      json["violations"].push_back(
          {{"field", field}, {"reason", violation.reason()}, {"message", violation.description()}});
    }
  }
  if (google::rpc::RetryInfo retry; Find(details, &retry)) {
    error.retry_after = absl::Seconds(retry.retry_delay().seconds()) +
                        absl::Nanoseconds(retry.retry_delay().nanos());
    json["retry_after"] = absl::ToDoubleSeconds(*error.retry_after);
  }
  error.error_json = Dump(json);
  return error;
}

absl::Status StatusOf(const HttpFault& fault) { return ErrorOf(ReasonOf(fault), fault.message); }

HttpError ErrorOfFault(const HttpFault& fault, absl::string_view request_id) {
  const Reason reason = ReasonOf(fault);
  HttpError error;
  error.status = fault.status;
  error.error_json = Dump(Shape(fault.status, fault.message, RowOf(reason).name, request_id));
  return error;
}

int64_t RetrySeconds(absl::Duration delay) {
  return std::max<int64_t>(1, absl::ToInt64Seconds(absl::Ceil(delay, absl::Seconds(1))));
}

}  // namespace hmar
