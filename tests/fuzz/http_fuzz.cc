// Any bytes as an HTTP request: its head, its body as it comes in pieces, and the form in it are
// read or refused, within their bounds, the same however the bytes come.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "server/http/body_reader.h"
#include "server/http/form_fields.h"
#include "server/http/json_reader.h"
#include "server/http/multipart_reader.h"
#include "server/http/request_head.h"
#include "tests/fuzz/require.h"

namespace hmar {
namespace {

constexpr size_t kMaxBody = 1 << 10;

bool IsWithin(absl::string_view part, absl::string_view whole) {
  return part.empty() ||
         (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void CheckFault(const std::optional<HttpFault>& fault) {
  if (!fault.has_value()) return;
  Require(fault->status >= 400 && fault->status < 600, "a fault has an error's status");
  Require(!fault->message.empty(), "a fault has its reason");
  for (const char c : fault->message) Require(c >= ' ' && c <= '~', "a message can be printed");
}

// Returns what is behind the body, if it was read.
std::optional<HttpFault> ReadBody(const RequestHead& head, absl::string_view bytes, size_t step,
                                  BodyReader* reader) {
  *reader = BodyReader(head, kMaxBody);
  while (!bytes.empty() && !reader->complete()) {
    absl::string_view piece = bytes.substr(0, step);
    const size_t size = piece.size();
    if (auto fault = reader->Feed(&piece)) return fault;
    bytes.remove_prefix(size - piece.size());
    Require(reader->size() <= kMaxBody, "a body keeps its bound");
  }
  return std::nullopt;
}

void CheckForms(absl::string_view body, absl::string_view type) {
  FormFields fields;
  CheckFault(ReadJsonForm(body, "application/json", &fields));
  std::vector<Part> parts;
  CheckFault(ReadMultipart(body, type, &parts));
  Require(parts.size() <= kMaxParts, "parts keep their bound");
  for (const Part& part : parts) {
    Require(IsWithin(part.data, body), "a part lies in the body");
    Require(!part.name.empty(), "a part has a name");
  }
  FormFields form;
  CheckFault(ReadMultipartForm(body, type, &form));
  for (const auto& [name, file] : form.files)
    Require(IsWithin(file, body), "a file lies in the body");
}

void CheckHead(const RequestHead& head) {
  Require(head.headers.size() <= kMaxHeaders, "headers keep their bound");
  Require(!head.path.empty() && head.path[0] == '/', "a target is a path");
  Require(!(head.chunked && head.content_length.has_value()), "a body has one length");
  Require(head.Count("content-length") + head.Count("transfer-encoding") <= 1, "given once");
  for (const auto& [name, value] : head.headers) {
    Require(value.find_first_of("\r\n\0", 0, 3) == std::string::npos, "a value is one line");
    Require(std::none_of(name.begin(), name.end(), [](char c) { return c >= 'A' && c <= 'Z'; }),
            "names are in lower case");
  }
}

}  // namespace
}  // namespace hmar

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using hmar::Require;
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  hmar::CheckForms(bytes, "multipart/form-data; boundary=B");
  const size_t end = hmar::FindHeadEnd(bytes, 0);
  size_t found = 0;
  for (size_t seen = 0; seen <= size && found == 0; ++seen) {
    found = hmar::FindHeadEnd(bytes.substr(0, seen), seen == 0 ? 0 : seen - 1);
  }
  Require(found == end, "a head ends where it ends, however it comes");
  hmar::RequestHead head;
  const auto fault = hmar::ReadHead(bytes.substr(0, end), &head);
  hmar::CheckFault(fault);
  if (fault.has_value()) return 0;
  hmar::CheckHead(head);
  hmar::BodyReader whole, pieces;
  const auto one = hmar::ReadBody(head, bytes.substr(end), size, &whole);
  const auto many = hmar::ReadBody(head, bytes.substr(end), 3, &pieces);
  hmar::CheckFault(one);
  Require(one.has_value() == many.has_value(), "a body is read or refused, however it comes");
  if (one.has_value()) return 0;
  Require(whole.complete() == pieces.complete() && whole.body() == pieces.body(),
          "a body is the same however it comes");
  hmar::CheckForms(whole.body(), head.Header("content-type"));
  return 0;
}
