#ifndef HMAR_SERVER_HTTP_HTTP_ERROR_H_
#define HMAR_SERVER_HTTP_HTTP_ERROR_H_

// Errors as the HTTP API tells them: OpenAI's shape with our reasons in it. Pure functions.

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/http/request_head.h"

namespace hmar {

struct HttpError {
  int status = 500;
  std::string error_json;  // The value of "error": {"message": ..., ...}, one line.
  std::optional<absl::Duration> retry_after;  // Where waiting helps.
};

// Names the fields of this API, whichever `class_field` names the class: "prompt" or "class".
HttpError ErrorOfStatus(const absl::Status& status, absl::string_view request_id,
                        absl::string_view class_field = "prompt");
// A fault as an error of the call that it ends, for the books.
absl::Status StatusOf(const HttpFault& fault);
HttpError ErrorOfFault(const HttpFault& fault, absl::string_view request_id);

// The HTTP field that the path of a field of v1::GenerateRequest stands for: "n" for "num_images",
// "mask_schedule[3]" for "sampling.mask_schedule.scales[3].tokens". Others stay as they are.
std::string HttpFieldOf(absl::string_view path, absl::string_view class_field);

// Whole seconds, at least 1, for retry-after.
int64_t RetrySeconds(absl::Duration delay);

}  // namespace hmar

#endif  // HMAR_SERVER_HTTP_HTTP_ERROR_H_
