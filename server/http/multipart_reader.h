#ifndef HMAR_SERVER_HTTP_MULTIPART_READER_H_
#define HMAR_SERVER_HTTP_MULTIPART_READER_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/http/request_head.h"

namespace hmar {

inline constexpr size_t kMaxParts = 64;
inline constexpr size_t kMaxPartHeadBytes = 2048;

struct Part {
  std::string name;
  absl::string_view data;  // Within the body.
};

// Whether a content-type says multipart/form-data.
bool IsMultipart(absl::string_view content_type);

// Splits a multipart/form-data body (RFC 7578) into its parts, in their order, without copying them
// or looking into them: a part that is itself multipart is bytes like any other. Strict: no
// preamble, every part with a name, the last boundary closed. A fault is 400, for too many parts as
// well. O(body) time; pure.
std::optional<HttpFault> ReadMultipart(absl::string_view body, absl::string_view content_type,
                                       std::vector<Part>* parts);

}  // namespace hmar

#endif  // HMAR_SERVER_HTTP_MULTIPART_READER_H_
