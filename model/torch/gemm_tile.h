#ifndef HMAR_MODEL_TORCH_GEMM_TILE_H_
#define HMAR_MODEL_TORCH_GEMM_TILE_H_

#include <cstdint>

namespace hmar {

// Outputs a panel of packed weights holds.
inline constexpr int64_t kPanelWidth = 32;

// One panel's part of a linear layer: out[t][o] = bias[o] + sum over k, in rising order, of x[t][k]
// * panel[k][o].
struct GemmTile {
  const float* x = nullptr;      // (rows, inputs), without gaps.
  const float* panel = nullptr;  // (inputs, kPanelWidth)
  const float* bias = nullptr;   // (kPanelWidth)
  float* out = nullptr;          // (rows, columns), `stride` floats from row to row.
  int64_t rows = 0;
  int64_t inputs = 0;
  int64_t columns = 0;  // At most kPanelWidth.
  int64_t stride = 0;
};

// Computes it with the widest vectors that this machine has.
void RunGemmTile(const GemmTile& tile);

}  // namespace hmar

#endif  // HMAR_MODEL_TORCH_GEMM_TILE_H_
