#ifndef HMAR_KERNELS_CONV2D_PARTIALS_CUH_
#define HMAR_KERNELS_CONV2D_PARTIALS_CUH_

// Statistics of a convolution's output for the GroupNorm behind it: count, mean and M2 (sum of
// squared deviations from the mean) of each chunk of 4 rows x 16 pixels and each of 32 groups of
// neighbouring channels. Three steps, by four warps that have a row of the chunk each:
//   1. a lane takes pairs of channels and sums the row's pixels up, about the first of them;
//   2. a lane takes a group and merges its channels;
//   3. a lane of one of the warps takes a group and merges its rows.
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

// Channels of a group.
struct GroupWidth {
  int channels;
  float inverse;  // 1 / channels

  explicit GroupWidth(int O)
      : channels(O / kGroups), inverse(1.0f / static_cast<float>(channels)) {}
};

#if defined(__CUDACC__)

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

// Step 1: of the first `pixels` (0 to 16) of a row; kWhole: of all 16. words: of the first pixel;
// the others' `stride` words apart. What 0 pixels give is of no use.
template <bool kWhole, typename Stride>
__device__ inline PairMoments MomentsOfPair(const uint32_t* words, Stride stride, int pixels) {
  ShiftedSums low = {LowBf16(words[0])}, high = {HighBf16(words[0])};
#pragma unroll(kWhole ? kChunkColumns : 1)
  for (int pixel = 1; pixel < (kWhole ? kChunkColumns : pixels); ++pixel) {
    const uint32_t pair = words[pixel * stride];
    low.Add(LowBf16(pair));
    high.Add(HighBf16(pair));
  }
  const float inverse_count = 1.0f / static_cast<float>(kWhole ? kChunkColumns : pixels);
  return {low.Finish(inverse_count), high.Finish(inverse_count)};
}

// Step 2: channels of `pixels` values each.
__device__ inline Moments MergeChannels(const Moments* channels, const GroupWidth& width,
                                        int pixels) {
  float sum = 0, m2 = 0;
#pragma unroll 5
  for (int c = 0; c < width.channels; ++c) sum += channels[c].mean;
  const float mean = __fmul_rn(sum, width.inverse);
#pragma unroll 5
  for (int c = 0; c < width.channels; ++c) {
    const float d = channels[c].mean - mean;
    m2 = __fadd_rn(m2, fmaf(__fmul_rn(static_cast<float>(pixels), d), d, channels[c].m2));
  }
  return {mean, m2};
}

// Of 1 to 4.
__device__ inline float Inverse(int rows) {
  return rows == 4 ? 0.25f : rows == 3 ? 1.0f / 3 : rows == 2 ? 0.5f : 1;
}

// Step 3, by one warp, a lane a group: the first `rows` (1 to 4) rows of `values` values each.
// partials: of the chunk, (3, 32), from the first of the groups on.
__device__ inline void MergeRows(const Moments (&groups)[kChunkRows][kGroups], int rows, int values,
                                 float* partials) {
  const int group = threadIdx.x % 32;
  Moments moments[kChunkRows];
  float sum = 0, m2 = 0;
#pragma unroll
  for (int row = 0; row < kChunkRows; ++row) {
    moments[row] = row < rows ? groups[row][group] : Moments{0, 0};
    sum += moments[row].mean;
  }
  const float mean = __fmul_rn(sum, Inverse(rows));
#pragma unroll
  for (int row = 0; row < kChunkRows; ++row) {
    const float d = row < rows ? moments[row].mean - mean : 0;
    const float n = static_cast<float>(values);
    m2 = __fadd_rn(m2, fmaf(__fmul_rn(n, d), d, moments[row].m2));
  }
  partials[group] = static_cast<float>(rows * values);
  partials[kGroups + group] = mean;
  partials[2 * kGroups + group] = m2;
}

#endif  // __CUDACC__

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_CONV2D_PARTIALS_CUH_
