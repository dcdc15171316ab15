// The one symbol of libhmar_cuda.so that programs look up: see model/cuda_engine.h.

#include <utility>

#include "model/cuda_engine.h"

extern "C" __attribute__((visibility("default"))) void hmar_make_cuda_engine(
    hmar::ModelFolder* folder, const hmar::CudaEngineOptions* options,
    absl::StatusOr<std::unique_ptr<hmar::Engine>>* engine) {
  *engine = hmar::MakeCudaEngine(std::move(*folder), *options);
}
