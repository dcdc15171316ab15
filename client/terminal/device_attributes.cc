#include "client/terminal/device_attributes.h"

#include <cstddef>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"

namespace hmar {
namespace {

constexpr absl::string_view kStart = "\x1b[?";
constexpr size_t kMaxAnswerBytes = 64;

bool HasSixel(absl::string_view numbers) {
  const std::vector<absl::string_view> each = absl::StrSplit(numbers, ';');
  return absl::c_linear_search(each, "4");
}

}  // namespace

bool DeviceAttributesReader::Take(absl::string_view bytes) {
  for (const char c : bytes) TakeByte(c);
  return whole_;
}

void DeviceAttributesReader::TakeByte(char c) {
  pending_.push_back(c);
  if (whole_) {
    typed_ += std::exchange(pending_, "");
    return;
  }
  const bool in_start = pending_.size() <= kStart.size() && absl::StartsWith(kStart, pending_);
  const bool in_numbers = pending_.size() > kStart.size() && pending_.size() <= kMaxAnswerBytes &&
                          (absl::ascii_isdigit(static_cast<unsigned char>(c)) || c == ';');
  if (in_start || in_numbers) return;
  if (c == 'c' && pending_.size() > kStart.size()) {
    whole_ = true;
    sixel_ = HasSixel(
        absl::string_view(pending_).substr(kStart.size(), pending_.size() - kStart.size() - 1));
    pending_.clear();
    return;
  }
  // Not an answer after all. This byte may start one.
  pending_.pop_back();
  typed_ += std::exchange(pending_, "");
  (c == kStart[0] ? pending_ : typed_).push_back(c);
}

}  // namespace hmar
