#include "model/torch/slot.h"

#include <algorithm>
#include <utility>

namespace hmar {

Slot::Slot(ImageId id, ImageTask task, const ModelConfig& config)
    : id(id),
      task(std::move(task)),
      num_scales(NumScales(config, this->task.sampling)),
      passes(PlanPasses(config, this->task)),
      draw(this->task.sampling.temperature, this->task.sampling.top_k, this->task.sampling.top_p) {}

TokenPyramid Slot::LaidTokens(int first, int last) const {
  TokenPyramid tokens;
  for (int scale = first; scale < last; ++scale) tokens.push_back(KnownTokens(task, scale));
  return tokens;
}

TokenMap Slot::StartTokens() const {
  return task.given == nullptr ? TokenMap(pass().tokens) : (*task.given)[pass().scale];
}

std::vector<uint8_t> Slot::StartOpen() const {
  std::vector<uint8_t> open(pass().tokens, 1);
  if (task.keep == nullptr) return open;
  const KeepMap& keep = (*task.keep)[pass().scale];
  std::transform(keep.begin(), keep.end(), open.begin(), [](uint8_t kept) { return kept == 0; });
  return open;
}

uint64_t SlotBytes(const ModelConfig& config) {
  const uint64_t cells = config.tokens_of_scale(config.num_scales() - 1);
  const uint64_t in_progress = sizeof(TokenMap::value_type) + sizeof(float) + sizeof(uint8_t);
  return cells * (config.tokenizer.z_channels * sizeof(float) + in_progress) +
         config.total_tokens() * sizeof(TokenMap::value_type);
}

}  // namespace hmar
