#include "kernels/embed.h"

#include "kernels/dependent_launch.cuh"

// A block makes a tile of 64 rows x 256 columns, in two steps: what the rows see of their feature
// maps, averaged, into shared memory; then a small GEMM over the Z channels, a warp 8 rows, a lane
// 8 columns. word() is linear, so a row of known tokens embeds area(f_hat) + area(own) at once.

namespace hmar::kernels {
namespace {

constexpr int kMaxZ = 64;
constexpr int kWarp = 32;
constexpr int kWarps = 8;
constexpr int kThreads = kWarps * kWarp;
constexpr int kWarpRows = 8;
constexpr int kTileRows = kWarps * kWarpRows;
constexpr int kHalf = kWarp * 4;  // A lane has 4 columns in each half: accesses of 16 bytes.
constexpr int kTileColumns = 2 * kHalf;

// Where a row's vectors lie.
struct RowPlan {
  // First cell of the row's window in the feature maps, none where there is nothing to add.
  const float* f_hat;
  const float* own;
  int width, cells;  // Of the window.
  float share;       // 1 / cells
  // To be added to the word embedding, the second with weight 0 or 1: that needs no branch, which
  // loads would wait for.
  float second_weight;
  const float* position_C;
  const float* first_C;
  const float* second_C;
};

struct Shared {
  RowPlan plan[kTileRows];
  // Word vectors, transposed; a row's stride keeps 16-byte alignment and spreads banks.
  alignas(16) float z[kMaxZ][kTileRows + 4];
};

// The cells under a token, as PyTorch's adaptive_avg_pool2d: along each axis those from
// floor(i P / p) to ceil((i + 1) P / p).
struct Window {
  int x, y, width, height;
};

__device__ Window WindowOf(int token, int p, int P) {
  const int ty = token / p, tx = token % p;
  Window w;
  w.x = tx * P / p;
  w.y = ty * P / p;
  w.width = ((tx + 1) * P + p - 1) / p - w.x;
  w.height = ((ty + 1) * P + p - 1) / p - w.y;
  return w;
}

__device__ void PlanWord(const EmbedWeights& weights, const EmbedState& state, const Grids& grids,
                         const Segment& segment, int token, RowPlan* plan) {
  const int P = grids.last;
  const Window window = WindowOf(token, grids.side[segment.scale], P);
  const int64_t at =
      (static_cast<int64_t>(segment.slot) * P * P + window.y * P + window.x) * weights.Z;
  plan->f_hat = state.f_hat_PPZ + at;
  plan->width = window.width;
  plan->cells = window.width * window.height;
  plan->share = 1.0f / static_cast<float>(plan->cells);
  plan->first_C = weights.word_bias_C;
  plan->second_C = weights.mask_C;
  if (segment.kind != PassKind::kMask) return;
  const int64_t slot = segment.slot;
  if (state.open[slot * grids.most_tokens + token] != 0) {
    plan->second_weight = 1;
  } else {
    plan->own = state.own_PPZ + at;
  }
}

__device__ RowPlan PlanOf(const EmbedWeights& weights, const EmbedState& state, const Grids& grids,
                          const Segment& segment, int64_t row) {
  RowPlan plan = {};
  const int token = static_cast<int>(row - segment.first_row);
  plan.position_C =
      weights.position_LC + static_cast<int64_t>(grids.first[segment.scale] + token) * weights.C;
  if (segment.kind == PassKind::kNextScale && segment.scale == 0) {
    plan.first_C = weights.class_NC + static_cast<int64_t>(segment.class_row) * weights.C;
    plan.second_C = weights.pos_start_C;
    plan.second_weight = 1;
  } else {
    PlanWord(weights, state, grids, segment, token, &plan);
  }
  return plan;
}

// Neighbouring channels.
template <int kVector>
struct Channels {
  float z[kVector];
};

__device__ float4 Load4(const float* from) { return __ldg(reinterpret_cast<const float4*>(from)); }

template <int kVector>
__device__ Channels<kVector> LoadChannels(const float* from) {
  if constexpr (kVector == 4) {
    const float4 four = Load4(from);
    return {four.x, four.y, four.z, four.w};
  } else {
    return {__ldg(from)};
  }
}

// Sum of a window's cells; zero where `cell` is none. Loads go eight at a time: a single token may
// stand for a whole map, and then its sum is a chain of waits.
template <int kVector>
__device__ Channels<kVector> SumCells(const float* cell, int width, int cells, int P, int Z) {
  constexpr int kAtOnce = 8;
  Channels<kVector> sum = {};
  if (cell == nullptr) return sum;
  int x = 0;
  for (int i = 0; i < cells; i += kAtOnce) {
    Channels<kVector> loaded[kAtOnce] = {};
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      if (i + j < cells) loaded[j] = LoadChannels<kVector>(cell);
      x += 1;
      cell += Z;
      if (x == width) {
        x = 0;
        cell += (P - width) * Z;
      }
    }
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
#pragma unroll
      for (int v = 0; v < kVector; ++v) sum.z[v] += loaded[j].z[v];
    }
  }
  return sum;
}

// The word vectors of the block's rows.
template <int kVector>
__device__ void Average(int P, int Z, Shared* shared) {
  const int vectors = Z / kVector;
  for (int i = threadIdx.x; i < kTileRows * vectors; i += kThreads) {
    const int row = i / vectors, z = i % vectors * kVector;
    const RowPlan& plan = shared->plan[row];
    const auto sum = [&](const float* map) {
      return SumCells<kVector>(map == nullptr ? map : map + z, plan.width, plan.cells, P, Z);
    };
    const Channels<kVector> coarse = sum(plan.f_hat), own = sum(plan.own);
#pragma unroll
    for (int v = 0; v < kVector; ++v) {
      shared->z[z + v][row] = (coarse.z[v] + own.z[v]) * plan.share;
    }
  }
}

__device__ void AddProduct(float a, float4 b, float4* sum) {
  sum->x = fmaf(a, b.x, sum->x);
  sum->y = fmaf(a, b.y, sum->y);
  sum->z = fmaf(a, b.z, sum->z);
  sum->w = fmaf(a, b.w, sum->w);
}

// A lane's part of the output: of the warp's rows, 4 columns in each half.
using Sums = float4[kWarpRows][2];

// Position embeddings come first, while rows are averaged: they are the ones that L1 lacks.
__device__ void LoadPositions(const RowPlan* plans, const int (&columns)[2], Sums& sum) {
#pragma unroll
  for (int row = 0; row < kWarpRows; ++row) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      sum[row][half] = Load4(plans[row].position_C + columns[half]);
    }
  }
}

// Adds the word embeddings of the warp's rows.
__device__ void MultiplyWords(const EmbedWeights& weights, const Shared& shared, int first_row,
                              const int (&columns)[2], Sums& sum) {
#pragma unroll 2
  for (int z = 0; z < weights.Z; ++z) {
    const float* word_C = weights.word_ZC + static_cast<int64_t>(z) * weights.C;
    const float4 word[2] = {Load4(word_C + columns[0]), Load4(word_C + columns[1])};
#pragma unroll
    for (int row = 0; row < kWarpRows; row += 4) {
      const float4 a = *reinterpret_cast<const float4*>(&shared.z[z][first_row + row]);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        AddProduct(a.x, word[half], &sum[row][half]);
        AddProduct(a.y, word[half], &sum[row + 1][half]);
        AddProduct(a.z, word[half], &sum[row + 2][half]);
        AddProduct(a.w, word[half], &sum[row + 3][half]);
      }
    }
  }
}

__device__ void Store4(float4 values, __nv_bfloat16* to) {
  const __nv_bfloat162 pairs[2] = {__floats2bfloat162_rn(values.x, values.y),
                                   __floats2bfloat162_rn(values.z, values.w)};
  uint2 bits;
  memcpy(&bits, pairs, sizeof(bits));
  *reinterpret_cast<uint2*>(to) = bits;
}

// Adds what else the rows have, and writes those of the `rows` that exist.
__device__ void Finish(const RowPlan* plans, int rows, int column, int C, const Sums& sum,
                       __nv_bfloat16* x_TC) {
#pragma unroll
  for (int row = 0; row < kWarpRows; ++row) {
    const RowPlan& plan = plans[row];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int c = column + half * kHalf;
      if (row >= rows || c >= C) continue;
      float4 value = sum[row][half];
      AddProduct(1, Load4(plan.first_C + c), &value);
      AddProduct(plan.second_weight, Load4(plan.second_C + c), &value);
      Store4(value, x_TC + static_cast<int64_t>(row) * C + c);
    }
  }
}

template <int kVector>
__global__ void __launch_bounds__(kThreads, 2)
    EmbedTile(const __grid_constant__ EmbedWeights weights,
              const __grid_constant__ EmbedState state, const __grid_constant__ Grids grids,
              const Segment* segments, const int32_t* segment_of_row_T, int64_t T,
              __nv_bfloat16* x_TC) {
  __shared__ Shared shared;
  AwaitPredecessor();
  const int64_t tile_row = static_cast<int64_t>(blockIdx.x) * kTileRows;
  if (threadIdx.x < kTileRows) {
    // Rows beyond T repeat the last; nobody stores them. Likewise columns beyond C, below.
    const int64_t row = min(tile_row + threadIdx.x, T - 1);
    shared.plan[threadIdx.x] = PlanOf(weights, state, grids, segments[segment_of_row_T[row]], row);
  }
  __syncthreads();

  const int C = weights.C;
  const int first_row = static_cast<int>(threadIdx.x) / kWarp * kWarpRows;
  const int column = static_cast<int>(blockIdx.y) * kTileColumns + threadIdx.x % kWarp * 4;
  const int columns[2] = {min(column, C - 4), min(column + kHalf, C - 4)};
  Sums sum;
  LoadPositions(shared.plan + first_row, columns, sum);
  Average<kVector>(grids.last, weights.Z, &shared);
  __syncthreads();
  const int64_t row = tile_row + first_row;
  if (row >= T) return;
  MultiplyWords(weights, shared, first_row, columns, sum);
  const int rows = static_cast<int>(min(T - row, int64_t{kWarpRows}));
  Finish(shared.plan + first_row, rows, column, C, sum, x_TC + row * C);
}

}  // namespace

cudaError_t EmbedRows(const EmbedWeights& weights, const EmbedState& state, const Grids& grids,
                      const Segment* segments, const int32_t* segment_of_row_T, int64_t T,
                      __nv_bfloat16* x_TC, cudaStream_t stream) {
  if (T == 0) return cudaSuccess;
  if (T < 0 || T > INT32_MAX || weights.C <= 0 || weights.C % 8 != 0 || weights.Z <= 0 ||
      weights.Z > kMaxZ || grids.scales <= 0 || grids.scales > Grids::kMaxScales ||
      grids.last <= 0) {
    return cudaErrorInvalidValue;
  }
  const dim3 tiles(static_cast<unsigned>((T + kTileRows - 1) / kTileRows),
                   static_cast<unsigned>((weights.C + kTileColumns - 1) / kTileColumns));
  const auto embed = weights.Z % 4 == 0 ? EmbedTile<4> : EmbedTile<1>;
  return LaunchDependent(embed, tiles, kThreads, 0, stream, weights, state, grids, segments,
                         segment_of_row_T, T, x_TC);
}

}  // namespace hmar::kernels
