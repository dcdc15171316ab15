#ifndef HMAR_KERNELS_EMBED_FEW_ROWS_CUH_
#define HMAR_KERNELS_EMBED_FEW_ROWS_CUH_

// EmbedRows where rows are few and its time is a chain of waits: a block makes 8 rows x 256
// columns, a thread one column. What is known before the kernel ahead is done lies in registers by
// then: word_ZC, positions, biases. A warp averages a row. Rows have the bytes that EmbedTile gives
// them: the order of every sum is the same. Included by embed.cu alone.

#include <cuda_bf16.h>

#include "kernels/dependent_launch.cuh"
#include "kernels/embed_plan.cuh"

namespace hmar::kernels {
namespace {

constexpr int64_t kMostFewRows = 1024;
constexpr int kFewTileRows = 8;
constexpr int kFewThreads = kFewTileRows * kWarp;
constexpr int kWordsAtOnce = 32;  // Of a thread's column of word_ZC, in registers.

struct FewShared {
  RowPlan plan[kFewTileRows];
  alignas(16) float second_weight[kFewTileRows];
  alignas(16) float z[kMaxZ][kFewTileRows];  // Word vectors, transposed.
};

// word_ZC[first + i][column]; Z is a multiple of 4.
__device__ void LoadWords(const EmbedWeights& weights, int first, int column,
                          float (&word)[kWordsAtOnce]) {
  const float* from = weights.word_ZC + static_cast<int64_t>(first) * weights.C + column;
#pragma unroll
  for (int i = 0; i < kWordsAtOnce; i += 4) {
    if (first + i >= weights.Z) break;
#pragma unroll
    for (int j = 0; j < 4; ++j) word[i + j] = __ldg(from + static_cast<int64_t>(i + j) * weights.C);
  }
}

// What a thread adds to the word embeddings of its column.
struct ColumnTerms {
  float position[kFewTileRows];
  float first[kFewTileRows];
  float second[kFewTileRows];

  __device__ ColumnTerms(const FewShared& shared, int column) {
#pragma unroll
    for (int row = 0; row < kFewTileRows; ++row) {
      const RowPlan& plan = shared.plan[row];
      position[row] = __ldg(plan.position_C + column);
      first[row] = __ldg(plan.first_C + column);
      second[row] = __ldg(plan.second_C + column);
    }
  }
};

// Sum of a window's cells by a warp: lane v + vectors * g has channels [4 v, 4 v + 4) of every
// `at_once`-th group from the g-th. Each lane gets the sum of its channels.
__device__ Channels<4> SumByWarp(const float* map, const RowPlan& plan, int P, int Z) {
  const int vectors = Z / 4, at_once = kWarp / vectors;
  const int lane = threadIdx.x % kWarp, vector = lane % vectors, own_group = lane / vectors;
  Channels<4> sum = {};
  for (int first = 0; first < plan.cells; first += at_once * kGroup) {
    // Lanes beyond at_once * vectors load what nobody asks them for.
    const int at = first + own_group * kGroup;
    Place place = {map + (at / plan.width * P + at % plan.width) * Z + vector * 4, at % plan.width,
                   plan.cells - at};
    const Channels<4> group = SumGroup<4>(plan.width, P, Z, &place);
    for (int g = 0; g < at_once; ++g) {
      Channels<4> next;
#pragma unroll
      for (int v = 0; v < 4; ++v) {
        next.z[v] = __shfl_sync(0xFFFFFFFF, group.z[v], g * vectors + vector);
      }
      sum.Add(next);
    }
  }
  return sum;
}

// The warp's row: its word vector and second_weight.
__device__ void AverageRow(int P, int Z, FewShared* shared) {
  const int row = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const RowPlan& plan = shared->plan[row];
  Channels<4> coarse = {}, own = {};
  bool open = false;
  if (plan.open != nullptr) {
    // Its own tokens are summed while `open` arrives.
    open = *plan.open != 0;
    own = SumByWarp(plan.own, plan, P, Z);
  }
  if (plan.f_hat != nullptr) coarse = SumByWarp(plan.f_hat, plan, P, Z);
  if (lane == 0) shared->second_weight[row] = open ? 1.0f : plan.second_weight;
  if (lane >= Z / 4) return;
#pragma unroll
  for (int v = 0; v < 4; ++v) {
    shared->z[lane * 4 + v][row] = (coarse.z[v] + (open ? 0.0f : own.z[v])) * plan.share;
  }
}

// Adds channels [first, first + kWordsAtOnce) to the rows' sums.
__device__ void MultiplyColumn(const FewShared& shared, int first, int Z,
                               const float (&word)[kWordsAtOnce], float (&sum)[kFewTileRows]) {
#pragma unroll
  for (int i = 0; i < kWordsAtOnce; i += 4) {
    if (first + i >= Z) break;
#pragma unroll
    for (int j = i; j < i + 4; ++j) {
      const float4* z = reinterpret_cast<const float4*>(shared.z[first + j]);
#pragma unroll
      for (int row = 0; row < kFewTileRows; row += 4) {
        const float4 a = z[row / 4];
        sum[row] = fmaf(a.x, word[j], sum[row]);
        sum[row + 1] = fmaf(a.y, word[j], sum[row + 1]);
        sum[row + 2] = fmaf(a.z, word[j], sum[row + 2]);
        sum[row + 3] = fmaf(a.w, word[j], sum[row + 3]);
      }
    }
  }
}

__global__ void __launch_bounds__(kFewThreads, 2)
    EmbedFewRows(const __grid_constant__ EmbedWeights weights,
                 const __grid_constant__ EmbedState state, const __grid_constant__ Grids grids,
                 const Segment* segments, const int32_t* segment_of_row_T, int64_t T,
                 __nv_bfloat16* x_TC) {
  __shared__ FewShared shared;
  const int C = weights.C, Z = weights.Z;
  const int column = static_cast<int>(blockIdx.y) * kFewThreads + static_cast<int>(threadIdx.x);
  const int near_column = min(column, C - 1);  // Nobody stores columns beyond C, nor rows beyond T.
  const int64_t tile_row = static_cast<int64_t>(blockIdx.x) * kFewTileRows;
  float word[kWordsAtOnce];
  LoadWords(weights, 0, near_column, word);
  if (threadIdx.x < kFewTileRows) {
    const int64_t row = min(tile_row + threadIdx.x, T - 1);
    shared.plan[threadIdx.x] = PlanOf(weights, state, grids, segments, segment_of_row_T, row);
  }
  __syncthreads();
  ColumnTerms terms(shared, near_column);

  AwaitPredecessor();
  AverageRow(grids.last, Z, &shared);
  __syncthreads();
  MultiplyColumn(shared, 0, Z, word, terms.position);
  for (int first = kWordsAtOnce; first < Z; first += kWordsAtOnce) {
    LoadWords(weights, first, near_column, word);
    MultiplyColumn(shared, first, Z, word, terms.position);
  }
#pragma unroll
  for (int row = 0; row < kFewTileRows; ++row) {
    if (column >= C || tile_row + row >= T) break;
    const float embedded = fmaf(1, terms.first[row], terms.position[row]);
    x_TC[(tile_row + row) * C + column] =
        __float2bfloat16_rn(fmaf(shared.second_weight[row], terms.second[row], embedded));
  }
}

}  // namespace
}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_EMBED_FEW_ROWS_CUH_
