#include "server/wire/edit_distance.h"

#include <algorithm>

namespace hmar {

EditDistance::EditDistance(std::u32string_view text)
    : size_(std::min(text.size(), kMaxCharacters)) {
  for (size_t i = 0; i < size_; ++i) {
    const uint64_t place = uint64_t{1} << i;
    if (text[i] < ascii_.size()) {
      ascii_[text[i]] |= place;
    } else {
      others_.emplace_back(text[i], place);
    }
  }
}

uint64_t EditDistance::PlacesOf(char32_t character) const {
  if (character < ascii_.size()) return ascii_[character];
  uint64_t places = 0;
  for (const auto& [other, place] : others_) {
    if (other == character) places |= place;
  }
  return places;
}

size_t EditDistance::To(std::u32string_view other) const {
  if (size_ == 0) return other.size();
  const uint64_t last = uint64_t{1} << (size_ - 1);
  // A column of the table of distances as differences of neighbours: where it rises, where it
  // falls.
  uint64_t rises = ~uint64_t{0};
  uint64_t falls = 0;
  size_t distance = size_;
  for (const char32_t character : other) {
    const uint64_t equal = PlacesOf(character);
    const uint64_t diagonal = (((equal & rises) + rises) ^ rises) | equal | falls;
    uint64_t grows = falls | ~(diagonal | rises);  // From the column before to this one.
    uint64_t shrinks = diagonal & rises;
    if ((grows & last) != 0) ++distance;
    if ((shrinks & last) != 0) --distance;
    grows = (grows << 1) | 1;
    shrinks <<= 1;
    rises = shrinks | ~(diagonal | grows);
    falls = grows & diagonal;
  }
  return distance;
}

}  // namespace hmar
