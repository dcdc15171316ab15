#ifndef HMAR_KERNELS_CONV2D_TILES_CUH_
#define HMAR_KERNELS_CONV2D_TILES_CUH_

// The Hopper convolution's tiles: their sizes, their place in the output, and the shared memory of
// a thread block that computes them. conv2d_hopper.cuh says how.

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/conv2d_epilogue.cuh"

namespace hmar::kernels {

inline constexpr int kBlockChannels = 64;  // Of the input: 128 bytes, the width of the swizzle.
inline constexpr int kConsumers = 2;
inline constexpr int kConvThreads = 128 * (1 + kConsumers);

struct HopperPlan {
  int H, W, I, O;  // H x W: the input's.
  // Taps of one phase, as ConvTaps.
  int side, phases, scale, origin;
  int tiles_x, tiles_y, tiles_n, tiles;
  Epilogue epilogue;
};

template <int N, int M>
struct TileShape {
  static constexpr int kRows = 4 * M;  // Of a consumer.
  static constexpr int kRowBytes = kRowPixels * kBlockChannels * 2;
  static constexpr int kMaxBoxBytes = (kRows + 2) * kRowBytes;
  static constexpr int kWeightBytes = N * kBlockChannels * 2;
  // As many as shared memory holds: deep rings ride out the latency of weights that are not in L2.
  static constexpr int kPixelStages = N == 160 ? 4 - M : N == 8 ? 4 : 5 - M;
  static constexpr int kWeightStages = N == 160 ? 5 : N <= 40 ? 12 : 8;
};

template <int kStages>
struct Barriers {
  uint64_t full[kStages], empty[kStages];
};

template <int N, int M>
struct SharedStorage {
  using Shape = TileShape<N, M>;
  alignas(1024) uint8_t pixels[kConsumers][Shape::kPixelStages][Shape::kMaxBoxBytes];
  alignas(1024) uint8_t weights[Shape::kWeightStages][Shape::kWeightBytes];
  alignas(16) StagedRow<N> staged[4 * kConsumers];       // A warp's each.
  Moments row_moments[kConsumers][kChunkRows][kGroups];  // A consumer's chunk, by warp.
  Barriers<Shape::kPixelStages> pixel_barriers[kConsumers];
  Barriers<Shape::kWeightStages> weight_barriers;
  uint64_t head_start;  // Consumer 0 has summed its first column of taps.
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

// A place in a ring of buffers, and the parity of its current turn.
template <int kStages>
struct RingPlace {
  int stage = 0;
  uint32_t parity = 0;

  __device__ void Advance() {
    if (++stage < kStages) return;
    stage = 0;
    parity ^= 1;
  }
};

struct TilePlace {
  int b, y, x;  // First pixel, in the input's coordinates.
  int phase_y, phase_x;
  int n;  // Block of output channels.
};

// Output channels first, then phases: blocks that run side by side share pixels, and the L2 holds
// all weights.
template <int M>
__device__ inline TilePlace Locate(const HopperPlan& plan, int tile) {
  TilePlace place;
  place.n = tile % plan.tiles_n, tile /= plan.tiles_n;
  const int phase = tile % plan.phases;
  place.phase_y = phase / 2, place.phase_x = phase % 2, tile /= plan.phases;
  place.x = tile % plan.tiles_x * kRowPixels, tile /= plan.tiles_x;
  place.y = tile % plan.tiles_y * (8 * M);
  place.b = tile / plan.tiles_y;
  return place;
}

#endif  // __CUDA_ARCH_FEAT_SM90_ALL

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_CONV2D_TILES_CUH_
