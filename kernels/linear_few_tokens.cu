// The host's side of the linear layer of few tokens: stages, tensor maps, the launch.

#include "kernels/linear_few_tokens.cuh"

#include <algorithm>

namespace hmar::kernels {
namespace {

// Two thread blocks fit a multiprocessor, so the next layer's weights can be on their way during
// this one; but for tiles whose stages would be too few.
constexpr int kHalfBytes = 110 * 1024, kWholeBytes = 220 * 1024;
constexpr int kStageBytes = 16 * 1024;  // About; it hides a stage's turn.
constexpr int kMostShortBlocks = 4, kMostMediumBlocks = 2;
constexpr int kMediumTokens = 48;

constexpr int MostBlocks(int tokens) {
  return tokens >= kFewLongTokens  ? 1
         : tokens >= kMediumTokens ? kMostMediumBlocks
                                   : kMostShortBlocks;
}

FewPlan MakePlan(const LinearTiling& tiling, const LinearArgs& args) {
  const int block_bytes = (tiling.channels + tiling.tokens) * kBlockRowBytes;
  const int k_blocks = args.K / kColumnBlock;
  int blocks = MostBlocks(tiling.tokens);
  while (blocks > 1 && (blocks * block_bytes > kStageBytes || k_blocks % blocks != 0)) blocks /= 2;
  const int capacity = block_bytes >= kStageBytes ? kWholeBytes : kHalfBytes;
  const int stages =
      std::min({k_blocks / blocks, capacity / (blocks * block_bytes), kFewMaxStages});
  return {.channels = tiling.channels,
          .k_blocks = k_blocks,
          .blocks = blocks,
          .stages = stages,
          .output = OutputOf(args)};
}

// The first operand's 64 rows are read from the last block's weights on.
int BufferBytes(const FewPlan& plan, int tokens) {
  const int used = (plan.channels + tokens) * plan.blocks * plan.stages * kBlockRowBytes;
  const int weights = plan.channels * plan.blocks * plan.stages * kBlockRowBytes;
  return std::max(used, weights + (kFewMmaRows - plan.channels) * kBlockRowBytes) +
         1024;  // To align it by hand.
}

template <int kTokens, int kBlocks>
cudaError_t LaunchKernel(const FewPlan& plan, const LinearArgs& args, cudaStream_t stream) {
  CUtensorMap weights, tokens;
  cudaError_t e =
      EncodeBlockedMatrix(args.weight_NK, args.N, args.K, plan.channels, plan.blocks, &weights);
  if (e != cudaSuccess) return e;
  e = EncodeBlockedMatrix(args.x_TK, args.T, args.K, kTokens, plan.blocks, &tokens);
  if (e != cudaSuccess) return e;
  const auto kernel = LinearFewTokensKernel<kTokens, kBlocks>;
  const int bytes = BufferBytes(plan, kTokens);
  e = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  if (e != cudaSuccess) return e;
  cudaLaunchAttribute early = ProgrammaticDependentLaunch();
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(args.N / plan.channels, CeilDivide(args.T, kTokens));
  config.blockDim = dim3(kFewThreads);
  config.dynamicSmemBytes = bytes;
  config.stream = stream;
  config.attrs = &early;
  config.numAttrs = 1;
  return cudaLaunchKernelEx(&config, kernel, weights, tokens, plan);
}

template <int kTokens>
cudaError_t Launch(const LinearTiling& tiling, const LinearArgs& args, cudaStream_t stream) {
  const FewPlan plan = MakePlan(tiling, args);
  if constexpr (MostBlocks(kTokens) >= 4) {
    if (plan.blocks == 4) return LaunchKernel<kTokens, 4>(plan, args, stream);
  }
  if constexpr (MostBlocks(kTokens) >= 2) {
    if (plan.blocks == 2) return LaunchKernel<kTokens, 2>(plan, args, stream);
  }
  return LaunchKernel<kTokens, 1>(plan, args, stream);
}

}  // namespace

cudaError_t LinearFewTokens(const LinearTiling& tiling, const LinearArgs& args,
                            cudaStream_t stream) {
  const int channels = tiling.channels;
  if (channels < 8 || channels > 64 || 64 % channels != 0) return cudaErrorInvalidValue;
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
