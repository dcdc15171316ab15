#ifndef HMAR_KERNELS_LINEAR_FEW_TOKENS_CUH_
#define HMAR_KERNELS_LINEAR_FEW_TOKENS_CUH_

// The linear layer of few tokens, whose time is that of reading the weights.
//
// A thread block computes `channels` outputs (8 to 64) of kTokens tokens. The weights are the first
// operand of wgmma, 64 rows of which `channels` count: the fewer, the more blocks read weights side
// by side, and no block's part of them is longer than what one multiprocessor reads in that time.
// The other rows are whatever lies behind in shared memory; so are the sums in them, which nobody
// reads.
//
// Stages hold kBlocks blocks of 64 columns of K, of weights and of tokens. The producer, a thread,
// fills all with weights before it waits for the kernels that write the tokens.
//
// A sum is one chain of products of 16 columns each. Where tokens are few, a link takes little more
// than reading 64 rows of weights from shared memory does (16 cycles), and the consumer's turn to
// start a stage's products as long as several links. So it keeps FewLag stages' products under way
// behind the latest one's. These counts are constants, for ptxas lets products overlap only where
// it can count them.

#include "kernels/hopper_grid.cuh"
#include "kernels/linear_epilogue.cuh"
#include "kernels/linear_internal.h"
#include "kernels/linear_mma.cuh"
#include "kernels/tensor_map.h"

namespace hmar::kernels {

inline constexpr int kFewThreads = 128 + 32;  // A consumer warpgroup, a producer warp.
inline constexpr int kFewMaxStages = 32;
inline constexpr int kFewMmaRows = 64;
inline constexpr int kBlockRowBytes = kColumnBlock * 2;

struct FewPlan {
  int channels;
  int k_blocks;  // K / 64.
  int blocks;    // Of a stage: kBlocks, which divides k_blocks.
  int stages;    // More than FewLag.
  LinearOutput output;
};

// From kFewLongTokens on, one block's products outlast the consumer's turn.
inline constexpr int kFewLongTokens = 128;
__host__ __device__ constexpr int FewLag(int tokens, int blocks) {
  return tokens >= kFewLongTokens ? 1 : CeilDivide(3, blocks);
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

struct FewBarriers {
  uint64_t full[kFewMaxStages], empty[kFewMaxStages];
};

// A thread block's buffers: the stages' weights (channels x 64 a block), then the stages' tokens
// (kTokens x 64 a block).
template <int kTokens>
struct FewBuffers {
  __device__ uint8_t* Weights(const FewPlan& plan, int stage, int block = 0) const {
    return base + (stage * plan.blocks + block) * plan.channels * kBlockRowBytes;
  }
  __device__ uint8_t* Tokens(const FewPlan& plan, int stage, int block = 0) const {
    return Weights(plan, plan.stages) + (stage * plan.blocks + block) * kTokens * kBlockRowBytes;
  }
  uint8_t* base;
  FewBarriers& barriers;
};

// The copies into a thread block's stages.
template <int kTokens>
class FewFeeder {
 public:
  __device__ FewFeeder(const FewBuffers<kTokens>& buffers, const CUtensorMap& weights,
                       const CUtensorMap& tokens, const FewPlan& plan)
      : buffers_(buffers), weights_(weights), tokens_(tokens), plan_(plan) {}

  __device__ void Weights(int fill, int stage) const {
    uint64_t* const full = &buffers_.barriers.full[stage];
    ArriveExpecting(full, (plan_.channels + kTokens) * plan_.blocks * kBlockRowBytes);
    LoadBox(buffers_.Weights(plan_, stage), &weights_, full, 0, blockIdx.x * plan_.channels,
            fill * plan_.blocks);
  }

  __device__ void Tokens(int fill, int stage) const {
    LoadBox(buffers_.Tokens(plan_, stage), &tokens_, &buffers_.barriers.full[stage], 0,
            blockIdx.y * kTokens, fill * plan_.blocks);
  }

 private:
  const FewBuffers<kTokens>& buffers_;
  const CUtensorMap& weights_;
  const CUtensorMap& tokens_;
  const FewPlan& plan_;
};

template <int kTokens>
__device__ inline void FeedFew(const FewBuffers<kTokens>& buffers, const CUtensorMap& weights,
                               const CUtensorMap& tokens, const FewPlan& plan) {
  const FewFeeder<kTokens> feeder(buffers, weights, tokens, plan);
  const int fills = plan.k_blocks / plan.blocks;
  const int at_once = min(fills, plan.stages);
  for (int fill = 0; fill < at_once; ++fill) feeder.Weights(fill, fill);
  LetNextKernelStart();
  WaitForEarlierKernels();
  for (int fill = 0; fill < at_once; ++fill) feeder.Tokens(fill, fill);
  uint32_t parity = 0;
  for (int fill = at_once, stage = 0; fill < fills; ++fill) {
    Wait(&buffers.barriers.empty[stage], parity);
    feeder.Weights(fill, stage);
    feeder.Tokens(fill, stage);
    if (++stage == plan.stages) stage = 0, parity ^= 1;
  }
}

// sums (64 channels x kTokens): += weights tokens^T over all of K.
template <int kTokens, int kBlocks>
__device__ inline void SumFew(const FewBuffers<kTokens>& buffers, const FewPlan& plan,
                              float (&sums)[kTokens / 2]) {
  constexpr int kLag = FewLag(kTokens, kBlocks);
  FewBarriers& barriers = buffers.barriers;
  const int fills = plan.k_blocks / kBlocks;
  uint32_t parity = 0;
  int stage = 0, done_stage = -kLag;
  for (int fill = 0; fill < fills; ++fill) {
    Wait(&barriers.full[stage], parity);
    MmaFence();
#pragma unroll
    for (int block = 0; block < kBlocks; ++block) {
      uint32_t weights = SharedAddress(buffers.Weights(plan, stage, block));
      uint32_t tokens = SharedAddress(buffers.Tokens(plan, stage, block));
      // So that the steps' descriptors are these and a constant, sums of uniform registers.
      asm volatile("" : "+r"(weights), "+r"(tokens));
      const uint64_t a = MatrixDescriptor(weights), b = MatrixDescriptor(tokens);
#pragma unroll
      for (int step = 0; step < kColumnBlock / 16; ++step) {
        Mma<kTokens>(sums, a + step * kStepK16, b + step * kStepK16);
      }
    }
    MmaCommit();
    MmaWait<kLag>();
    // Stages that will be refilled. A warp speaks for itself: its wait says nothing of the other
    // warps' products.
    const bool give_back = fill >= kLag && fill - kLag + plan.stages < fills;
    if (give_back && threadIdx.x % 32 == 0) Arrive(&barriers.empty[done_stage]);
    if (++done_stage == plan.stages) done_stage = 0;
    if (++stage == plan.stages) stage = 0, parity ^= 1;
  }
  MmaWait<0>();
  PinAccumulators(sums);
}

// Four bytes of each row of an 8 x 8 matrix of bf16 a lane (row lane / 4, columns 2 (lane % 4) and
// the next) -> the same of its transpose.
__device__ inline uint32_t Transpose(uint32_t pair) {
  uint32_t transposed;
  asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(transposed) : "r"(pair));
  return transposed;
}

// 8 channels from `channel` x 8 tokens from `token`, of which a lane has channel lane / 4 of tokens
// 2 (lane % 4) and the next. Called by whole warps.
template <bool kGelu, bool kFp32>
__device__ inline void StoreFew(float first, float second, float bias, const LinearOutput& output,
                                int token, int channel) {
  const int lane = threadIdx.x % 32;
  first = Finish<kGelu>(first, bias), second = Finish<kGelu>(second, bias);
  if constexpr (kFp32) {
    token += lane % 4 * 2;
    float* const to = output.out_fp32 + int64_t{token} * output.N + channel + lane / 4;
    if (token < output.T) to[0] = first;
    if (token + 1 < output.T) to[output.N] = second;
  } else {
    const uint32_t pair = Transpose(PackBf16(first, second));
    token += lane / 4;
    if (token >= output.T) return;
    __nv_bfloat16* const to = output.out + int64_t{token} * output.N + channel + lane % 4 * 2;
    *reinterpret_cast<uint32_t*>(to) = pair;
  }
}

// A warp's part of the tile: 16 of its channels, 8 where it has no more, or none.
struct WarpChannels {
  __device__ explicit WarpChannels(const FewPlan& plan) {
    const int row = threadIdx.x / 32 * 16, of_lane = threadIdx.x % 32 / 4;
    first = blockIdx.x * plan.channels + row;
    any = row < plan.channels;
    both = row + 8 < plan.channels;
    if (any) low_bias = BiasAt(plan.output, first + of_lane);
    if (both) high_bias = BiasAt(plan.output, first + 8 + of_lane);
  }

  int first;
  bool any, both;
  float low_bias = 0, high_bias = 0;  // Of channels first + lane / 4 and 8 further.
};

template <bool kGelu, bool kFp32, int kTokens>
__device__ inline void FinishFew(const float (&sums)[kTokens / 2], const WarpChannels& channels,
                                 const LinearOutput& output) {
  if (!channels.any) return;
#pragma unroll
  for (int j = 0; j < kTokens / 8; ++j) {
    const int token = blockIdx.y * kTokens + 8 * j, channel = channels.first;
    if (token >= output.T) return;
    const float* const s = sums + 4 * j;
    StoreFew<kGelu, kFp32>(s[0], s[1], channels.low_bias, output, token, channel);
    if (!channels.both) continue;
    StoreFew<kGelu, kFp32>(s[2], s[3], channels.high_bias, output, token, channel + 8);
  }
}

template <int kTokens, int kBlocks>
__device__ inline void ConsumeFew(const FewBuffers<kTokens>& buffers, const FewPlan& plan) {
  const WarpChannels channels(plan);  // Loads the bias while the first weights come.
  float sums[kTokens / 2] = {};
  SumFew<kTokens, kBlocks>(buffers, plan, sums);
  WaitForEarlierKernels();  // They may read what is written here.
  WithEpilogue(plan.output, [&]<bool kGelu, bool kFp32>() {
    FinishFew<kGelu, kFp32, kTokens>(sums, channels, plan.output);
  });
}

__device__ inline void InitFewBarriers(FewBarriers& barriers, const FewPlan& plan) {
  for (int stage = 0; stage < plan.stages; ++stage) {
    InitBarrier(&barriers.full[stage], 1);
    InitBarrier(&barriers.empty[stage], 4);  // The consumer's warps.
  }
  FenceBarrierInit();
}

#endif  // __CUDA_ARCH_FEAT_SM90_ALL

template <int kTokens, int kBlocks>
__global__ void __launch_bounds__(kFewThreads, 1)
    LinearFewTokensKernel(const __grid_constant__ CUtensorMap weights,
                          const __grid_constant__ CUtensorMap tokens,
                          const __grid_constant__ FewPlan plan) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ uint8_t raw[];
  __shared__ FewBarriers barriers;
  // The swizzle follows address bits: every buffer must start at a multiple of 1,024.
  const FewBuffers<kTokens> buffers = {raw + (1024 - SharedAddress(raw) % 1024) % 1024, barriers};
  if (threadIdx.x == 0) InitFewBarriers(barriers, plan);
  if (threadIdx.x == 128) PrefetchTensorMap(&weights), PrefetchTensorMap(&tokens);
  __syncthreads();
  if (threadIdx.x < 128) {
    ConsumeFew<kTokens, kBlocks>(buffers, plan);
  } else if (threadIdx.x == 128) {
    FeedFew<kTokens>(buffers, weights, tokens, plan);
  }
#endif
}

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_LINEAR_FEW_TOKENS_CUH_
