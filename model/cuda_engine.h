#ifndef HMAR_MODEL_CUDA_ENGINE_H_
#define HMAR_MODEL_CUDA_ENGINE_H_

// The CUDA engine lives in a shared library of its own, libhmar_cuda.so, that a program opens with
// dlopen when a GPU is asked for: others need neither CUDA nor its start-up time. No CUDA headers
// here.

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "model/engine.h"
#include "model/inspector.h"
#include "model/model_folder.h"

namespace hmar {

enum class Precision {
  kBf16,  // bf16 weights and activations, fp32 sums.
  kFp8,   // The blocks' four GEMMs in e4m3, weights scaled per channel, activations per row.
};

struct CudaEngineOptions {
  int device = 0;           // CUDA ordinal.
  uint32_t max_images = 0;  // Images in flight; 0: as many as fit into free memory, at most 1,024.
  uint32_t max_step_rows = 20480;  // Forward rows of a step; sizes the workspace.
  Precision precision = Precision::kBf16;
  bool fast_previews = true;  // Fit FAST previews while loading.
  bool graphs = true;         // CUDA graphs for small steps.
};

// Loads the weights onto the device and warms up: picks GEMM algorithms, captures graphs, fits the
// fast preview. Takes all memory that the engine will ever need; Step allocates none. Blocks for
// seconds. Errors: a weight that cannot be read; FAILED_PRECONDITION: no such device, or a model
// this engine cannot run (its head size is not 64, ...); RESOURCE_EXHAUSTED: too little free
// memory, with the sizes. The engine's thread may be any one thread.
absl::StatusOr<std::unique_ptr<Engine>> MakeCudaEngine(ModelFolder folder,
                                                       const CudaEngineOptions& options);

// The engine's stages, for parity tests. Errors as above.
absl::StatusOr<std::unique_ptr<Inspector>> MakeCudaInspector(ModelFolder folder,
                                                             const CudaEngineOptions& options);

// What libhmar_cuda.so exports under the name kMakeCudaEngineSymbol, with C linkage:
// MakeCudaEngine, its result in *engine.
using MakeCudaEngineFunction = void (*)(ModelFolder* folder, const CudaEngineOptions* options,
                                        absl::StatusOr<std::unique_ptr<Engine>>* engine);
inline constexpr char kMakeCudaEngineSymbol[] = "hmar_make_cuda_engine";

}  // namespace hmar

#endif  // HMAR_MODEL_CUDA_ENGINE_H_
