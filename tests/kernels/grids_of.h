#ifndef HMAR_TESTS_KERNELS_GRIDS_OF_H_
#define HMAR_TESTS_KERNELS_GRIDS_OF_H_

// What tests and benchmarks of kernels that work on token grids start from.

#include <cstddef>
#include <random>
#include <vector>

#include "kernels/packed_rows.h"

namespace hmar {

// The grids of these sides, rising, as MakeGrids (model/cuda/cuda_tokenizer.h) gives a model's.
inline kernels::Grids GridsOf(const std::vector<int>& sides) {
  kernels::Grids grids;
  for (const int p : sides) {
    const int k = grids.scales++;
    grids.side[k] = p;
    if (k > 0) grids.first[k] = grids.first[k - 1] + grids.side[k - 1] * grids.side[k - 1];
    grids.most_tokens = p * p;
    grids.last = p;
  }
  return grids;
}

// Normal values of mean 0.
inline std::vector<float> Normal(size_t count, std::mt19937* random, float deviation = 1) {
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> values(count);
  for (float& v : values) v = normal(*random);
  return values;
}

}  // namespace hmar

#endif  // HMAR_TESTS_KERNELS_GRIDS_OF_H_
