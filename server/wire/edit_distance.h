#ifndef HMAR_SERVER_WIRE_EDIT_DISTANCE_H_
#define HMAR_SERVER_WIRE_EDIT_DISTANCE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace hmar {

// How many characters must be put in, left out or exchanged to make one text of another
// (Levenshtein). One text is prepared; each character of another then costs a few operations on
// words of 64 bits, one bit a character of the first (Myers 1999, in Hyyrö's form). Immutable, so
// safe from any thread.
class EditDistance {
 public:
  static constexpr size_t kMaxCharacters = 64;

  // Of a longer text its first kMaxCharacters.
  explicit EditDistance(std::u32string_view text);

  size_t To(std::u32string_view other) const;

 private:
  // Bit i: the text's character i is this one.
  uint64_t PlacesOf(char32_t character) const;

  const size_t size_;
  std::array<uint64_t, 128> ascii_{};
  std::vector<std::pair<char32_t, uint64_t>> others_;  // The rest, a place each.
};

}  // namespace hmar

#endif  // HMAR_SERVER_WIRE_EDIT_DISTANCE_H_
