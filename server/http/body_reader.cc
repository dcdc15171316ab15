#include "server/http/body_reader.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

constexpr size_t kMaxLineBytes = 256;
// Of sizes, extensions and trailers, beside eight bytes for each of data: chunks of one byte have
// five.
constexpr size_t kMaxLinesBytes = size_t{64} << 10;
constexpr size_t kMaxSizeDigits = 8;

HttpFault Bad(const std::string& message) { return {400, message}; }

}  // namespace

BodyReader::BodyReader(const RequestHead& head, size_t max_bytes) : max_bytes_(max_bytes) {
  if (head.chunked) {
    state_ = State::kSize;
  } else if (head.content_length.value_or(0) > 0) {
    state_ = State::kFixed;
    left_ = *head.content_length;
    if (left_ <= max_bytes) body_.reserve(left_);
  }
}

std::optional<HttpFault> BodyReader::Feed(absl::string_view* bytes) {
  if (state_ == State::kFixed && left_ > max_bytes_ - std::min(max_bytes_, body_.size())) {
    return HttpFault{413, absl::StrCat("a body of ", left_, " bytes; at most ", max_bytes_)};
  }
  while (!bytes->empty() && !complete()) {
    const bool data = state_ == State::kFixed || state_ == State::kData;
    if (auto fault = data ? FeedData(bytes) : FeedLine(bytes)) return fault;
  }
  return std::nullopt;
}

std::optional<HttpFault> BodyReader::FeedData(absl::string_view* bytes) {
  const size_t count = static_cast<size_t>(std::min<uint64_t>(left_, bytes->size()));
  body_.append(bytes->data(), count);
  bytes->remove_prefix(count);
  left_ -= count;
  if (left_ == 0) state_ = state_ == State::kFixed ? State::kComplete : State::kDataEnd;
  return std::nullopt;
}

// One line of those between data, of which no more than kMaxLineBytes are ever kept.
std::optional<HttpFault> BodyReader::FeedLine(absl::string_view* bytes) {
  const size_t end = bytes->find('\n');
  const size_t count = end == absl::string_view::npos ? bytes->size() : end + 1;
  line_bytes_ += count;
  if (line_.size() + count > kMaxLineBytes) return Bad("a chunk's line is too long");
  line_.append(bytes->data(), count);
  bytes->remove_prefix(count);
  if (line_.back() != '\n') return std::nullopt;
  if (line_.size() < 2 || line_[line_.size() - 2] != '\r') return Bad("a chunk's line ends in LF");
  line_.resize(line_.size() - 2);
  auto fault = TakeLine();
  line_.clear();
  return fault;
}

std::optional<HttpFault> BodyReader::TakeLine() {
  if (line_bytes_ > kMaxLinesBytes + 8 * body_.size()) return Bad("more chunks than data");
  switch (state_) {
    case State::kSize:
      return TakeSize();
    case State::kDataEnd:
      if (!line_.empty()) return Bad("a chunk is longer than its size");
      state_ = State::kSize;
      return std::nullopt;
    default:
      if (line_.empty()) state_ = State::kComplete;  // Else a trailer, which says nothing to us.
      return std::nullopt;
  }
}

std::optional<HttpFault> BodyReader::TakeSize() {
  const absl::string_view text =
      absl::string_view(line_).substr(0, std::min(line_.find(';'), line_.size()));
  const bool hex = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isxdigit(static_cast<unsigned char>(c));
  });
  if (!hex || text.size() > kMaxSizeDigits || !absl::SimpleHexAtoi(text, &left_)) {
    return Bad("a chunk has no size");
  }
  if (left_ > max_bytes_ - std::min(max_bytes_, body_.size())) {
    return HttpFault{413, absl::StrCat("a body of more than ", max_bytes_, " bytes")};
  }
  state_ = left_ == 0 ? State::kTrailer : State::kData;
  return std::nullopt;
}

}  // namespace hmar
