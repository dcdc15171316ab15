#include "kernels/embed.h"

#include "kernels/dependent_launch.cuh"
#include "kernels/embed_few_rows.cuh"
#include "kernels/embed_plan.cuh"

// A block makes a tile of 64 rows x 256 columns, in two steps: what the rows see of their feature
// maps, averaged, into shared memory; then a small GEMM over the Z channels, a warp 8 rows, a lane
// 8 columns. word() is linear, so a row of known tokens embeds area(f_hat) + area(own) at once.
// Where rows are few, EmbedFewRows does the same in more and smaller blocks.

namespace hmar::kernels {
namespace {

constexpr int kWarps = 8;
constexpr int kThreads = kWarps * kWarp;
constexpr int kWarpRows = 8;
constexpr int kTileRows = kWarps * kWarpRows;
constexpr int kHalf = kWarp * 4;  // A lane has 4 columns in each half: accesses of 16 bytes.
constexpr int kTileColumns = 2 * kHalf;

struct Shared {
  RowPlan plan[kTileRows];
  // Word vectors, transposed; a row's stride keeps 16-byte alignment and spreads banks.
  alignas(16) float z[kMaxZ][kTileRows + 4];
};

// Sum of a window's cells; zero where `cell` is none.
template <int kVector>
__device__ Channels<kVector> SumCells(const float* cell, int width, int cells, int P, int Z) {
  Channels<kVector> sum = {};
  if (cell == nullptr) return sum;
  Place place = {cell, 0, cells};
  while (place.left > 0) sum.Add(SumGroup<kVector>(width, P, Z, &place));
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
  const int64_t tile_row = static_cast<int64_t>(blockIdx.x) * kTileRows;
  // Rows beyond T repeat the last; nobody stores them. Likewise columns beyond C, below.
  const int64_t plan_row = min(tile_row + threadIdx.x % kTileRows, T - 1);
  RowPlan plan = PlanOf(weights, state, grids, segments, segment_of_row_T, plan_row);
  AwaitPredecessor();
  if (threadIdx.x < kTileRows) {
    if (plan.open != nullptr && *plan.open != 0) {
      plan.second_weight = 1;
      plan.own = nullptr;
    }
    shared.plan[threadIdx.x] = plan;
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
  const auto grid = [&](int rows, int columns) {
    return dim3(static_cast<unsigned>((T + rows - 1) / rows),
                static_cast<unsigned>((weights.C + columns - 1) / columns));
  };
  if (T <= kMostFewRows && weights.Z % 4 == 0) {
    return LaunchDependent(EmbedFewRows, grid(kFewTileRows, kFewThreads), kFewThreads, 0, stream,
                           weights, state, grids, segments, segment_of_row_T, T, x_TC);
  }
  const auto embed = weights.Z % 4 == 0 ? EmbedTile<4> : EmbedTile<1>;
  return LaunchDependent(embed, grid(kTileRows, kTileColumns), kThreads, 0, stream, weights, state,
                         grids, segments, segment_of_row_T, T, x_TC);
}

}  // namespace hmar::kernels
