// The linear layer: what it accepts, and how it is cut into thread blocks.

#include "kernels/linear.h"

#include <algorithm>
#include <cstdint>

#include "kernels/linear_epilogue.cuh"
#include "kernels/linear_internal.h"
#include "kernels/tensor_map.h"

namespace hmar::kernels {
namespace {

constexpr int kFewTokens[] = {8, 16, 24, 32, 48, 64, 96, 128, 192, 256};
constexpr int kFewChannels[] = {8, 16, 32, 64};
constexpr int kManyChannels[] = {128, 192, 256};
constexpr int kClusters[] = {1, 2};
constexpr int kManyTileTokens = 128;

bool Aligned(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % 16 == 0; }

bool Valid(const LinearArgs& a) {
  const bool one_output = (a.out_TN == nullptr) != (a.out_fp32_TN == nullptr);
  const bool known = a.epilogue == LinearEpilogue::kBias || a.epilogue == LinearEpilogue::kBiasGelu;
  const auto width = [](int n) { return n > 0 && n % 64 == 0 && n <= 1 << 16; };
  if (a.T < 0 || a.T > 1 << 18 || !width(a.N) || !width(a.K) || !known) return false;
  if (a.T == 0) return true;
  return one_output && a.x_TK != nullptr && a.weight_NK != nullptr && a.bias_N != nullptr &&
         Aligned(a.x_TK) && Aligned(a.weight_NK) && Aligned(a.bias_N) && Aligned(a.out_TN) &&
         Aligned(a.out_fp32_TN);
}

// cudaErrorNotSupported unless the device is one these kernels are for.
cudaError_t FindMultiprocessors(int* count) {
  int device = 0, major = 0, minor = 0;
  if (const cudaError_t e = cudaGetDevice(&device); e != cudaSuccess) return e;
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
  if (major != 9 || minor != 0 || TensorMapEncoder() == nullptr) return cudaErrorNotSupported;
  return cudaDeviceGetAttribute(count, cudaDevAttrMultiProcessorCount, device);
}

cudaError_t Launch(const LinearTiling& tiling, const LinearArgs& args, int multiprocessors,
                   cudaStream_t stream) {
  return tiling.kernel == LinearTiling::Kernel::kFewTokens
             ? LinearFewTokens(tiling, args, stream)
             : LinearManyTokens(tiling, args, multiprocessors, stream);
}

// ---- A model of an H200, in microseconds: only the order of the tilings' times matters. ----

constexpr double kCyclesPerUs = 1700;
constexpr double kMultiprocessorBytesPerUs = 90e3;  // From L2 into one multiprocessor.
constexpr double kL2BytesPerUs = 5.0e6;             // From L2 into all.
constexpr double kMemoryBytesPerUs = 4.0e6;

double Weights(const LinearArgs& a) { return 2.0 * a.N * a.K / kMemoryBytesPerUs; }

// Products of 16 columns follow each other no faster than their sums do.
double FewTokensTime(const LinearTiling& t, const LinearArgs& a, int multiprocessors) {
  constexpr double kFixed = 2.0, kStepCycles = 24;
  const int token_tiles = CeilDivide(a.T, t.tokens * t.token_blocks) * t.token_blocks;
  const int blocks = a.N / t.channels * token_tiles;
  const int turns = CeilDivide(blocks, multiprocessors);
  // Rows behind the last token are not read.
  const double tokens = double(a.T) / token_tiles;
  const double block_bytes = 2.0 * (t.channels + tokens) * a.K;
  const double read_bytes =
      2.0 * (double(t.channels) / t.token_blocks + tokens / t.channel_blocks) * a.K;
  const double sums = turns * a.K / 16 * std::max(kStepCycles, t.tokens * 0.55) / kCyclesPerUs;
  const double epilogue = turns * t.tokens * 0.004;
  return kFixed + epilogue +
         std::max({sums, turns * block_bytes / kMultiprocessorBytesPerUs,
                   blocks * read_bytes / kL2BytesPerUs, Weights(a)});
}

double ManyTokensTime(const LinearTiling& t, const LinearArgs& a, int multiprocessors) {
  constexpr double kFixed = 4.0, kShare = 0.8;  // Of the tensor cores' peak.
  const int tiles =
      CeilDivide(a.T, t.tokens * t.token_blocks) * t.token_blocks * CeilDivide(a.N, t.channels);
  const int turns = CeilDivide(tiles, multiprocessors);
  const double tile_bytes = 2.0 * (t.channels / t.token_blocks + t.tokens) * a.K;
  const double ingress = 2.0 * (t.channels + t.tokens) * a.K;
  const double sums = turns * (a.K / 64.0) * t.channels * 4 / kCyclesPerUs / kShare;
  return kFixed + std::max({sums, turns * ingress / kMultiprocessorBytesPerUs,
                            tiles * tile_bytes / kL2BytesPerUs, Weights(a)});
}

// A cluster of few tokens has its blocks of channels to the last.
bool Fits(const LinearTiling& t, int N) {
  return t.kernel == LinearTiling::Kernel::kManyTokens || N % (t.channels * t.channel_blocks) == 0;
}

double TimeOf(const LinearTiling& tiling, const LinearArgs& args, int multiprocessors) {
  return tiling.kernel == LinearTiling::Kernel::kFewTokens
             ? FewTokensTime(tiling, args, multiprocessors)
             : ManyTokensTime(tiling, args, multiprocessors);
}

}  // namespace

std::vector<LinearTiling> LinearTilings(int N) {
  std::vector<LinearTiling> tilings;
  for (const int tokens : kFewTokens) {
    for (const int channels : kFewChannels) {
      tilings.push_back({LinearTiling::Kernel::kFewTokens, tokens, channels, 1, 1});
      if (tokens < 32 || tokens % 16 != 0 || channels < 32) continue;  // Little to share.
      tilings.push_back({LinearTiling::Kernel::kFewTokens, tokens, channels, 1, 2});
      tilings.push_back({LinearTiling::Kernel::kFewTokens, tokens, channels, 2, 2});
    }
  }
  for (const int channels : kManyChannels) {
    for (const int cluster : kClusters) {
      tilings.push_back({LinearTiling::Kernel::kManyTokens, kManyTileTokens, channels, cluster, 1});
    }
  }
  std::erase_if(tilings, [N](const LinearTiling& tiling) { return !Fits(tiling, N); });
  return tilings;
}

LinearTiling ChooseLinearTiling(const LinearArgs& args, int multiprocessors) {
  LinearTiling best;
  double best_time = 0;
  for (const LinearTiling& tiling : LinearTilings(args.N)) {
    const double time = TimeOf(tiling, args, multiprocessors);
    if (best_time == 0 || time < best_time) best = tiling, best_time = time;
  }
  return best;
}

cudaError_t Linear(const LinearArgs& args, const LinearTiling& tiling, cudaStream_t stream) {
  if (!Valid(args) || !Fits(tiling, args.N)) return cudaErrorInvalidValue;
  if (args.T == 0) return cudaSuccess;
  int multiprocessors = 0;
  if (const cudaError_t e = FindMultiprocessors(&multiprocessors); e != cudaSuccess) return e;
  return Launch(tiling, args, multiprocessors, stream);
}

cudaError_t Linear(const LinearArgs& args, cudaStream_t stream) {
  if (!Valid(args)) return cudaErrorInvalidValue;
  if (args.T == 0) return cudaSuccess;
  int multiprocessors = 0;
  if (const cudaError_t e = FindMultiprocessors(&multiprocessors); e != cudaSuccess) return e;
  return Launch(ChooseLinearTiling(args, multiprocessors), args, multiprocessors, stream);
}

}  // namespace hmar::kernels
