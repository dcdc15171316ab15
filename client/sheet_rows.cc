#include "client/sheet_rows.h"

#include <algorithm>
#include <utility>

namespace hmar {
namespace {

// Every second pixel of every second row.
Picture Halved(const Picture& picture) {
  Picture half{(picture.width + 1) / 2, (picture.height + 1) / 2, {}};
  half.rgb.reserve(size_t{3} * half.width * half.height);
  for (uint32_t y = 0; y < half.height; ++y) {
    for (uint32_t x = 0; x < half.width; ++x) {
      const auto from = picture.rgb.begin() + (size_t{2} * y * picture.width + size_t{2} * x) * 3;
      half.rgb.insert(half.rgb.end(), from, from + 3);
    }
  }
  return half;
}

}  // namespace

void SheetRows::Append(uint32_t row, Picture picture) {
  rows_[row].push_back(Reduced(std::move(picture)));
  ++pictures_;
  bytes_ += rows_[row].back().rgb.size();
  KeepWithinBound();
}

void SheetRows::Prepend(uint32_t row, Picture picture) {
  Append(row, std::move(picture));
  std::rotate(rows_[row].begin(), rows_[row].end() - 1, rows_[row].end());
}

std::vector<std::vector<Picture>> SheetRows::Take() {
  std::vector<std::vector<Picture>> rows;
  for (auto& [number, row] : std::exchange(rows_, {})) rows.push_back(std::move(row));
  bytes_ = pictures_ = 0;
  return rows;
}

Picture SheetRows::Reduced(Picture picture) const {
  for (uint32_t i = 0; i < halvings_; ++i) picture = Halved(picture);
  return picture;
}

void SheetRows::KeepWithinBound() {
  while (bytes_ > max_bytes_ && bytes_ > 3 * pictures_) {  // 3: they are single pixels.
    ++halvings_;
    bytes_ = 0;
    for (auto& [number, row] : rows_) {
      for (Picture& picture : row) {
        picture = Halved(picture);
        bytes_ += picture.rgb.size();
      }
    }
  }
}

}  // namespace hmar
