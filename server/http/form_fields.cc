#include "server/http/form_fields.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "server/http/json_reader.h"
#include "server/http/multipart_reader.h"

namespace hmar {
namespace {

// No part of text is larger: it is a list of tokens at most, and a copy is made of it.
constexpr size_t kMaxTextBytes = size_t{4} << 20;

bool IsFile(absl::string_view name) {
  return name == "image" || name == "mask" || name == "mask_white";
}

}  // namespace

std::optional<HttpFault> ReadJsonForm(absl::string_view body, absl::string_view content_type,
                                      FormFields* fields) {
  const absl::string_view kind =
      absl::StripAsciiWhitespace(content_type.substr(0, content_type.find(';')));
  if (!absl::EqualsIgnoreCase(kind, "application/json")) {
    return HttpFault{415, "content-type must be application/json"};
  }
  return ReadJson(body, &fields->values);
}

std::optional<HttpFault> ReadMultipartForm(absl::string_view body, absl::string_view content_type,
                                           FormFields* fields) {
  if (!IsMultipart(content_type)) {
    return HttpFault{415, "content-type must be multipart/form-data"};
  }
  fields->as_text = true;
  std::vector<Part> parts;
  if (auto fault = ReadMultipart(body, content_type, &parts)) return fault;
  for (const Part& part : parts) {
    const std::string name = part.name == "image[]" ? "image" : part.name;
    if (fields->values.contains(name) || fields->files.contains(name)) {
      return HttpFault{400, name == "image" ? "one image can be edited at a time"
                                            : "a field of the form is given twice"};
    }
    if (IsFile(name)) {
      fields->files.emplace(name, part.data);
    } else if (part.data.size() > kMaxTextBytes) {
      return HttpFault{413, "a text of the form is too long"};
    } else {
      fields->values[name] = std::string(part.data);
    }
  }
  return std::nullopt;
}

}  // namespace hmar
