#include "model/engine.h"

namespace hmar {

std::vector<Pass> PlanPasses(const ModelConfig& config, const ImageTask& task) {
  return PlanPasses(config, task.sampling, task.class_id.has_value(),
                    static_cast<int>(task.prefix.size()),
                    task.keep == nullptr ? absl::Span<const KeepMap>() : *task.keep);
}

}  // namespace hmar
