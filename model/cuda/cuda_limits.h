#ifndef HMAR_MODEL_CUDA_CUDA_LIMITS_H_
#define HMAR_MODEL_CUDA_CUDA_LIMITS_H_

#include "absl/status/status.h"
#include "model/config.h"
#include "model/cuda_engine.h"

namespace hmar {

// Whether the kernels take a model's shapes and the options' precision and rows; asks no device.
// FAILED_PRECONDITION with the value and the limit. (MakeGrids has the grids' limits.)
absl::Status CheckCudaLimits(const ModelConfig& config, const CudaEngineOptions& options);

}  // namespace hmar

#endif  // HMAR_MODEL_CUDA_CUDA_LIMITS_H_
