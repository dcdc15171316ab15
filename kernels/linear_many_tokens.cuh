#ifndef HMAR_KERNELS_LINEAR_MANY_TOKENS_CUH_
#define HMAR_KERNELS_LINEAR_MANY_TOKENS_CUH_

// The linear layer of many tokens, whose time is that of the tensor cores.
//
// A thread block goes through tiles of 128 tokens x N outputs. Two consumer warpgroups have 64
// tokens each, as wgmma accumulators of 64 x N. Tokens come in rings of their own, weights in one
// that both read. Consumer 0 starts two blocks of K ahead of consumer 1 and stays ahead by what the
// ring of weights allows: so the one has the tensor cores for itself while the other is in its
// epilogue, which with K = 1,024 would otherwise be a tenth of the time, and a fifth with GELU.
//
// Clusters of kCluster blocks work at neighbouring tiles of tokens and the same outputs: each reads
// its part of the weights for all, and no stage of them is refilled before all blocks are done with
// it.
//
// Producers: a warp a ring, one thread of it issuing copies.

#include "kernels/hopper_grid.cuh"
#include "kernels/linear_internal.h"
#include "kernels/linear_many_epilogue.cuh"
#include "kernels/linear_mma.cuh"
#include "kernels/tensor_map.h"

namespace hmar::kernels {

inline constexpr int kManyConsumers = 2;
inline constexpr int kManyThreads = 128 * (1 + kManyConsumers);
inline constexpr int kConsumerTokens = 64;
inline constexpr int kTileTokens = kManyConsumers * kConsumerTokens;
inline constexpr int kHeadStart = 2;  // Blocks of K.
inline constexpr int kBandTokens = 2048;

struct ManyPlan {
  int k_blocks;  // K / 64.
  // Cluster tiles: over T, over N, in all. A band of token_tiles goes through all of N before the
  // next one does, so that its tokens stay in L2.
  int token_tiles, channel_tiles, tiles;
  int band;
  LinearOutput output;
};

template <int N>
struct ManyStorage {
  static constexpr int kStages = N == 256 ? 4 : N == 192 ? 5 : 6;
  static constexpr int kWeightBytes = N * kColumnBlock * 2;
  static constexpr int kTokenBytes = kConsumerTokens * kColumnBlock * 2;

  struct Barriers {
    uint64_t full[kStages], empty[kStages];
  };

  alignas(1024) uint8_t weights[kStages][kWeightBytes];
  alignas(1024) uint8_t tokens[kManyConsumers][kStages][kTokenBytes];
  StagedTile staged[4 * kManyConsumers];  // A warp's each.
  Barriers weight_barriers;
  Barriers token_barriers[kManyConsumers];
  uint64_t head_start;  // Consumer 0 has begun kHeadStart blocks.
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

// A place in the rings, and the parity of its current turn.
template <int kStages>
struct StagePlace {
  int stage = 0;
  uint32_t parity = 0;

  __device__ void Advance() {
    if (++stage < kStages) return;
    stage = 0;
    parity ^= 1;
  }
};

struct ManyPlace {
  int token, channel;  // First of the thread block's tile.
};

template <int N, int kCluster>
__device__ inline ManyPlace PlaceOf(const ManyPlan& plan, int tile) {
  const int band_tiles = plan.band * plan.channel_tiles;
  const int first = tile / band_tiles * plan.band, within = tile % band_tiles;
  const int height = min(plan.band, plan.token_tiles - first);
  const int token_tile = first + within % height;
  return {.token = (token_tile * kCluster + static_cast<int>(blockIdx.x) % kCluster) * kTileTokens,
          .channel = within / height * N};
}

// f(place) for each of the thread block's tiles.
template <int N, int kCluster, typename F>
__device__ inline void ForEachTile(const ManyPlan& plan, const F& f) {
  for (int tile = blockIdx.x / kCluster; tile < plan.tiles; tile += gridDim.x / kCluster) {
    f(PlaceOf<N, kCluster>(plan, tile));
  }
}

template <int N, int kCluster>
__device__ inline void FeedWeights(ManyStorage<N>& shared, const CUtensorMap& map,
                                   const ManyPlan& plan) {
  using Storage = ManyStorage<N>;
  constexpr int kPart = N / kCluster;
  PrefetchTensorMap(&map);
  const int part = kCluster > 1 ? static_cast<int>(ClusterRank()) * kPart : 0;
  StagePlace<Storage::kStages> ring;
  ForEachTile<N, kCluster>(plan, [&](const ManyPlace& place) {
    for (int k = 0; k < plan.k_blocks; ++k, ring.Advance()) {
      uint64_t* const full = &shared.weight_barriers.full[ring.stage];
      Wait(&shared.weight_barriers.empty[ring.stage], ring.parity ^ 1);
      ArriveExpecting(full, Storage::kWeightBytes);
      uint8_t* const to = shared.weights[ring.stage] + part * kColumnBlock * 2;
      if constexpr (kCluster > 1) {
        LoadBoxToAll(to, &map, full, (1 << kCluster) - 1, 0, place.channel + part, k);
      } else {
        LoadBox(to, &map, full, 0, place.channel, k);
      }
    }
  });
}

template <int N, int kCluster>
__device__ inline void FeedTokens(ManyStorage<N>& shared, const CUtensorMap& map,
                                  const ManyPlan& plan, int consumer) {
  using Storage = ManyStorage<N>;
  PrefetchTensorMap(&map);
  auto& barriers = shared.token_barriers[consumer];
  StagePlace<Storage::kStages> ring;
  WaitForEarlierKernels();
  ForEachTile<N, kCluster>(plan, [&](const ManyPlace& place) {
    for (int k = 0; k < plan.k_blocks; ++k, ring.Advance()) {
      Wait(&barriers.empty[ring.stage], ring.parity ^ 1);
      ArriveExpecting(&barriers.full[ring.stage], Storage::kTokenBytes);
      LoadBox(shared.tokens[consumer][ring.stage], &map, &barriers.full[ring.stage], 0,
              place.token + consumer * kConsumerTokens, k);
    }
  });
}

// A consumer warpgroup's place in its rings, which goes on from tile to tile.
template <int N, int kCluster>
class ManyConsumer {
 public:
  using Storage = ManyStorage<N>;

  // `leads`: it is to say on shared.head_start when its first blocks are begun.
  __device__ ManyConsumer(Storage& shared, int index, bool leads)
      : shared_(shared), index_(index), leads_(leads) {}

  // sums = the tile's; every buffer it read is given back on return.
  __device__ void SumTile(int k_blocks, float (&sums)[N / 2]) {
#pragma unroll
    for (int i = 0; i < N / 2; ++i) sums[i] = 0;
    const int last_of_head_start = min(kHeadStart, k_blocks) - 1;
    for (int k = 0; k < k_blocks; ++k) {
      SumBlock(sums);
      if (leads_ && k == last_of_head_start) {
        if (threadIdx.x % 32 == 0) Arrive(&shared_.head_start);
        leads_ = false;
      }
    }
    MmaWait<0>();
    PinAccumulators(sums);
    GiveBack();
  }

 private:
  static constexpr int kNone = -1;

  // 64 columns of K. Leaves its products under way and its buffers to be given back.
  __device__ void SumBlock(float (&sums)[N / 2]) {
    const int stage = ring_.stage;
    Wait(&shared_.token_barriers[index_].full[stage], ring_.parity);
    Wait(&shared_.weight_barriers.full[stage], ring_.parity);
    const uint64_t a = MatrixDescriptor(SharedAddress(shared_.tokens[index_][stage]));
    const uint64_t b = MatrixDescriptor(SharedAddress(shared_.weights[stage]));
    MmaFence();
#pragma unroll
    for (int step = 0; step < kColumnBlock / 16; ++step) {
      Mma<N>(sums, a + step * kStepK16, b + step * kStepK16);
    }
    MmaCommit();
    MmaWait<1>();  // The block before this one is done.
    GiveBack();
    used_ = stage;
    ring_.Advance();
  }

  // Tells the producers of the buffers whose last reader is done: those of the weights in every
  // block of the cluster. A warp speaks for itself: its wait says nothing of the other warps'
  // products.
  __device__ void GiveBack() {
    const int lane = threadIdx.x % 32;
    if (used_ != kNone) {
      uint64_t* const weights_empty = &shared_.weight_barriers.empty[used_];
      if constexpr (kCluster > 1) {
        if (lane < kCluster) ArriveAt(weights_empty, lane);
      } else {
        if (lane == 0) Arrive(weights_empty);
      }
      if (lane == 0) Arrive(&shared_.token_barriers[index_].empty[used_]);
    }
    used_ = kNone;
  }

  Storage& shared_;
  const int index_;
  bool leads_;
  StagePlace<Storage::kStages> ring_;
  int used_ = kNone;  // The stage read by products under way.
};

template <int N, int kCluster>
__device__ inline void ConsumeMany(ManyStorage<N>& shared, const ManyPlan& plan, int index) {
  const int warp = threadIdx.x / 32 % 4;
  // Epilogues overlap with other tiles' sums.
  const bool staggered = plan.tiles > static_cast<int>(gridDim.x / kCluster);
  ManyConsumer<N, kCluster> consumer(shared, index, staggered && index == 0);
  if (staggered && index == 1) Wait(&shared.head_start, 0);
  ForEachTile<N, kCluster>(plan, [&](const ManyPlace& place) {
    uint32_t bias_pairs[N / 8];
    LoadBias<N>(plan.output, place.channel, bias_pairs);
    float sums[N / 2];
    consumer.SumTile(plan.k_blocks, sums);
    WaitForEarlierKernels();  // They may read what is written here.
    WithEpilogue(plan.output, [&]<bool kGelu, bool kFp32>() {
      FinishMany<kGelu, kFp32, N>(sums, bias_pairs, plan.output,
                                  place.token + index * kConsumerTokens + warp * 16, place.channel,
                                  shared.staged[index * 4 + warp]);
    });
  });
}

template <int N, int kCluster>
__device__ inline void InitBarriers(ManyStorage<N>& shared) {
  for (auto& barrier : shared.weight_barriers.full) InitBarrier(&barrier, 1);
  for (auto& barrier : shared.weight_barriers.empty) {
    InitBarrier(&barrier, 4 * kManyConsumers * kCluster);
  }
  for (auto& ring : shared.token_barriers) {
    for (auto& barrier : ring.full) InitBarrier(&barrier, 1);
    for (auto& barrier : ring.empty) InitBarrier(&barrier, 4);
  }
  InitBarrier(&shared.head_start, 4);
  FenceBarrierInit();
}

#endif  // __CUDA_ARCH_FEAT_SM90_ALL

template <int N, int kCluster>
__global__ void __launch_bounds__(kManyThreads, 1)
    LinearManyTokensKernel(const __grid_constant__ CUtensorMap tokens,
                           const __grid_constant__ CUtensorMap weights,
                           const __grid_constant__ ManyPlan plan) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ uint8_t raw[];
  // The swizzle follows address bits: every buffer must start at a multiple of 1,024.
  auto& shared =
      *reinterpret_cast<ManyStorage<N>*>(raw + (1024 - SharedAddress(raw) % 1024) % 1024);
  if (threadIdx.x == 0) InitBarriers<N, kCluster>(shared);
  SyncBlocks<(kCluster > 1)>();
  const int group = threadIdx.x / 128, warp = threadIdx.x / 32;
  if (group > 0) {
    GrowRegisters<232>();
    ConsumeMany<N, kCluster>(shared, plan, group - 1);
  } else {
    ShrinkRegisters<40>();
    if (threadIdx.x % 32 == 0) {
      if (warp == 0) FeedWeights<N, kCluster>(shared, weights, plan);
      if (warp == 1 || warp == 2) FeedTokens<N, kCluster>(shared, tokens, plan, warp - 1);
      if (warp == 3) LetNextKernelStart();
    }
  }
  // A neighbour may still give back weights here. Whole warps: one lane of a producer's is late.
  __syncwarp();
  if constexpr (kCluster > 1) SyncCluster();
#endif
}

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_LINEAR_MANY_TOKENS_CUH_
