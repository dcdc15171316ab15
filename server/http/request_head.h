#ifndef HMAR_SERVER_HTTP_REQUEST_HEAD_H_
#define HMAR_SERVER_HTTP_REQUEST_HEAD_H_

// A request's head as RFC 9112 has it and nothing else. What one reader may take otherwise than
// another (bare line feeds, folded lines, lengths given twice or in two ways) is refused here, so
// that no proxy in front and nothing behind sees other requests than this server does. Pure.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace hmar {

inline constexpr size_t kMaxHeadBytes = size_t{64} << 10;
inline constexpr size_t kMaxHeaders = 100;
inline constexpr size_t kMaxTargetBytes = 1024;

// Why a request has no answer but an error.
struct HttpFault {
  int status = 400;     // Of the answer.
  std::string message;  // For the client; nothing of what it sent but printable ASCII.
};

struct RequestHead {
  std::string method;  // A token, as sent.
  std::string target;  // Starts with '/'; printable ASCII; at most kMaxTargetBytes.
  std::string path;    // The target's, before any '?', not decoded.
  bool http_1_0 = false;
  // Names in lower case, values without white space around them: visible characters, spaces, tabs
  // and bytes from 0x80 on.
  std::vector<std::pair<std::string, std::string>> headers;

  // How long the body is. Absent and not chunked: there is none.
  std::optional<uint64_t> content_length;
  bool chunked = false;

  bool keep_alive = true;         // Whether the client would send another request.
  bool expects_continue = false;  // It waits for 100 Continue before it sends its body.

  // The header's value, "" if it is absent. Of one that came several times the first.
  absl::string_view Header(absl::string_view name) const;
  size_t Count(absl::string_view name) const;
};

// Bytes of the head at the start of `bytes`, its empty line included; 0: it is not there in full.
// Looks at bytes from `from` on only (those before have been looked at, but for the last three).
size_t FindHeadEnd(absl::string_view bytes, size_t from);

// Reads a whole head. The fault, or `head` is filled: 400; 414 for the target; 431 for too many
// headers; 417 for an expectation, 501 for a transfer coding, 505 for a version that is not known.
std::optional<HttpFault> ReadHead(absl::string_view bytes, RequestHead* head);

}  // namespace hmar

#endif  // HMAR_SERVER_HTTP_REQUEST_HEAD_H_
