#ifndef HMAR_KERNELS_EMBED_PLAN_CUH_
#define HMAR_KERNELS_EMBED_PLAN_CUH_

// Of EmbedRows: what rows are made of, and sums of feature maps' cells. Included by embed.cu and
// embed_few_rows.cuh alone.

#include "kernels/embed.h"

namespace hmar::kernels {
namespace {

constexpr int kMaxZ = 64;
constexpr int kWarp = 32;

// Where a row's vectors lie.
struct RowPlan {
  // First cell of the row's window in the feature maps, none where there is nothing to add.
  const float* f_hat;
  const float* own;
  const uint8_t* open;  // Of a mask pass: whether the token is; then `own` does not count.
  int width, cells;     // Of the window.
  float share;          // 1 / cells
  // To be added to the word embedding, the second with weight 0 or 1: that needs no branch, which
  // loads would wait for.
  float second_weight;
  const float* position_C;
  const float* first_C;
  const float* second_C;
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
  plan->own = state.own_PPZ + at;
  plan->open = state.open + static_cast<int64_t>(segment.slot) * grids.most_tokens + token;
}

// From the step's tables alone: may go before the kernel ahead is done.
__device__ RowPlan PlanOf(const EmbedWeights& weights, const EmbedState& state, const Grids& grids,
                          const Segment* segments, const int32_t* segment_of_row_T, int64_t row) {
  const Segment segment = segments[segment_of_row_T[row]];
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

  __device__ void Add(const Channels& other) {
#pragma unroll
    for (int v = 0; v < kVector; ++v) z[v] += other.z[v];
  }
};

// Of weights.
__device__ float4 Load4(const float* from) { return __ldg(reinterpret_cast<const float4*>(from)); }

// Of feature maps: not as read-only data, which might be read before the kernel ahead is done.
template <int kVector>
__device__ Channels<kVector> LoadChannels(const float* from) {
  __builtin_assume(__isGlobal(from));  // It comes from a plan in shared memory.
  if constexpr (kVector == 4) {
    const float4 four = *reinterpret_cast<const float4*>(from);
    return {four.x, four.y, four.z, four.w};
  } else {
    return {*from};
  }
}

// A window's sum is that of groups of kGroup cells, row by row, each group's cells one after the
// other and then the groups: an order that every kernel can keep, with a group's loads in flight
// together and its groups in one thread or in many.
constexpr int kGroup = 8;

// Where in the window a group starts.
struct Place {
  const float* cell;
  int x;     // In the window.
  int left;  // Cells from here on; none where not above 0.
};

// The group's sum; moves on to the next one.
template <int kVector>
__device__ Channels<kVector> SumGroup(int width, int P, int Z, Place* place) {
  Channels<kVector> loaded[kGroup] = {};
#pragma unroll
  for (int j = 0; j < kGroup; ++j) {
    if (j < place->left) loaded[j] = LoadChannels<kVector>(place->cell);
    place->x += 1;
    place->cell += Z;
    if (place->x == width) {
      place->x = 0;
      place->cell += (P - width) * Z;
    }
  }
  place->left -= kGroup;
  Channels<kVector> sum = {};
#pragma unroll
  for (int j = 0; j < kGroup; ++j) sum.Add(loaded[j]);
  return sum;
}

__device__ void AddProduct(float a, float4 b, float4* sum) {
  sum->x = fmaf(a, b.x, sum->x);
  sum->y = fmaf(a, b.y, sum->y);
  sum->z = fmaf(a, b.z, sum->z);
  sum->w = fmaf(a, b.w, sum->w);
}

}  // namespace
}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_EMBED_PLAN_CUH_
