// The host's side of the linear layer of many tokens: tensor maps, the launch.

#include "kernels/linear_many_tokens.cuh"

#include <algorithm>

namespace hmar::kernels {
namespace {

constexpr int kMostEarlyTokens = 1024;

template <int N, int kCluster>
ManyPlan MakePlan(const LinearArgs& args) {
  const int token_tiles = CeilDivide(args.T, kTileTokens * kCluster);
  const int channel_tiles = CeilDivide(args.N, N);
  return {.k_blocks = args.K / kColumnBlock,
          .token_tiles = token_tiles,
          .channel_tiles = channel_tiles,
          .tiles = token_tiles * channel_tiles,
          .band = kBandTokens / (kTileTokens * kCluster),
          .output = OutputOf(args)};
}

template <int N, int kCluster>
cudaError_t Launch(const LinearArgs& args, int multiprocessors, cudaStream_t stream) {
  const ManyPlan plan = MakePlan<N, kCluster>(args);
  CUtensorMap tokens, weights;
  cudaError_t e = EncodeBlockedMatrix(args.x_TK, args.T, args.K, kConsumerTokens, 1, &tokens);
  if (e != cudaSuccess) return e;
  e = EncodeBlockedMatrix(args.weight_NK, args.N, args.K, N / kCluster, 1, &weights);
  if (e != cudaSuccess) return e;
  constexpr int kBytes = sizeof(ManyStorage<N>) + 1024;  // To align it by hand.
  static_assert(kBytes <= 227 * 1024);
  const auto kernel = LinearManyTokensKernel<N, kCluster>;
  e = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  if (e != cudaSuccess) return e;
  cudaLaunchAttribute attributes[] = {ProgrammaticDependentLaunch(), ClusterOf(kCluster, 1)};
  // Blocks that wait hold multiprocessors that another stream could use; with many tokens an early
  // start gains nothing.
  attributes[0].val.programmaticStreamSerializationAllowed = args.T <= kMostEarlyTokens;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(std::min(plan.tiles, multiprocessors / kCluster) * kCluster);
  config.blockDim = dim3(kManyThreads);
  config.dynamicSmemBytes = kBytes;
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = kCluster > 1 ? 2 : 1;
  return cudaLaunchKernelEx(&config, kernel, tokens, weights, plan);
}

template <int kCluster>
cudaError_t LaunchClusters(const LinearTiling& tiling, const LinearArgs& args, int multiprocessors,
                           cudaStream_t stream) {
  switch (tiling.channels) {
    case 128:
      return Launch<128, kCluster>(args, multiprocessors, stream);
    case 192:
      return Launch<192, kCluster>(args, multiprocessors, stream);
    case 256:
      return Launch<256, kCluster>(args, multiprocessors, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace

cudaError_t LinearManyTokens(const LinearTiling& tiling, const LinearArgs& args,
                             int multiprocessors, cudaStream_t stream) {
  if (tiling.token_blocks == 1) return LaunchClusters<1>(tiling, args, multiprocessors, stream);
  if (tiling.token_blocks == 2) return LaunchClusters<2>(tiling, args, multiprocessors, stream);
  return cudaErrorInvalidValue;
}

}  // namespace hmar::kernels
