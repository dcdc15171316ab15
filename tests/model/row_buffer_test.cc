#include "model/cuda/row_buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace hmar {
namespace {

constexpr int64_t kMostRows = 70, kNarrow = 4, kWide = 16;

// A step's next-scale rows and mask rows, and a buffer that remembers who wrote an element last.
class RowBufferTest : public testing::Test {
 protected:
  // A range's matrix with its last group's whole rows, as an fp8 layer writes it.
  void Write(const RowRange& range, int64_t width, int who) {
    int* const from = buffer_.Of(range, width);
    ASSERT_GE(from, memory_.data());
    ASSERT_LE(from + WholeGroups(range.rows) * width, memory_.data() + memory_.size());
    std::fill_n(from, WholeGroups(range.rows) * width, who);
  }

  // How many elements of its matrix a range finds as it wrote them.
  int64_t Kept(const RowRange& range, int64_t width, int who) const {
    const int* const from = buffer_.Of(range, width);
    return std::count(from, from + range.rows * width, who);
  }

  std::vector<int> memory_ = std::vector<int>(RowsOfBuffer(kMostRows) * kWide);
  const RowBuffer<int> buffer_{memory_.data(), kWide};
};

TEST_F(RowBufferTest, NoRangeWritesIntoTheOthersMatrixWhateverTheWidths) {
  for (int64_t ns_rows = 0; ns_rows <= kMostRows; ++ns_rows) {
    for (int64_t mask_rows = 0; ns_rows + mask_rows <= kMostRows; ++mask_rows) {
      const RowRange ns = {0, ns_rows}, mask = {ns_rows, mask_rows};
      for (const int64_t ns_width : {kNarrow, kWide}) {
        for (const int64_t mask_width : {kNarrow, kWide}) {
          SCOPED_TRACE(testing::Message() << ns_rows << " rows of " << ns_width << ", " << mask_rows
                                          << " of " << mask_width);
          Write(mask, mask_width, 2);
          Write(ns, ns_width, 1);
          ASSERT_EQ(Kept(mask, mask_width, 2), mask_rows * mask_width);
          Write(mask, mask_width, 2);
          ASSERT_EQ(Kept(ns, ns_width, 1), ns_rows * ns_width);
        }
      }
    }
  }
}

// The largest step, cut where both ranges leave the most of their last groups empty.
TEST_F(RowBufferTest, RegionsOfTheLargestStepEndInsideTheBuffer) {
  for (int64_t max_rows = 1; max_rows <= 4 * kRowGroup; ++max_rows) {
    for (int64_t ns_rows = 0; ns_rows <= max_rows; ++ns_rows) {
      EXPECT_LE(WholeGroups(ns_rows) + WholeGroups(max_rows - ns_rows), RowsOfBuffer(max_rows));
    }
  }
}

TEST_F(RowBufferTest, AsAStepsRowsTheMatrixLiesWhereItIs) {
  std::iota(memory_.begin(), memory_.end(), 0);
  for (const int64_t first : {0, 1, 15, 16, 17, 40}) {
    const RowRange range = {first, 9};
    for (const int64_t width : {kNarrow, kWide}) {
      const int* const step = buffer_.AsStep(range, width);
      EXPECT_GE(step, memory_.data());
      EXPECT_EQ(step[first * width], *buffer_.Of(range, width));
    }
  }
}

}  // namespace
}  // namespace hmar
