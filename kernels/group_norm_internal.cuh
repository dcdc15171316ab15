#ifndef HMAR_KERNELS_GROUP_NORM_INTERNAL_CUH_
#define HMAR_KERNELS_GROUP_NORM_INTERNAL_CUH_

// What GroupNorm's kernels share. Those that read x take its rows of channels in vectors of 8 (16
// bytes). A thread keeps to one vector of channels, so what belongs to a channel stays in its
// registers, and walks down the positions. That a vector straddles groups (C = 160: 5 channels a
// group) matters only where channels meet groups, once a block.

#include "kernels/group_norm.h"

namespace hmar::kernels {

inline constexpr int kNormThreads = 512;  // Of a block.
inline constexpr int kVector = 8;
inline constexpr int kUnroll = 4;             // Loads in flight, of a thread.
inline constexpr int kPartial = 3 * kGroups;  // Floats of a chunk: counts, means, M2.

// Partials (B, GroupNormChunks(S), 3, 32) of args.x_BSC. Arguments must be those that GroupNorm
// accepts, with B > 0.
cudaError_t GroupNormStatistics(const GroupNormArgs& args, float* partials, cudaStream_t stream);

#if defined(__CUDACC__)

struct Channels8 {
  float of[kVector];
};

__device__ inline Channels8 Unpack(const uint4& raw) {
  const uint32_t words[4] = {raw.x, raw.y, raw.z, raw.w};
  Channels8 values;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    values.of[2 * i] = __uint_as_float(words[i] << 16);  // bf16 is the upper half of an fp32.
    values.of[2 * i + 1] = __uint_as_float(words[i] & 0xFFFF0000u);
  }
  return values;
}

// Where a thread works: vector `vector` of a position's channels, at positions `row`, `row` +
// `rows`, ... of its block's range. Threads beyond the last whole row are idle.
struct Place {
  int vectors;  // C / 8
  int rows;
  int vector;
  int row;

  __device__ explicit Place(int C)
      : vectors(C / kVector),
        rows(kNormThreads / vectors),
        vector(threadIdx.x % vectors),
        row(threadIdx.x / vectors) {}
  __device__ bool idle() const { return row >= rows; }
};

#endif  // __CUDACC__

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_GROUP_NORM_INTERNAL_CUH_
