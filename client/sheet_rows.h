#ifndef HMAR_CLIENT_SHEET_ROWS_H_
#define HMAR_CLIENT_SHEET_ROWS_H_

// The pictures of a page, kept until all are there.

#include <cstdint>
#include <map>
#include <vector>

#include "model/picture.h"

namespace hmar {

// Keeps rows of pictures within a number of bytes: what does not fit is kept at half its size, or a
// quarter ..., all pictures by the same factor. A contact sheet of so many would show them no
// larger. For one thread.
class SheetRows {
 public:
  // As much as the largest contact sheet has. A picture keeps a pixel whatever the bound.
  static constexpr uint64_t kMaxBytes = 192'000'000;

  explicit SheetRows(uint64_t max_bytes = kMaxBytes) : max_bytes_(max_bytes) {}

  // Puts a picture at the end of a row, or before all others of it.
  void Append(uint32_t row, Picture picture);
  void Prepend(uint32_t row, Picture picture);

  uint64_t bytes() const { return bytes_; }  // Of all pixels.

  // The rows that have pictures, in the order of their numbers; none are left.
  std::vector<std::vector<Picture>> Take();

 private:
  Picture Reduced(Picture picture) const;
  void KeepWithinBound();

  const uint64_t max_bytes_;
  uint64_t bytes_ = 0;
  uint64_t pictures_ = 0;
  uint32_t halvings_ = 0;
  std::map<uint32_t, std::vector<Picture>> rows_;
};

}  // namespace hmar

#endif  // HMAR_CLIENT_SHEET_ROWS_H_
