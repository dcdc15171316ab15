#include "model/torch/gemm_tile.h"

#include <algorithm>
#include <cstring>

// Compiled with -O3 -ffp-contract=fast: products are fused into sums where the machine can.

#define HMAR_INLINE static inline __attribute__((always_inline))

namespace hmar {
namespace {

// Vectors of 4, 8 and 16 floats.
typedef float Vector4 __attribute__((vector_size(16)));
typedef float Vector8 __attribute__((vector_size(32)));
typedef float Vector16 __attribute__((vector_size(64)));

// From and to any address: rows of odd widths are not aligned.
template <typename Vector>
HMAR_INLINE void Load(const float* from, Vector* vector) {
  std::memcpy(vector, from, sizeof(Vector));
}
template <typename Vector>
HMAR_INLINE void Store(const Vector& vector, float* to) {
  std::memcpy(to, &vector, sizeof(Vector));
}

// kRows rows by two vectors of outputs, held in registers over all of k.
template <typename Vector, int kRows>
HMAR_INLINE void Block(const GemmTile& tile, int64_t row, int64_t column) {
  constexpr int64_t kLanes = sizeof(Vector) / sizeof(float);
  Vector sums[kRows][2] = {};
  const float* x = tile.x + row * tile.inputs;
  const float* panel = tile.panel + column;
  for (int64_t k = 0; k < tile.inputs; ++k, panel += kPanelWidth) {
    Vector w0, w1;
    Load(panel, &w0);
    Load(panel + kLanes, &w1);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const float value = x[r * tile.inputs + k];
      sums[r][0] += value * w0;
      sums[r][1] += value * w1;
    }
  }
  Vector bias0, bias1;
  Load(tile.bias + column, &bias0);
  Load(tile.bias + column + kLanes, &bias1);
  const int64_t columns = std::min<int64_t>(tile.columns - column, 2 * kLanes);
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    float* out = tile.out + (row + r) * tile.stride + column;
    sums[r][0] += bias0;
    sums[r][1] += bias1;
    if (columns == 2 * kLanes) {
      Store(sums[r][0], out);
      Store(sums[r][1], out + kLanes);
    } else {
      for (int64_t c = 0; c < columns; ++c)
        out[c] = c < kLanes ? sums[r][0][c] : sums[r][1][c - kLanes];
    }
  }
}

// All rows in blocks of kRows, the rest in smaller ones. The blocks of one row range differ in
// nothing but kRows.
template <typename Vector, int kRows>
HMAR_INLINE void Tile(const GemmTile& tile) {
  constexpr int64_t kColumns = 2 * sizeof(Vector) / sizeof(float);
  for (int64_t column = 0; column < tile.columns; column += kColumns) {
    int64_t row = 0;
    for (; row + kRows <= tile.rows; row += kRows) Block<Vector, kRows>(tile, row, column);
    for (; kRows > 8 && row + 8 <= tile.rows; row += 8) Block<Vector, 8>(tile, row, column);
    for (; row + 4 <= tile.rows; row += 4) Block<Vector, 4>(tile, row, column);
    for (; row + 2 <= tile.rows; row += 2) Block<Vector, 2>(tile, row, column);
    for (; row < tile.rows; ++row) Block<Vector, 1>(tile, row, column);
  }
}

void TileBase(const GemmTile& tile) { Tile<Vector4, 4>(tile); }

#if defined(__x86_64__)
// Two vectors a row leave registers for 6 rows of 16 ymm and 12 rows of 32 zmm.
__attribute__((target("avx2,fma"))) void TileAvx2(const GemmTile& tile) { Tile<Vector8, 6>(tile); }
__attribute__((target("avx512f"))) void TileAvx512(const GemmTile& tile) {
  Tile<Vector16, 12>(tile);
}
#endif

using TileFunction = void (*)(const GemmTile&);

TileFunction Choose() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return TileAvx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return TileAvx2;
#endif
  return TileBase;
}

}  // namespace

void RunGemmTile(const GemmTile& tile) {
  static const TileFunction function = Choose();
  function(tile);
}

}  // namespace hmar
