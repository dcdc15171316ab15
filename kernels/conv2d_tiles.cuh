#ifndef HMAR_KERNELS_CONV2D_TILES_CUH_
#define HMAR_KERNELS_CONV2D_TILES_CUH_

// The Hopper convolution's tiles: their sizes, their place in the output, and the shared memory of
// a thread block that computes them. conv2d_hopper.cuh says how.

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdint>

#include "kernels/conv2d_epilogue.cuh"

namespace hmar::kernels {

inline constexpr int kBlockChannels = 64;  // Of the input: 128 bytes, the width of the swizzle.
inline constexpr int kSharedBytes = 227 * 1024;  // What a thread block can have.

struct HopperPlan {
  int H, W, I, O;  // H x W: the phases' grid.
  // Taps of one phase, as ConvTaps.
  int side, phases, scale, origin, stride;
  // Boxes of pixels that a block of input channels takes, and the taps that each serves.
  int boxes, box_taps;
  int tiles_x, tiles_y, tiles_n, tiles;
  Epilogue epilogue;
};

// Columns of taps that a consumer's pixels can be ahead.
constexpr int PixelStages(int N, int M, int consumers) {
  if (N == 160) return 4 - M;
  if (N == 40) return consumers == 1 ? 8 : 5;
  return N == 8 ? 5 : 5 - M;
}

// 4 M rows x 16 pixels x N output channels a consumer, the consumers' rows one below the other.
template <int N_, int M_, int kConsumers_>
struct TileShape {
  static constexpr int N = N_, M = M_, kConsumers = kConsumers_;
  static constexpr int kThreads = 128 * (1 + kConsumers);
  static constexpr int kRows = 4 * M;  // Of a consumer.
  static constexpr int kRowBytes = kRowPixels * kBlockChannels * 2;
  static constexpr int kMaxBoxBytes = (kRows + 2) * kRowBytes;
  static constexpr int kWeightBytes = N * kBlockChannels * 2;
  static constexpr int kPixelStages = PixelStages(N, M, kConsumers);
  static constexpr int kConsumerBytes =
      kPixelStages * kMaxBoxBytes +
      4 * static_cast<int>(sizeof(StagedRow<N>) + kGroups * sizeof(Moments));
  // And 1,024 for barriers, 1,024 to align it all by hand.
  static constexpr int kOtherBytes = kConsumers * kConsumerBytes + 2 * 1024;
  // As many as shared memory holds, as far as pixels keep up, three taps a stage. Deep rings ride
  // out the latency of weights that are not in L2, and fill while the kernel ahead drains.
  static constexpr int kWeightStages =
      std::min(3 * kPixelStages + 3, (kSharedBytes - kOtherBytes) / kWeightBytes);
};

template <int kStages>
struct Barriers {
  uint64_t full[kStages], empty[kStages];
};

template <typename Tile>
struct SharedStorage {
  static constexpr int kConsumers = Tile::kConsumers;
  alignas(1024) uint8_t pixels[kConsumers][Tile::kPixelStages][Tile::kMaxBoxBytes];
  alignas(1024) uint8_t weights[Tile::kWeightStages][Tile::kWeightBytes];
  alignas(16) StagedRow<Tile::N> staged[4 * kConsumers];  // A warp's each.
  Moments row_moments[kConsumers][kChunkRows][kGroups];   // A consumer's chunk, by warp.
  Barriers<Tile::kPixelStages> pixel_barriers[kConsumers];
  Barriers<Tile::kWeightStages> weight_barriers;
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
  int b, y, x;  // First pixel, in the grid's coordinates.
  int phase_y, phase_x;
  int n;  // Block of output channels.
};

// Output channels first, then phases: blocks that run side by side share pixels, and the L2 holds
// all weights.
template <typename Tile>
__device__ inline TilePlace Locate(const HopperPlan& plan, int tile) {
  TilePlace place;
  place.n = tile % plan.tiles_n, tile /= plan.tiles_n;
  const int phase = tile % plan.phases;
  place.phase_y = phase / 2, place.phase_x = phase % 2, tile /= plan.phases;
  place.x = tile % plan.tiles_x * kRowPixels, tile /= plan.tiles_x;
  place.y = tile % plan.tiles_y * (Tile::kConsumers * Tile::kRows);
  place.b = tile / plan.tiles_y;
  return place;
}

#endif  // __CUDA_ARCH_FEAT_SM90_ALL

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_CONV2D_TILES_CUH_
