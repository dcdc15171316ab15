#ifndef HMAR_SERVER_HTTP_BODY_READER_H_
#define HMAR_SERVER_HTTP_BODY_READER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "server/http/request_head.h"

namespace hmar {

// Puts a body together from the bytes of a connection as they come: as many as content-length says,
// or chunks (RFC 9112, 7.1), read strictly. A body larger than the bound ends at once, before it is
// kept; what chunks have beside their data (sizes, extensions, trailers) is bounded, too, and
// dropped. Thread-compatible.
class BodyReader {
 public:
  BodyReader() = default;  // Of no body: complete.
  BodyReader(const RequestHead& head, size_t max_bytes);

  // Takes what belongs to the body off the front of `bytes`, all of it or until the body is
  // complete. A fault: 413, or 400 for chunks that are none; then nothing more is to be fed.
  std::optional<HttpFault> Feed(absl::string_view* bytes);

  bool complete() const { return state_ == State::kComplete; }
  // Bytes that are still to come, as far as that is known.
  uint64_t missing() const { return left_; }
  size_t size() const { return body_.size(); }
  std::string& body() { return body_; }

 private:
  enum class State { kFixed, kSize, kData, kDataEnd, kTrailer, kComplete };

  std::optional<HttpFault> FeedData(absl::string_view* bytes);
  std::optional<HttpFault> FeedLine(absl::string_view* bytes);
  std::optional<HttpFault> TakeLine();
  std::optional<HttpFault> TakeSize();

  size_t max_bytes_ = 0;
  State state_ = State::kComplete;
  uint64_t left_ = 0;      // Of the fixed body or of this chunk's data.
  std::string line_;       // Of a chunk, as far as it has come.
  size_t line_bytes_ = 0;  // Of all such lines.
  std::string body_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_HTTP_BODY_READER_H_
