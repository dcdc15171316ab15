#include "server/http/multipart_reader.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace hmar {
namespace {

constexpr size_t kMaxBoundaryBytes = 70;  // RFC 2046, 5.1.1.
constexpr size_t kMaxNameBytes = 64;

HttpFault Bad(const std::string& message) {
  return {400, absl::StrCat("the multipart body is not well-formed: ", message)};
}

// The value of `key` among parameters "; key=value; key=\"value\"". Nothing: absent, or not closed.
std::optional<std::string> Parameter(absl::string_view parameters, absl::string_view key) {
  while (!parameters.empty()) {
    parameters = absl::StripLeadingAsciiWhitespace(parameters);
    const size_t equals = parameters.find('=');
    if (equals == absl::string_view::npos) return std::nullopt;
    const absl::string_view name = absl::StripAsciiWhitespace(parameters.substr(0, equals));
    parameters.remove_prefix(equals + 1);
    std::string value;
    if (absl::ConsumePrefix(&parameters, "\"")) {
      size_t i = 0;
      for (; i < parameters.size() && parameters[i] != '"'; ++i) {
        if (parameters[i] == '\\' && i + 1 < parameters.size()) ++i;
        value += parameters[i];
      }
      if (i == parameters.size()) return std::nullopt;
      parameters.remove_prefix(i + 1);
    } else {
      const size_t end = std::min(parameters.find(';'), parameters.size());
      value = std::string(absl::StripAsciiWhitespace(parameters.substr(0, end)));
    }
    if (absl::EqualsIgnoreCase(name, key)) return value;
    parameters.remove_prefix(std::min(parameters.find(';'), parameters.size()));
    absl::ConsumePrefix(&parameters, ";");
  }
  return std::nullopt;
}

bool IsBoundaryChar(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
         absl::string_view("'()+_,-./:=? ").find(c) != absl::string_view::npos;
}

// What follows "type/subtype" of a header, and "type/subtype" itself.
absl::string_view ParametersOf(absl::string_view value, absl::string_view* kind) {
  const size_t end = std::min(value.find(';'), value.size());
  *kind = absl::StripAsciiWhitespace(value.substr(0, end));
  return value.substr(std::min(end + 1, value.size()));
}

// The part's name, from its headers.
std::optional<HttpFault> ReadPartHead(absl::string_view head, std::string* name) {
  for (const absl::string_view line : absl::StrSplit(head, "\r\n")) {
    const size_t colon = line.find(':');
    if (colon == absl::string_view::npos) return Bad("a part's header without a colon");
    const absl::string_view value = line.substr(colon + 1);
    if (absl::EqualsIgnoreCase(line.substr(0, colon), "content-transfer-encoding")) {
      return Bad("content-transfer-encoding is not known here");
    }
    if (!absl::EqualsIgnoreCase(line.substr(0, colon), "content-disposition")) continue;
    absl::string_view kind;
    const absl::string_view parameters = ParametersOf(value, &kind);
    const std::optional<std::string> found = Parameter(parameters, "name");
    if (!absl::EqualsIgnoreCase(kind, "form-data") || !found.has_value() || !name->empty()) {
      return Bad("a part is not form-data with one name");
    }
    *name = *found;
  }
  if (name->empty()) return Bad("a part has no name");
  if (name->size() > kMaxNameBytes) return Bad("a part's name is too long");
  return std::nullopt;
}

}  // namespace

bool IsMultipart(absl::string_view content_type) {
  absl::string_view kind;
  ParametersOf(content_type, &kind);
  return absl::EqualsIgnoreCase(kind, "multipart/form-data");
}

std::optional<HttpFault> ReadMultipart(absl::string_view body, absl::string_view content_type,
                                       std::vector<Part>* parts) {
  absl::string_view kind;
  const auto boundary = Parameter(ParametersOf(content_type, &kind), "boundary");
  if (!boundary.has_value() || boundary->empty() || boundary->size() > kMaxBoundaryBytes ||
      boundary->back() == ' ' || !std::all_of(boundary->begin(), boundary->end(), IsBoundaryChar)) {
    return Bad("content-type has no boundary that may be one");
  }
  const std::string delimiter = absl::StrCat("\r\n--", *boundary);
  if (!absl::ConsumePrefix(&body, absl::string_view(delimiter).substr(2))) {
    return Bad("it does not start with its boundary");
  }
  while (!absl::StartsWith(body, "--")) {
    if (!absl::ConsumePrefix(&body, "\r\n")) return Bad("a boundary's line has something else");
    if (parts->size() == kMaxParts) return Bad(absl::StrCat("more than ", kMaxParts, " parts"));
    const size_t head = body.substr(0, kMaxPartHeadBytes).find("\r\n\r\n");
    if (head == absl::string_view::npos) {
      return Bad(absl::StrCat("a part's headers do not end within ", kMaxPartHeadBytes, " bytes"));
    }
    Part part;
    if (auto fault = ReadPartHead(body.substr(0, head), &part.name)) return fault;
    body.remove_prefix(head + 2);  // An empty part's delimiter starts with the last line end.
    const size_t end = body.find(delimiter);
    if (end == absl::string_view::npos) return Bad("the last part does not end");
    part.data = end < 2 ? absl::string_view() : body.substr(2, end - 2);
    body.remove_prefix(end + delimiter.size());
    parts->push_back(std::move(part));
  }
  return std::nullopt;
}

}  // namespace hmar
