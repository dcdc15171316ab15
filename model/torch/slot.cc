#include "model/torch/slot.h"

#include <utility>

namespace hmar {

Slot::Slot(ImageId id, ImageTask task, const ModelConfig& config)
    : id(id),
      task(std::move(task)),
      passes(PlanPasses(config, this->task.sampling, this->task.class_id.has_value(),
                        static_cast<int>(this->task.prefix.size()))),
      draw(this->task.sampling.temperature, this->task.sampling.top_k, this->task.sampling.top_p) {}

}  // namespace hmar
