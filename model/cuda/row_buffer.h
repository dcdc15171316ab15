#ifndef HMAR_MODEL_CUDA_ROW_BUFFER_H_
#define HMAR_MODEL_CUDA_ROW_BUFFER_H_

// Where the rows of a step's parts lie in the activations. Plain C++, no CUDA calls.

#include <cstdint>

#include "absl/base/macros.h"

namespace hmar {

// Consecutive rows of a step that a stack of blocks runs over by itself.
struct RowRange {
  int64_t first = 0;
  int64_t rows = 0;
};

// cuBLASLt takes fp8 rows in groups of so many, so such a layer reads and writes up to the end of a
// range's last group.
inline constexpr int64_t kRowGroup = 16;

constexpr int64_t WholeGroups(int64_t rows) {
  return (rows + kRowGroup - 1) / kRowGroup * kRowGroup;
}

// Rows of memory that the two ranges of a step need, wherever it is cut: each may have a group that
// is not full.
constexpr int64_t RowsOfBuffer(int64_t max_rows) { return WholeGroups(max_rows) + kRowGroup; }

// Memory for rows of up to `width` elements, (RowsOfBuffer(max_rows), width), that both ranges of a
// step use at the same time, each for one matrix after another, of whatever width.
//
// A range has a region for good: from its first whole group on, its rows at full width. Its
// matrices lie at the region's front, whole groups of rows, packed. So where a range lies does not
// depend on the width of what it holds, and nothing that one range writes reaches the other. (With
// offsets of first * width-of-the-matrix it does: narrow rows of the second range lie inside what
// the first one has as wide rows.)
template <typename T>
class RowBuffer {
 public:
  RowBuffer() = default;
  RowBuffer(T* data, int64_t width) : data_(data), width_(width) {}

  // The range's matrix (rows, width). REQUIRES: width is at most the buffer's.
  T* Of(const RowRange& range, [[maybe_unused]] int64_t width) const {
    ABSL_ASSERT(width <= width_);
    return data_ + WholeGroups(range.first) * width_;
  }

  // The same for a kernel that counts rows of the whole step: row r of the step at r * width.
  T* AsStep(const RowRange& range, int64_t width) const {
    return Of(range, width) - range.first * width;
  }

 private:
  T* data_ = nullptr;
  int64_t width_ = 0;
};

}  // namespace hmar

#endif  // HMAR_MODEL_CUDA_ROW_BUFFER_H_
