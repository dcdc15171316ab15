#ifndef HMAR_KERNELS_CONV2D_PARTIALS_CUH_
#define HMAR_KERNELS_CONV2D_PARTIALS_CUH_

// Statistics of a convolution's output for the GroupNorm behind it: count, mean and M2 (sum of
// squared deviations from the mean) of each chunk of 4 rows x 16 pixels and each of 32 groups of
// neighbouring channels. Three steps, by four warps that have a row of the chunk each:
//   1. a lane takes pairs of channels and sums the row's pixels up, about the first of them;
//   2. a lane takes a group and merges its channels;
//   3. four lanes take a group and merge its rows.
// Moments merge by exact identities (Chan, Golub, LeVeque), so nothing is lost to a large mean.
// Whatever tile a kernel works in, a group's values meet in the same order. Every multiplication
// that a compiler could or could not fuse with an addition is fused by hand: bytes must not depend
// on the kernel that this is inlined into.

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/conv2d_internal.h"

namespace hmar::kernels {

struct Moments {
  float mean, m2;
};

// Of two neighbouring channels, laid out for a 16-byte store.
struct alignas(16) PairMoments {
  Moments low, high;
};

#if defined(__CUDACC__)

// The groups of a row: [first, first + groups).
struct GroupSpan {
  int first, groups;
};

// About `shift`, one of the values: so sum(d^2) - sum(d)^2 / n loses at most log2(n + 1), 4 of
// fp32's 24 bits.
struct ShiftedSums {
  float shift, sum = 0, square = 0;

  __device__ void Add(float x) {
    const float d = x - shift;
    sum += d;
    square = fmaf(d, d, square);
  }
  __device__ Moments Finish(float inverse_count) const {
    const float offset = __fmul_rn(sum, inverse_count);
    return {__fadd_rn(shift, offset), fmaxf(fmaf(-sum, offset, square), 0)};
  }
};

// bf16 is the upper half of an fp32.
__device__ inline float LowBf16(uint32_t pair) { return __uint_as_float(pair << 16); }
__device__ inline float HighBf16(uint32_t pair) { return __uint_as_float(pair & 0xFFFF0000u); }

// Step 1: of the first `pixels` (1 to 16) of a row. words: of the first pixel; the others' `stride`
// words apart.
template <typename Stride>
__device__ inline PairMoments MomentsOfPair(const uint32_t* words, Stride stride, int pixels) {
  uint32_t raw[kChunkColumns] = {words[0]};
#pragma unroll
  for (int pixel = 1; pixel < kChunkColumns; ++pixel) {
    // Beyond the border the shift itself, which adds nothing.
    raw[pixel] = pixel < pixels ? words[pixel * stride] : raw[0];
  }
  ShiftedSums low = {LowBf16(raw[0])}, high = {HighBf16(raw[0])};
#pragma unroll
  for (int pixel = 1; pixel < kChunkColumns; ++pixel) {
    low.Add(LowBf16(raw[pixel]));
    high.Add(HighBf16(raw[pixel]));
  }
  const float inverse_count = 1.0f / static_cast<float>(pixels);
  return {low.Finish(inverse_count), high.Finish(inverse_count)};
}

// Step 2: channels of `pixels` values each.
__device__ inline Moments MergeChannels(const Moments* channels, int width, int pixels) {
  float sum = 0, m2 = 0;
#pragma unroll 5
  for (int c = 0; c < width; ++c) sum += channels[c].mean;
  const float mean = __fdiv_rn(sum, static_cast<float>(width));
#pragma unroll 5
  for (int c = 0; c < width; ++c) {
    const float d = channels[c].mean - mean;
    m2 = __fadd_rn(m2, fmaf(__fmul_rn(static_cast<float>(pixels), d), d, channels[c].m2));
  }
  return {mean, m2};
}

__device__ inline float SumOfRows(float value) {
  value += __shfl_xor_sync(0xFFFFFFFFu, value, 1);
  return value + __shfl_xor_sync(0xFFFFFFFFu, value, 2);
}

// Step 3, by 128 threads: the first `rows` (0 to 4) rows of groups of `values` values each.
// partials: of the chunk, (3, 32).
__device__ inline void MergeRows(const Moments (&rows_of_groups)[kChunkRows][kGroups],
                                 const GroupSpan& span, int rows, int values, float* partials) {
  const int group = threadIdx.x % 128 / kChunkRows, row = threadIdx.x % kChunkRows;
  const bool inside = group < span.groups && row < rows;
  const Moments mine = inside ? rows_of_groups[row][group] : Moments{0, 0};
  const float mean = __fdiv_rn(SumOfRows(mine.mean), static_cast<float>(rows));
  const float d = mine.mean - mean;
  const float m2 =
      SumOfRows(inside ? fmaf(__fmul_rn(static_cast<float>(values), d), d, mine.m2) : 0);
  if (group >= span.groups || rows == 0) return;
  float* const out = partials + span.first + group;
  if (row == 0) {
    out[0] = static_cast<float>(rows * values);
  } else if (row == 1) {
    out[kGroups] = mean;
  } else if (row == 2) {
    out[2 * kGroups] = m2;
  }
}

#endif  // __CUDACC__

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_CONV2D_PARTIALS_CUH_
