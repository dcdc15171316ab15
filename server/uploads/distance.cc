#include "server/uploads/distance.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

namespace hmar {
namespace {

// The distance along its column of each pixel to the nearest one outside; `none` where there is
// none.
std::vector<int64_t> ColumnDistances(const Region& region, size_t side, int64_t none) {
  std::vector<int64_t> distance(side * side);
  for (size_t i = 0; i < side * side; ++i) {
    const int64_t above = i < side ? none : distance[i - side];
    distance[i] = region[i] == 0 ? 0 : std::min(none, above + 1);
  }
  for (size_t i = side * (side - 1); i-- > 0;) {
    distance[i] = std::min(distance[i], distance[i + side] + 1);
  }
  return distance;
}

// The lower envelope of one row's parabolas (x - i)^2 + column[i]^2 (Meijster, Roerdink and
// Hesselink, "A general algorithm for computing distance transforms in linear time", 2000). In
// integers, so exact.
class RowEnvelope {
 public:
  explicit RowEnvelope(size_t side)
      : side_(static_cast<int64_t>(side)), vertex_(side), from_(side) {}

  // Writes the squared distance of each pixel of the row.
  void Run(const int64_t* column, int64_t* squared) {
    Build(column);
    size_t parabola = count_ - 1;
    for (int64_t x = side_ - 1; x >= 0; --x) {
      while (from_[parabola] > x) --parabola;
      squared[x] = Value(column, vertex_[parabola], x);
    }
  }

 private:
  static int64_t Value(const int64_t* column, int64_t i, int64_t x) {
    return (x - i) * (x - i) + column[i] * column[i];
  }

  // Parabola vertex_[n] is the lowest from column from_[n] up to from_[n + 1].
  void Build(const int64_t* column) {
    count_ = 0;
    for (int64_t i = 0; i < side_; ++i) {
      while (count_ > 0 && Value(column, vertex_[count_ - 1], from_[count_ - 1]) >
                               Value(column, i, from_[count_ - 1])) {
        --count_;
      }
      const int64_t from = count_ == 0 ? 0 : 1 + LastBefore(column, vertex_[count_ - 1], i);
      if (from >= side_) continue;
      vertex_[count_] = i;
      from_[count_] = from;
      ++count_;
    }
  }

  // The last column where the parabola of `left` is not above that of `right`; there is one.
  static int64_t LastBefore(const int64_t* column, int64_t left, int64_t right) {
    const int64_t squares = right * right - left * left;
    const int64_t heights = column[right] * column[right] - column[left] * column[left];
    return (squares + heights) / (2 * (right - left));
  }

  const int64_t side_;
  size_t count_ = 0;
  std::vector<int64_t> vertex_;
  std::vector<int64_t> from_;
};

}  // namespace

std::vector<float> DistanceToOutside(const Region& region, uint32_t side) {
  const int64_t none = 2 * int64_t{side};  // Longer than any distance in the square.
  const std::vector<int64_t> columns = ColumnDistances(region, side, none);
  std::vector<float> distance(region.size());
  std::vector<int64_t> squared(side);
  RowEnvelope envelope(side);
  for (size_t row = 0; row < region.size(); row += side) {
    envelope.Run(columns.data() + row, squared.data());
    for (uint32_t x = 0; x < side; ++x) {
      distance[row + x] = squared[x] >= none * none
                              ? std::numeric_limits<float>::infinity()
                              : static_cast<float>(std::sqrt(static_cast<double>(squared[x])));
    }
  }
  return distance;
}

}  // namespace hmar
