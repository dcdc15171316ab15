#ifndef HMAR_KERNELS_SAME_BYTES_H_
#define HMAR_KERNELS_SAME_BYTES_H_

#include <cuda_runtime_api.h>

#include <cstdint>

namespace hmar::kernels {

// *differ (on the device) = 1 if a and b differ in any of their first `bytes` bytes; left as it is
// if not. a and b 16-byte aligned, else cudaErrorInvalidValue; bytes may be 0. Asynchronous on
// `stream`; allocates nothing.
cudaError_t CompareBytes(const void* a, const void* b, int64_t bytes, int32_t* differ,
                         cudaStream_t stream);

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_SAME_BYTES_H_
