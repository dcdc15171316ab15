#include "server/http/request_head.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace hmar {
namespace {

constexpr char kLineEnd[] = "\r\n";
constexpr char kHeadEnd[] = "\r\n\r\n";
constexpr size_t kMaxLengthDigits = 15;  // A petabyte; no number of so many digits overflows.

HttpFault Bad(const std::string& message) { return {400, message}; }

bool IsTokenChar(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
         absl::string_view("!#$%&'*+-.^_`|~").find(c) != absl::string_view::npos;
}

bool IsToken(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), IsTokenChar);
}

bool IsValueChar(char c) {
  return c == '\t' || (static_cast<unsigned char>(c) >= ' ' && c != 0x7f);
}

bool IsTargetChar(char c) { return c > ' ' && c < 0x7f && c != '"' && c != '<' && c != '>'; }

// RFC 9110's optional white space: spaces and tabs, and no other that another reader might not see.
absl::string_view WithoutBlanks(absl::string_view text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// METHOD SP TARGET SP VERSION, one space each.
std::optional<HttpFault> ReadRequestLine(absl::string_view line, RequestHead* head) {
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == absl::string_view::npos || first == last) return Bad("no request line");
  const absl::string_view method = line.substr(0, first);
  const absl::string_view target = line.substr(first + 1, last - first - 1);
  const absl::string_view version = line.substr(last + 1);
  if (!IsToken(method) || method.size() > 16) return Bad("the method is no token");
  if (target.size() > kMaxTargetBytes) {
    return HttpFault{
        414, absl::StrCat("the target has ", target.size(), " bytes; at most ", kMaxTargetBytes)};
  }
  if (target.empty() || target[0] != '/' ||
      !std::all_of(target.begin(), target.end(), IsTargetChar)) {
    return Bad("the target is no path");
  }
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    return absl::StartsWith(version, "HTTP/") ? HttpFault{505, "HTTP/1.1 is spoken here"}
                                              : Bad("no HTTP version");
  }
  head->method = std::string(method);
  head->target = std::string(target);
  head->path = std::string(target.substr(0, target.find('?')));
  head->http_1_0 = version == "HTTP/1.0";
  return std::nullopt;
}

std::optional<HttpFault> ReadHeaderLine(absl::string_view line, RequestHead* head) {
  const size_t colon = line.find(':');
  if (colon == absl::string_view::npos) return Bad("a header without a colon");
  // Also refuses folded lines and a space before the colon.
  if (!IsToken(line.substr(0, colon))) return Bad("a header's name is no token");
  const absl::string_view value = WithoutBlanks(line.substr(colon + 1));
  if (!std::all_of(value.begin(), value.end(), IsValueChar)) {
    return Bad("a header's value has control characters");
  }
  if (head->headers.size() == kMaxHeaders) {
    return HttpFault{431, absl::StrCat("more than ", kMaxHeaders, " headers")};
  }
  head->headers.emplace_back(absl::AsciiStrToLower(line.substr(0, colon)), std::string(value));
  return std::nullopt;
}

std::optional<HttpFault> ReadLength(RequestHead* head) {
  const size_t lengths = head->Count("content-length");
  const size_t codings = head->Count("transfer-encoding");
  if (lengths + codings > 1) return Bad("the body's length is given more than once");
  if (codings == 1) {
    if (head->http_1_0) return Bad("transfer-encoding in HTTP/1.0");
    if (!absl::EqualsIgnoreCase(head->Header("transfer-encoding"), "chunked")) {
      return HttpFault{501, "of the transfer codings only chunked is known"};
    }
    head->chunked = true;
  }
  if (lengths == 0) return std::nullopt;
  const absl::string_view text = head->Header("content-length");
  uint64_t length = 0;
  if (text.empty() || text.size() > kMaxLengthDigits ||
      !std::all_of(text.begin(), text.end(),
                   [](char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); }) ||
      !absl::SimpleAtoi(text, &length)) {
    return Bad("content-length is no number of bytes");
  }
  head->content_length = length;
  return std::nullopt;
}

std::optional<HttpFault> ReadExpectations(RequestHead* head) {
  if (head->Count("host") != 1 && !head->http_1_0) return Bad("one host header is needed");
  if (head->Count("authorization") > 1) return Bad("authorization is given more than once");
  head->keep_alive = !head->http_1_0;
  for (const auto& [name, value] : head->headers) {
    if (name != "connection") continue;
    for (const absl::string_view option : absl::StrSplit(value, ',')) {
      if (absl::EqualsIgnoreCase(WithoutBlanks(option), "close")) {
        head->keep_alive = false;
      }
    }
  }
  if (head->Count("expect") == 0) return std::nullopt;
  if (!absl::EqualsIgnoreCase(head->Header("expect"), "100-continue")) {
    return HttpFault{417, "of the expectations only 100-continue is met"};
  }
  head->expects_continue = !head->http_1_0;
  return std::nullopt;
}

}  // namespace

absl::string_view RequestHead::Header(absl::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return "";
}

size_t RequestHead::Count(absl::string_view name) const {
  return static_cast<size_t>(std::count_if(headers.begin(), headers.end(),
                                           [&](const auto& each) { return each.first == name; }));
}

size_t FindHeadEnd(absl::string_view bytes, size_t from) {
  constexpr size_t kOverlap = sizeof(kHeadEnd) - 2;
  const size_t end = bytes.find(kHeadEnd, from - std::min(from, kOverlap));
  return end == absl::string_view::npos ? 0 : end + sizeof(kHeadEnd) - 1;
}

std::optional<HttpFault> ReadHead(absl::string_view bytes, RequestHead* head) {
  *head = {};
  bool first = true;
  while (true) {
    const size_t end = bytes.find(kLineEnd);
    if (end == absl::string_view::npos) return Bad("the head does not end");
    const absl::string_view line = bytes.substr(0, end);
    bytes.remove_prefix(end + sizeof(kLineEnd) - 1);
    if (line.empty() && !first) break;
    auto fault = first ? ReadRequestLine(line, head) : ReadHeaderLine(line, head);
    if (fault.has_value()) return fault;
    first = false;
  }
  if (auto fault = ReadLength(head)) return fault;
  return ReadExpectations(head);
}

}  // namespace hmar
