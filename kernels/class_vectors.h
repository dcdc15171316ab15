#ifndef HMAR_KERNELS_CLASS_VECTORS_H_
#define HMAR_KERNELS_CLASS_VECTORS_H_

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <cstdint>

namespace hmar::kernels {

inline constexpr int kMaxClassRows = 65535;

// What follows the AdaLN projection of all classes at load: out[n * class_stride + i] =
// bf16(product_NW[n, i] + bias_W[i] + (first_scale <= i < first_shift ? 1 : 0)), for n < N (at most
// kMaxClassRows), i < W.
// Asynchronous on `stream`; allocates nothing.
cudaError_t StoreClassVectors(const float* product_NW, const float* bias_W, int N, int64_t W,
                              int64_t first_scale, int64_t first_shift, __nv_bfloat16* out,
                              int64_t class_stride, cudaStream_t stream);

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_CLASS_VECTORS_H_
