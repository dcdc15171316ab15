#include "model/phi_of_scale.h"

#include <cmath>

namespace hmar {

int PhiOfScale(int scale, int num_scales, int count) {
  const double first = count == 4 ? 1.0 / 3 / count : 1.0 / 2 / count;
  const double last = 1 - first;
  const double step = count > 1 ? (last - first) / (count - 1) : 0;
  const double wanted = static_cast<double>(scale) / (num_scales - 1);
  const auto distance = [&](int i) {
    const double tick = i > 0 && i == count - 1 ? last : i * step + first;
    return std::abs(tick - wanted);
  };
  int nearest = 0;
  for (int i = 1; i < count; ++i) {
    if (distance(i) < distance(nearest)) nearest = i;
  }
  return nearest;
}

}  // namespace hmar
