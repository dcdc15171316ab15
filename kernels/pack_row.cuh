#ifndef HMAR_KERNELS_PACK_ROW_CUH_
#define HMAR_KERNELS_PACK_ROW_CUH_

// What top-k leaves of a row, moved together: the passes over it that follow then look at 4 items a
// thread instead of 16, most of them removed.

#include <cstdint>

#include "kernels/block_search.cuh"

namespace hmar::kernels {

template <typename Shape>
struct PackedRow {
  using Small = BlockShape<Shape::kThreads, 4, /*kInRegisters=*/true>;
  static constexpr int kSegments = Shape::kCapacity / 128;  // A warp's quads.

  SearchMemory<Small> search;
  uint32_t keys[Small::kCapacity];   // In the order of the row.
  uint16_t index[Small::kCapacity];  // Where in the row they stood.
  uint32_t in_segment[kSegments];
};

// Moves the keys that are left to `small`, in order; false if they are too many. Called by the
// whole block.
template <typename Shape>
__device__ __forceinline__ bool Pack(Keys<Shape>& keys, PackedRow<Shape>& packed,
                                     Keys<typename PackedRow<Shape>::Small>& small) {
  using Small = typename PackedRow<Shape>::Small;
  static_assert(PackedRow<Shape>::kSegments == 32, "one lane a segment");
  constexpr int kQuads = Shape::kItems / 4;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  ClearBins(packed.search);
  uint32_t place[kQuads];
#pragma unroll
  for (int q = 0; q < kQuads; ++q) {
    uint32_t own = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) own += keys[4 * q + i] != 0;
    const uint32_t inclusive = WarpInclusiveSum(own);
    place[q] = inclusive - own;
    if (lane == 31) packed.in_segment[q * Shape::kWarps + warp] = inclusive;
  }
  __syncthreads();
  const uint32_t through = WarpInclusiveSum(packed.in_segment[lane]);
  const uint32_t total = __shfl_sync(0xFFFFFFFF, through, 31);
  if (total > Small::kCapacity) return false;
#pragma unroll
  for (int q = 0; q < kQuads; ++q) {
    const int segment = q * Shape::kWarps + warp;
    place[q] += __shfl_sync(0xFFFFFFFF, through, segment) - packed.in_segment[segment];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (keys[4 * q + i] == 0) continue;
      packed.keys[place[q]] = keys[4 * q + i];
      packed.index[place[q]++] = static_cast<uint16_t>(IndexOf<Shape>(4 * q + i));
    }
  }
  __syncthreads();
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int at = IndexOf<Small>(i);
    small[i] = at < static_cast<int>(total) ? packed.keys[at] : 0;
  }
  return true;
}

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_PACK_ROW_CUH_
