#include "model/edit.h"

#include <algorithm>
#include <cmath>

namespace hmar {
namespace {

// Where output cell i of p lies between two input cells of P.
struct Between {
  int low = 0;
  int high = 0;
  float weight_low = 1;
  float weight_high = 0;
};

Between SourceOf(int i, int p, int P) {
  const float ratio = static_cast<float>(P) / static_cast<float>(p);
  // Rounded once, as PyTorch's kernels for AVX2 and later do it: ties hang on it.
  const float centre = std::max(0.0f, std::fma(ratio, static_cast<float>(i) + 0.5f, -0.5f));
  Between source;
  source.low = std::min(static_cast<int>(centre), P - 1);
  source.high = std::min(source.low + 1, P - 1);
  source.weight_high = std::clamp(centre - static_cast<float>(source.low), 0.0f, 1.0f);
  source.weight_low = 1 - source.weight_high;
  return source;
}

KeepMap Reduce(const KeepMap& keep_PP, int P, int p) {
  KeepMap keep;
  for (int y = 0; y < p; ++y) {
    const Between rows = SourceOf(y, p, P);
    const uint8_t* low = &keep_PP[static_cast<size_t>(rows.low) * P];
    const uint8_t* high = &keep_PP[static_cast<size_t>(rows.high) * P];
    for (int x = 0; x < p; ++x) {
      const Between columns = SourceOf(x, p, P);
      float sum = rows.weight_low * columns.weight_low * low[columns.low];
      sum += rows.weight_low * columns.weight_high * low[columns.high];
      sum += rows.weight_high * columns.weight_low * high[columns.low];
      sum += rows.weight_high * columns.weight_high * high[columns.high];
      keep.push_back(sum > 0.5f);
    }
  }
  return keep;
}

}  // namespace

KeepMap KeepCells(absl::Span<const uint8_t> region_SS, const ModelConfig& config) {
  const int S = config.image_size, P = config.last_grid(), cell = S / P;
  KeepMap keep(static_cast<size_t>(P) * P, 1);
  for (int y = 0; y < S; ++y) {
    for (int x = 0; x < S; ++x) {
      if (region_SS[static_cast<size_t>(y) * S + x] != 0) keep[y / cell * P + x / cell] = 0;
    }
  }
  return keep;
}

std::vector<KeepMap> KeepMaps(const KeepMap& keep_PP, const ModelConfig& config) {
  std::vector<KeepMap> maps;
  for (const int p : config.patch_nums) {
    maps.push_back(p == 1 ? KeepMap{1} : Reduce(keep_PP, config.last_grid(), p));
  }
  return maps;
}

uint32_t Generated(const KeepMap& keep_n) {
  return static_cast<uint32_t>(std::count(keep_n.begin(), keep_n.end(), 0));
}

}  // namespace hmar
