#ifndef HMAR_KERNELS_F_HAT_ENLARGE_CUH_
#define HMAR_KERNELS_F_HAT_ENLARGE_CUH_

// Of LayTokens: a block's tile, and its h from tokens. Included by f_hat.cu alone.

#include "kernels/f_hat.h"

namespace hmar::kernels {
namespace {

constexpr int kWarp = 32;
constexpr int kWarps = 4;
constexpr int kTileRows = 2;
constexpr int kHRows = kTileRows + 2;  // Of h: the tile and its neighbours.

// What bicubic enlargement needs at most: n output coordinates in a row start from inputs that are
// no more than n - 1 apart, and each reads 4.
constexpr int kInRows = kHRows - 1 + 4;

// A block's image and tile.
struct Image {
  int p, P;
  int x0, y0;             // The tile's first pixel.
  const int32_t* tokens;  // (p, p)
  // Tables of the scale.
  const int32_t* index_P4;
  const float* weight_P4;
  const float* phi_Z9Z;
  const float* bias_Z;
  float* out_PPZ;
};

// kPieces: channels a lane, 32 apart. kPixels: of a warp, neighbours in a row. Neither what a pixel
// is made of nor the order of its sums depends on them.
template <int kPieces_, int kPixels_>
struct Shared {
  static constexpr int kPieces = kPieces_;
  static constexpr int kPixels = kPixels_;
  static constexpr int kColumns = kWarps / kTileRows * kPixels;  // Of the tile.
  static constexpr int kHColumns = kColumns + 2;
  static constexpr int kInColumns = kHColumns - 1 + 4;
  static constexpr int kZ = kPieces * kWarp;               // Channels, padded.
  static constexpr int kStage = 32 / (kPieces * kPieces);  // Input channels whose weights fit.

  alignas(16) float h[kHRows][kHColumns][kZ];
  alignas(16) float phi[kStage][9][kZ];
  alignas(16) float row_weight[kInRows][kHRows];  // Of an input row in a row of h.
  // Of a column of h: the four inputs and their weights.
  int4 column_index[kHColumns];
  float4 column_weight[kHColumns];
  int32_t tokens[kInRows][kInColumns];
};

template <int kColumns>
__device__ Image ImageOfBlock(const ContributionWeights& weights, const Grids& grids,
                              const TokenMapJob* jobs, const int32_t* tokens_L, int64_t L,
                              float* out_PPZ) {
  const int P = grids.last, Z = weights.Z;
  const int tiles_across = (P + kColumns - 1) / kColumns;
  const int tiles = tiles_across * ((P + kTileRows - 1) / kTileRows);
  const TokenMapJob job = jobs[blockIdx.x / tiles];
  const int tile = static_cast<int>(blockIdx.x) % tiles;
  Image image;
  image.p = grids.side[job.scale];
  image.P = P;
  image.tokens = tokens_L + job.slot * L + grids.first[job.scale];
  image.index_P4 = weights.bicubic_index_KP4 + job.scale * P * 4;
  image.weight_P4 = weights.bicubic_weight_KP4 + job.scale * P * 4;
  image.phi_Z9Z = weights.phi_KZ9Z + job.scale * Z * 9 * Z;
  image.bias_Z = weights.phi_bias_KZ + job.scale * Z;
  image.out_PPZ = out_PPZ + static_cast<int64_t>(job.slot) * P * P * Z;
  image.x0 = tile % tiles_across * kColumns;
  image.y0 = tile / tiles_across * kTileRows;
  return image;
}

// The tile's h where tokens and pixels are one: codebook vectors; zeros beyond the image.
template <typename S>
__device__ void LookUp(const Image& image, const float* __restrict__ codebook_VZ, int Z,
                       S* shared) {
  constexpr int kRounds = (S::kHColumns + kWarps - 1) / kWarps;
  const int first_column = threadIdx.x / kWarp;
  int token[kRounds][kHRows];  // -1: none.
#pragma unroll
  for (int i = 0; i < kRounds * kHRows; ++i) {
    const int column = first_column + i / kHRows * kWarps;
    const int x = image.x0 - 1 + column, y = image.y0 - 1 + i % kHRows;
    const bool inside = column < S::kHColumns && x >= 0 && x < image.P && y >= 0 && y < image.P;
    token[i / kHRows][i % kHRows] = inside ? image.tokens[y * image.P + x] : -1;
  }
#pragma unroll
  for (int i = 0; i < kRounds * kHRows; ++i) {
    const int column = first_column + i / kHRows * kWarps, row = i % kHRows;
    const int64_t t = token[i / kHRows][row];
#pragma unroll
    for (int z = threadIdx.x % kWarp; z < S::kZ; z += kWarp) {
      const float code = t >= 0 && z < Z ? codebook_VZ[t * Z + z] : 0.0f;
      if (column < S::kHColumns) shared->h[row][column][z] = code;
    }
  }
}

// Inputs of the tile's h: what its first row (or column) inside the image reads first, to what its
// last reads last. `from`: the coordinate before the tile's.
struct Span {
  int first, count;
};

__device__ Span InputsOf(const int32_t* index_P4, int P, int from, int length) {
  const int first = index_P4[max(from, 0) * 4];
  return {first, index_P4[min(from + length - 1, P - 1) * 4 + 3] - first + 1};
}

// The inputs of the tile's h.
struct Inputs {
  Span rows, columns;
};

template <typename S>
__device__ void StageColumns(const Image& image, S* shared) {
  static_assert(S::kHColumns <= kWarp);
  const int column = threadIdx.x - (kWarps - 1) * kWarp;  // By the last warp.
  if (column < 0 || column >= S::kHColumns) return;
  const int near =
      min(max(image.x0 - 1 + column, 0), image.P - 1);  // The span holds what it reads.
  shared->column_index[column] = reinterpret_cast<const int4*>(image.index_P4)[near];
  shared->column_weight[column] = reinterpret_cast<const float4*>(image.weight_P4)[near];
}

// Where the inputs are, and weights into shared memory: of tables alone.
template <typename S>
__device__ Inputs StageTables(const Image& image, S* shared) {
  const Inputs inputs = {InputsOf(image.index_P4, image.P, image.y0 - 1, kHRows),
                         InputsOf(image.index_P4, image.P, image.x0 - 1, S::kHColumns)};
  StageColumns(image, shared);
  static_assert(kHRows * kInRows <= kWarps * kWarp);
  if (threadIdx.x < kHRows * kInRows) {
    const int row = threadIdx.x / kInRows, in_row = threadIdx.x % kInRows;
    const int y = image.y0 - 1 + row, in = inputs.rows.first + in_row;
    const int near = min(max(y, 0), image.P - 1);
    const int4 index = reinterpret_cast<const int4*>(image.index_P4)[near];
    const float4 weight = reinterpret_cast<const float4*>(image.weight_P4)[near];
    // At the border several of the four are one.
    const float sum = (index.x == in ? weight.x : 0.0f) + (index.y == in ? weight.y : 0.0f) +
                      (index.z == in ? weight.z : 0.0f) + (index.w == in ? weight.w : 0.0f);
    shared->row_weight[in_row][row] = y == near ? sum : 0.0f;
  }
  return inputs;
}

template <typename S>
__device__ void StageTokens(const Image& image, const Inputs& inputs, S* shared) {
  constexpr int kInColumns = S::kInColumns;
  for (int i = threadIdx.x; i < kInRows * kInColumns; i += kWarps * kWarp) {
    const int row = i / kInColumns, column = i % kInColumns;
    // Beyond the span any token will do: its weight is zero.
    const int in_row = inputs.rows.first + min(row, inputs.rows.count - 1);
    const int in_column = inputs.columns.first + min(column, inputs.columns.count - 1);
    shared->tokens[row][column] = image.tokens[in_row * image.p + in_column];
  }
}

// One column of the tile's h: each input row horizontally, and from there into h's rows.
template <typename S>
__device__ void EnlargeColumn(const Image& image, const float* __restrict__ codebook_VZ, int Z,
                              int first_column, int column, S* shared) {
  const int x = image.x0 - 1 + column;
  const bool inside = x >= 0 && x < image.P;
  const int4 index = shared->column_index[column];
  const float4 weight = shared->column_weight[column];
#pragma unroll
  for (int z = threadIdx.x % kWarp; z < S::kZ; z += kWarp) {
    const bool zero = !inside || z >= Z;
    const float* codes = codebook_VZ + (zero ? 0 : z);
    float h[kHRows] = {};
#pragma unroll
    for (int r = 0; r < kInRows; ++r) {
      const int32_t* tokens = shared->tokens[r] - first_column;
      const auto code = [&](int i) { return codes[static_cast<int64_t>(tokens[i]) * Z]; };
      // Roundings are spelt out: they must not depend on the tile.
      float across = __fmul_rn(weight.x, code(index.x));
      across = __fmaf_rn(weight.y, code(index.y), across);
      across = __fmaf_rn(weight.z, code(index.z), across);
      across = __fmaf_rn(weight.w, code(index.w), across);
#pragma unroll
      for (int row = 0; row < kHRows; ++row) {
        h[row] = __fmaf_rn(shared->row_weight[r][row], across, h[row]);
      }
    }
#pragma unroll
    for (int row = 0; row < kHRows; ++row) shared->h[row][column][z] = zero ? 0.0f : h[row];
  }
}

// The tile's h at the scales before the last, from tokens and weights.
template <typename S>
__device__ void Enlarge(const Image& image, const float* codebook_VZ, int Z, int first_column,
                        S* shared) {
  for (int column = threadIdx.x / kWarp; column < S::kHColumns; column += kWarps) {
    EnlargeColumn(image, codebook_VZ, Z, first_column, column, shared);
  }
}

}  // namespace
}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_F_HAT_ENLARGE_CUH_
