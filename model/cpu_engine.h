#ifndef HMAR_MODEL_CPU_ENGINE_H_
#define HMAR_MODEL_CPU_ENGINE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "model/engine.h"
#include "model/model_folder.h"

namespace hmar {

struct CpuEngineOptions {
  uint32_t max_images = 64;  // Images in flight; each costs about (Z P^2 + 2 L) * 4 bytes at rest.
  int threads =
      0;  // Threads of one operator; 0: one a core. The whole process shares the first value set.
  bool fast_previews = true;  // Fit FAST previews while loading (some dozen decodes).
};

// Loads the weights as fp32 and fits the fast preview. Blocks for seconds. Errors: a weight that
// cannot be read. The engine's thread is the one that calls Step first.
absl::StatusOr<std::unique_ptr<Engine>> MakeCpuEngine(ModelFolder folder,
                                                      const CpuEngineOptions& options);

}  // namespace hmar

#endif  // HMAR_MODEL_CPU_ENGINE_H_
