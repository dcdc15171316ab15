#ifndef HMAR_KERNELS_CONV2D_HOPPER_CUH_
#define HMAR_KERNELS_CONV2D_HOPPER_CUH_

// The Hopper convolution's kernel: an implicit GEMM whose operands the TMA unit cuts out of the
// image and of the weights.
//
// A thread block computes tiles of output pixels (16 wide) x N output channels. Two consumer
// warpgroups, or one for the smallest tile, have 4 M image rows each, as M wgmma accumulators of 64
// pixels (4 rows) x N: so a warp holds whole rows of 16 pixels. The sums run over blocks of 64
// input channels, over the columns of taps, over the rows of taps.
//
// Pixels: one box of 64 channels x 16 pixels x (4 M + taps - 1) rows serves a whole column of
// taps: tap row dy is the same shared memory, dy * 16 pixels further. With a stride, where the rows
// of two taps are not each other's, a box serves one tap; the TMA unit takes every second pixel.
// Zeros beyond the border, and beyond the last channel, come from the TMA unit. Each consumer has a
// ring of such boxes of its own; only the ring of weights (64 channels x N outputs, one tap) is
// common. Consumer 0 starts a column of taps ahead of consumer 1 and stays ahead by what the ring
// of weights allows: so the one has the tensor cores for itself while the other is in its epilogue.
//
// Producers: a warp a ring, one thread of it issuing copies. The ring of weights fills while the
// kernel before this one drains (programmatic dependent launch); all else waits for its end.

#include "kernels/conv2d_epilogue.cuh"
#include "kernels/conv2d_tiles.cuh"
#include "kernels/hopper_grid.cuh"
#include "kernels/hopper_mma.cuh"

namespace hmar::kernels {

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

template <typename Tile>
__device__ inline void FeedPixels(SharedStorage<Tile>& shared, const CUtensorMap& map,
                                  const HopperPlan& plan, int consumer) {
  PrefetchTensorMap(&map);
  WaitForEarlierKernels();  // They write the pixels.
  auto& barriers = shared.pixel_barriers[consumer];
  const uint32_t box_bytes = (Tile::kRows + plan.box_taps - 1) * Tile::kRowBytes;
  RingPlace<Tile::kPixelStages> ring;
  for (int tile = blockIdx.x; tile < plan.tiles; tile += gridDim.x) {
    const TilePlace place = Locate<Tile>(plan, tile);
    const int y = (place.y + consumer * Tile::kRows) * plan.stride + plan.origin + place.phase_y;
    const int x = place.x * plan.stride + plan.origin + place.phase_x;
    for (int channel = 0; channel < plan.I; channel += kBlockChannels) {
      for (int box = 0; box < plan.boxes; ++box, ring.Advance()) {
        const int tap = box * plan.box_taps;
        const int dx = tap / plan.side, dy = tap % plan.side;  // Column by column.
        Wait(&barriers.empty[ring.stage], ring.parity ^ 1);
        ArriveExpecting(&barriers.full[ring.stage], box_bytes);
        LoadBox(shared.pixels[consumer][ring.stage], &map, &barriers.full[ring.stage], channel,
                x + dx, y + dy, place.b);
      }
    }
  }
}

template <typename Tile>
__device__ inline void FeedWeights(SharedStorage<Tile>& shared, const CUtensorMap& map,
                                   const HopperPlan& plan) {
  PrefetchTensorMap(&map);
  auto& barriers = shared.weight_barriers;
  RingPlace<Tile::kWeightStages> ring;
  const int taps = plan.side * plan.side;
  for (int tile = blockIdx.x; tile < plan.tiles; tile += gridDim.x) {
    const TilePlace place = Locate<Tile>(plan, tile);
    const int first_matrix = (place.phase_y * 2 + place.phase_x) * taps;
    for (int channel = 0; channel < plan.I; channel += kBlockChannels) {
      for (int tap = 0; tap < taps; ++tap, ring.Advance()) {
        const int dx = tap / plan.side, dy = tap % plan.side;  // Column by column.
        Wait(&barriers.empty[ring.stage], ring.parity ^ 1);
        ArriveExpecting(&barriers.full[ring.stage], Tile::kWeightBytes);
        LoadBox(shared.weights[ring.stage], &map, &barriers.full[ring.stage], channel,
                place.n * Tile::N, first_matrix + dy * plan.side + dx);
      }
    }
  }
  // What is left to sum takes about as long as a launch; earlier, the next kernel's blocks would
  // only keep other streams' from idle multiprocessors.
  LetNextKernelStart();
}

// A consumer warpgroup's places in its rings, which go on from tile to tile.
template <typename Tile>
class Consumer {
 public:
  static constexpr int N = Tile::N, M = Tile::M;

  // `leads`: it is to say on shared.head_start when its first column is summed.
  __device__ Consumer(SharedStorage<Tile>& shared, int index, bool leads)
      : shared_(shared),
        pixel_barriers_(shared.pixel_barriers[index]),
        index_(index),
        leads_(leads) {}

  // sums = the tile's; every buffer it read is given back on return.
  __device__ void SumTile(const HopperPlan& plan, float (&sums)[M][N / 2]) {
#pragma unroll
    for (int m = 0; m < M; ++m) {
#pragma unroll
      for (int i = 0; i < N / 2; ++i) sums[m][i] = 0;
    }
    for (int channel = 0; channel < plan.I; channel += kBlockChannels) {
      if (plan.I - channel > kBlockChannels / 2) {
        for (int box = 0; box < plan.boxes; ++box) SumBox<kBlockChannels>(plan.box_taps, sums);
      } else {  // 160 channels are two blocks and a half.
        for (int box = 0; box < plan.boxes; ++box) SumBox<kBlockChannels / 2>(plan.box_taps, sums);
      }
    }
    MmaWait<0>();
#pragma unroll
    for (int m = 0; m < M; ++m) PinAccumulators(sums[m]);
#pragma unroll
    for (int i = 0; i < kLag; ++i) GiveBack(i < behind_, plan.box_taps);
    behind_ = 0;
  }

 private:
  // Taps whose products may be under way behind the latest one's. A small tile's are done sooner
  // than the consumer starts the next tap's.
  static constexpr int kLag = N > 40 ? 1 : N == 40 && Tile::kConsumers == 1 ? 3 : 2;

  // The taps that one box serves. Leaves the last ones' products under way and their buffers to be
  // given back.
  template <int kChannels>
  __device__ void SumBox(int taps, float (&sums)[M][N / 2]) {
    Wait(&pixel_barriers_.full[pixels_.stage], pixels_.parity);
    uint32_t pixels = SharedAddress(shared_.pixels[index_][pixels_.stage]);
    for (int tap = 0; tap < taps; ++tap) {
      Wait(&shared_.weight_barriers.full[weights_.stage], weights_.parity);
      const uint64_t a = MatrixDescriptor(OfWarp(pixels));
      const uint64_t b = MatrixDescriptor(OfWarp(SharedAddress(shared_.weights[weights_.stage])));
      MmaFence();
#pragma unroll
      for (int k = 0; k < kChannels / 16; ++k) {
        SumStep(a + k * kStepK16, b + k * kStepK16, sums);
      }
      MmaCommit();
      MmaWait<kLag>();
      GiveBack(behind_ == kLag, taps);
      behind_ = min(behind_ + 1, kLag);
      weights_.Advance();
      pixels += Tile::kRowBytes;
    }
    pixels_.Advance();
    if (leads_ && threadIdx.x % 32 == 0) Arrive(&shared_.head_start);
    leads_ = false;
  }

  // 16 channels of one tap.
  __device__ static void SumStep(uint64_t a, uint64_t b, float (&sums)[M][N / 2]) {
#pragma unroll
    for (int m = 0; m < M; ++m) Mma<N>(sums[m], a + m * (4 * Tile::kRowBytes / 16), b);
  }

  // If `done`, the oldest tap under way is, and with the last one of a box its pixels: tells the
  // producers. A warp speaks for itself: its wait says nothing of the other warps' products.
  __device__ void GiveBack(bool done, int box_taps) {
    const bool tells = done && threadIdx.x % 32 == 0, box = done && oldest_tap_ + 1 == box_taps;
    if (tells) Arrive(&shared_.weight_barriers.empty[oldest_weights_]);
    if (tells && box) Arrive(&pixel_barriers_.empty[oldest_pixels_]);
    oldest_weights_ = Next<Tile::kWeightStages>(oldest_weights_, done);
    oldest_pixels_ = Next<Tile::kPixelStages>(oldest_pixels_, box);
    oldest_tap_ = box ? 0 : oldest_tap_ + done;
  }

  template <int kStages>
  __device__ static int Next(int stage, bool moves) {
    const int next = stage + 1 < kStages ? stage + 1 : 0;
    return moves ? next : stage;
  }

  SharedStorage<Tile>& shared_;
  Barriers<Tile::kPixelStages>& pixel_barriers_;
  const int index_;
  bool leads_;
  RingPlace<Tile::kPixelStages> pixels_;
  RingPlace<Tile::kWeightStages> weights_;
  // Taps behind the latest whose buffers are not given back; the oldest one's, and where it stands
  // among those of its box.
  int behind_ = 0;
  int oldest_weights_ = 0, oldest_pixels_ = 0, oldest_tap_ = 0;
};

// The part of an image row that starts at (place.x, y): its phase's output pixels.
template <int N>
__device__ inline OutputRow RowAt(const HopperPlan& plan, const TilePlace& place, int y) {
  const int out_y = y * plan.scale + place.phase_y;
  const int out_x = place.x * plan.scale + place.phase_x;
  const int64_t pixel =
      (int64_t{place.b} * plan.H * plan.scale + out_y) * plan.W * plan.scale + out_x;
  const int first_channel = place.n * N;
  return {.offset = pixel * plan.O + first_channel,
          .pixel_stride = int64_t{plan.O} * plan.scale,
          .pixels = y < plan.H ? min(kRowPixels, plan.W - place.x) : 0,
          .first_channel = first_channel,
          .channels = min(N, plan.O - first_channel)};
}

// Meets a consumer's four warps. Barrier 0 is __syncthreads'.
__device__ inline void SyncConsumer(int index) {
  asm volatile("bar.sync %0, 128;" ::"r"(1 + index) : "memory");
}

// Merges the chunk that starts at (place.x, y), whose rows' moments the consumer's warps have left.
// By one warp.
__device__ inline void FinishChunk(const HopperPlan& plan, const TilePlace& place, int y,
                                   const Moments (&row_moments)[kChunkRows][kGroups]) {
  const int first_group = place.n * plan.epilogue.tile_groups, lane = threadIdx.x % 32;
  const int groups = min(plan.epilogue.tile_groups, kGroups - first_group);
  if (y >= plan.H || lane >= groups) return;
  const int chunks_y = (plan.H + kChunkRows - 1) / kChunkRows;
  const int phase = place.phase_y * 2 + place.phase_x;
  const int64_t chunk_row = (int64_t{place.b} * plan.phases + phase) * chunks_y + y / kChunkRows;
  const int64_t chunk = chunk_row * plan.tiles_x + place.x / kChunkColumns;
  MergeRows(row_moments, min(kChunkRows, plan.H - y),
            min(kChunkColumns, plan.W - place.x) * plan.epilogue.group_width.channels,
            plan.epilogue.partials + chunk * (3 * kGroups) + first_group);
}

template <typename Tile>
__device__ inline void Consume(SharedStorage<Tile>& shared, const HopperPlan& plan, int index) {
  constexpr int N = Tile::N, M = Tile::M;
  WaitForEarlierKernels();  // They write the residual, and may read what is written here.
  const int warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
  StagedRow<N>& staged = shared.staged[index * 4 + warp];
  auto& row_moments = shared.row_moments[index];
  const bool partials = plan.epilogue.partials != nullptr;
  const bool staggered =
      Tile::kConsumers > 1 &&
      plan.tiles > static_cast<int>(gridDim.x);  // Epilogues overlap with other tiles' sums.
  Consumer<Tile> consumer(shared, index, staggered && index == 0);
  if (staggered && index == 1) Wait(&shared.head_start, 0);
  for (int tile = blockIdx.x; tile < plan.tiles; tile += gridDim.x) {
    const TilePlace place = Locate<Tile>(plan, tile);
    const int y = place.y + index * Tile::kRows;
    const bool residual = plan.epilogue.residual != nullptr;
    if (residual) PrefetchResidual<N>(plan.epilogue, RowAt<N>(plan, place, y + warp), staged, lane);
    float sums[M][N / 2];
    consumer.SumTile(plan, sums);
#pragma unroll
    for (int m = 0; m < M; ++m) {
      const OutputRow row = RowAt<N>(plan, place, y + 4 * m + warp);
      if (m > 0 && residual) PrefetchResidual<N>(plan.epilogue, row, staged, lane);
      if (partials) SyncConsumer(index);  // The chunk before this one is finished.
      FinishRow<N>(sums[m], plan.epilogue, row, staged, row_moments[warp], lane);
      if (!partials) continue;
      SyncConsumer(index);
      if (warp == 0) FinishChunk(plan, place, y + 4 * m, row_moments);
    }
  }
}

template <typename Tile>
__device__ inline void InitBarriers(SharedStorage<Tile>& shared) {
  for (auto& barrier : shared.weight_barriers.full) InitBarrier(&barrier, 1);
  for (auto& barrier : shared.weight_barriers.empty) InitBarrier(&barrier, 4 * Tile::kConsumers);
  for (auto& ring : shared.pixel_barriers) {
    for (auto& barrier : ring.full) InitBarrier(&barrier, 1);
    for (auto& barrier : ring.empty) InitBarrier(&barrier, 4);
  }
  InitBarrier(&shared.head_start, 4);
  FenceBarrierInit();
}

#endif  // __CUDA_ARCH_FEAT_SM90_ALL

template <typename Tile>
__global__ void __launch_bounds__(Tile::kThreads, 1)
    HopperConvKernel(const __grid_constant__ CUtensorMap pixels,
                     const __grid_constant__ CUtensorMap weights,
                     const __grid_constant__ HopperPlan plan) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ uint8_t raw[];
  // The swizzle follows address bits: every buffer must start at a multiple of 1,024.
  auto& shared =
      *reinterpret_cast<SharedStorage<Tile>*>(raw + (1024 - SharedAddress(raw) % 1024) % 1024);
  if (threadIdx.x == 0) InitBarriers(shared);
  __syncthreads();
  const int group = threadIdx.x / 128, warp = threadIdx.x / 32;
  if (group > 0) {
    if constexpr (Tile::kConsumers > 1) GrowRegisters<232>();
    Consume(shared, plan, group - 1);
    return;
  }
  if constexpr (Tile::kConsumers > 1) ShrinkRegisters<40>();
  if (threadIdx.x % 32 != 0) return;
  if (warp == 0) FeedWeights(shared, weights, plan);
  if (warp > 0 && warp <= Tile::kConsumers) FeedPixels(shared, pixels, plan, warp - 1);
#endif
}

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_CONV2D_HOPPER_CUH_
