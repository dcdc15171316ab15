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
  const auto width = [](int n) { return n > 0 && n % 64 == 0 && n <= kMaxLinearN; };
  if (a.T < 0 || a.T > kMaxLinearT || !width(a.N) || !width(a.K) || !known) return false;
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

}  // namespace

std::vector<LinearTiling> LinearTilings() {
  std::vector<LinearTiling> tilings;
  for (const int tokens : kFewTokens) {
    for (const int channels : kFewChannels) {
      tilings.push_back({LinearTiling::Kernel::kFewTokens, tokens, channels, 1});
    }
  }
  for (const int channels : kManyChannels) {
    for (const int cluster : kClusters) {
      tilings.push_back({LinearTiling::Kernel::kManyTokens, kManyTileTokens, channels, cluster});
    }
  }
  return tilings;
}

cudaError_t Linear(const LinearArgs& args, const LinearTiling& tiling, cudaStream_t stream) {
  if (!Valid(args)) return cudaErrorInvalidValue;
  if (args.T == 0) return cudaSuccess;
  int multiprocessors = 0;
  if (const cudaError_t e = FindMultiprocessors(&multiprocessors); e != cudaSuccess) return e;
  return tiling.kernel == LinearTiling::Kernel::kFewTokens
             ? LinearFewTokens(tiling, args, stream)
             : LinearManyTokens(tiling, args, multiprocessors, stream);
}

}  // namespace hmar::kernels
