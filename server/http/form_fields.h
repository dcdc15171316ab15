#ifndef HMAR_SERVER_HTTP_FORM_FIELDS_H_
#define HMAR_SERVER_HTTP_FORM_FIELDS_H_

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "server/http/request_head.h"

namespace hmar {

// A request's fields as they came, by name.
struct FormFields {
  nlohmann::json values = nlohmann::json::object();
  bool as_text = false;  // All values are strings, which stand for numbers and lists, too.
  std::map<std::string, absl::string_view> files;  // Within the body.
};

// Of a JSON object. 415: the content-type says something else; 400.
std::optional<HttpFault> ReadJsonForm(absl::string_view body, absl::string_view content_type,
                                      FormFields* fields);

// Of multipart/form-data, in which image (also "image[]"), mask and mask_white are files. 415, 400.
std::optional<HttpFault> ReadMultipartForm(absl::string_view body, absl::string_view content_type,
                                           FormFields* fields);

}  // namespace hmar

#endif  // HMAR_SERVER_HTTP_FORM_FIELDS_H_
