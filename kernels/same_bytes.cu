#include <algorithm>

#include "kernels/same_bytes.h"

namespace hmar::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kMostBlocks = 2048;  // Some rounds of a large GPU.

// Vectors of 16 bytes, the grid's threads side by side; the last bytes by the first threads.
__global__ void __launch_bounds__(kThreads)
    CompareKernel(const uint4* a, const uint4* b, int64_t bytes, int32_t* differ) {
  const int64_t thread = blockIdx.x * int64_t{kThreads} + threadIdx.x;
  const int64_t threads = gridDim.x * int64_t{kThreads}, vectors = bytes / 16;
  bool same = true;
  for (int64_t i = thread; i < vectors; i += threads) {
    const uint4 x = a[i], y = b[i];
    same = same && x.x == y.x && x.y == y.y && x.z == y.z && x.w == y.w;
  }
  const auto* const a_bytes = reinterpret_cast<const uint8_t*>(a);
  const auto* const b_bytes = reinterpret_cast<const uint8_t*>(b);
  for (int64_t i = vectors * 16 + thread; i < bytes; i += threads) {
    same = same && a_bytes[i] == b_bytes[i];
  }
  if (!same) *differ = 1;
}

bool Aligned(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % 16 == 0; }

}  // namespace

cudaError_t CompareBytes(const void* a, const void* b, int64_t bytes, int32_t* differ,
                         cudaStream_t stream) {
  if (bytes < 0 || !Aligned(a) || !Aligned(b)) return cudaErrorInvalidValue;
  if (bytes == 0) return cudaSuccess;
  const int64_t blocks = std::clamp<int64_t>(bytes / 16 / kThreads, 1, kMostBlocks);
  CompareKernel<<<static_cast<unsigned>(blocks), kThreads, 0, stream>>>(
      static_cast<const uint4*>(a), static_cast<const uint4*>(b), bytes, differ);
  return cudaGetLastError();
}

}  // namespace hmar::kernels
