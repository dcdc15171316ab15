#ifndef HMAR_MODEL_CUDA_CUDA_STATUS_H_
#define HMAR_MODEL_CUDA_CUDA_STATUS_H_

#include <cuda_runtime_api.h>

#include "absl/status/status.h"

namespace hmar {

// A CUDA call's result. cudaErrorMemoryAllocation is RESOURCE_EXHAUSTED, a refused argument
// INTERNAL (a bug of ours, harmless to others); everything else is UNAVAILABLE: such errors stick
// to the context, and every later call fails. `what` says what was done.
absl::Status CudaStatus(cudaError_t error, const char* what);

// Returns from the enclosing function unless `call` (cudaError_t) succeeds.
#define HMAR_CUDA_RETURN_IF_ERROR(call)                                     \
  do {                                                                      \
    if (const cudaError_t hmar_error = (call); hmar_error != cudaSuccess) { \
      return ::hmar::CudaStatus(hmar_error, #call);                         \
    }                                                                       \
  } while (false)

}  // namespace hmar

#endif  // HMAR_MODEL_CUDA_CUDA_STATUS_H_
