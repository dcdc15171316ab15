#include "kernels/class_vectors.h"

namespace hmar::kernels {
namespace {

constexpr int kThreads = 256;

__global__ void Store(const float* product_NW, const float* bias_W, int64_t W, int64_t first_scale,
                      int64_t first_shift, __nv_bfloat16* out, int64_t class_stride) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= W) return;
  const int64_t n = blockIdx.y;
  const float one = first_scale <= i && i < first_shift ? 1.0f : 0.0f;
  out[n * class_stride + i] = __float2bfloat16(product_NW[n * W + i] + bias_W[i] + one);
}

}  // namespace

cudaError_t StoreClassVectors(const float* product_NW, const float* bias_W, int N, int64_t W,
                              int64_t first_scale, int64_t first_shift, __nv_bfloat16* out,
                              int64_t class_stride, cudaStream_t stream) {
  if (N < 0 || N > kMaxClassRows || W < 0) return cudaErrorInvalidValue;
  if (N == 0 || W == 0) return cudaSuccess;
  const dim3 blocks(static_cast<unsigned>((W + kThreads - 1) / kThreads), N);
  Store<<<blocks, kThreads, 0, stream>>>(product_NW, bias_W, W, first_scale, first_shift, out,
                                         class_stride);
  return cudaGetLastError();
}

}  // namespace hmar::kernels
