// The host's side of the linear layer of few tokens: stages, tensor maps, the launch.

#include "kernels/linear_few_tokens.cuh"

#include <algorithm>

namespace hmar::kernels {
namespace {

// Two thread blocks fit a multiprocessor, so the next layer's weights can be on their way during
// this one; but for tiles whose stages would be too few.
constexpr int kHalfBytes = 110 * 1024, kWholeBytes = 220 * 1024;
constexpr int kStageBytes = 16 * 1024;  // At least, as far as 4 blocks go: it hides a stage's turn.

FewPlan MakePlan(const LinearTiling& tiling, const LinearArgs& args) {
  const int block_bytes = (tiling.channels + tiling.tokens) * kBlockRowBytes;
  const int k_blocks = args.K / kColumnBlock;
  const int blocks = std::clamp(kStageBytes / block_bytes, 1, std::min(4, k_blocks));
  const int capacity = block_bytes >= kStageBytes ? kWholeBytes : kHalfBytes;
  const int stages =
      std::min({CeilDivide(k_blocks, blocks), capacity / (blocks * block_bytes), kFewMaxStages});
  return {.channels = tiling.channels,
          .k_blocks = k_blocks,
          .blocks = blocks,
          .stages = stages,
          .token_blocks = tiling.token_blocks,
          .channel_blocks = tiling.channel_blocks,
          .output = OutputOf(args)};
}

// The first operand's 64 rows are read from the last block's weights on.
int BufferBytes(const FewPlan& plan, int tokens) {
  const int used = (plan.channels + tokens) * plan.blocks * plan.stages * kBlockRowBytes;
  const int weights = plan.channels * plan.blocks * plan.stages * kBlockRowBytes;
  return std::max(used, weights + (kFewMmaRows - plan.channels) * kBlockRowBytes) +
         1024;  // To align it by hand.
}

// In a cluster a copy brings a part of one block of K: parts do not lie behind each other.
template <int kTokens>
cudaError_t EncodeMaps(const FewPlan& plan, const LinearArgs& args, CUtensorMap* weights,
                       CUtensorMap* tokens) {
  const bool clustered = plan.token_blocks * plan.channel_blocks > 1;
  const int blocks = clustered ? 1 : plan.blocks;
  const cudaError_t e = EncodeBlockedMatrix(args.weight_NK, args.N, args.K,
                                            plan.channels / plan.token_blocks, blocks, weights);
  if (e != cudaSuccess) return e;
  return EncodeBlockedMatrix(args.x_TK, args.T, args.K, kTokens / plan.channel_blocks, blocks,
                             tokens);
}

template <int kTokens, bool kClustered>
cudaError_t LaunchKernel(const FewPlan& plan, const LinearArgs& args, cudaStream_t stream) {
  CUtensorMap weights, tokens;
  cudaError_t e = EncodeMaps<kTokens>(plan, args, &weights, &tokens);
  if (e != cudaSuccess) return e;
  const auto kernel = LinearFewTokensKernel<kTokens, kClustered>;
  const int bytes = BufferBytes(plan, kTokens);
  e = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  if (e != cudaSuccess) return e;
  cudaLaunchAttribute attributes[] = {ProgrammaticDependentLaunch(),
                                      ClusterOf(plan.channel_blocks, plan.token_blocks)};
  const int cluster_tokens = kTokens * plan.token_blocks;
  cudaLaunchConfig_t config = {};
  config.gridDim =
      dim3(args.N / plan.channels, CeilDivide(args.T, cluster_tokens) * plan.token_blocks);
  config.blockDim = dim3(kFewThreads);
  config.dynamicSmemBytes = bytes;
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = kClustered ? 2 : 1;
  return cudaLaunchKernelEx(&config, kernel, weights, tokens, plan);
}

template <int kTokens>
cudaError_t Launch(const LinearTiling& tiling, const LinearArgs& args, cudaStream_t stream) {
  const FewPlan plan = MakePlan(tiling, args);
  if (plan.token_blocks * plan.channel_blocks == 1) {
    return LaunchKernel<kTokens, false>(plan, args, stream);
  }
  if constexpr (kTokens % 16 == 0) {  // Parts are whole groups of 8 rows.
    const bool fits = args.N / plan.channels % plan.channel_blocks == 0 &&
                      plan.channels % (8 * plan.token_blocks) == 0;
    if (fits) return LaunchKernel<kTokens, true>(plan, args, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace

cudaError_t LinearFewTokens(const LinearTiling& tiling, const LinearArgs& args,
                            cudaStream_t stream) {
  switch (tiling.tokens) {
    case 8:
      return Launch<8>(tiling, args, stream);
    case 16:
      return Launch<16>(tiling, args, stream);
    case 24:
      return Launch<24>(tiling, args, stream);
    case 32:
      return Launch<32>(tiling, args, stream);
    case 48:
      return Launch<48>(tiling, args, stream);
    case 64:
      return Launch<64>(tiling, args, stream);
    case 96:
      return Launch<96>(tiling, args, stream);
    case 128:
      return Launch<128>(tiling, args, stream);
    case 192:
      return Launch<192>(tiling, args, stream);
    case 256:
      return Launch<256>(tiling, args, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace hmar::kernels
