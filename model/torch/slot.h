#ifndef HMAR_MODEL_TORCH_SLOT_H_
#define HMAR_MODEL_TORCH_SLOT_H_

#include <vector>

#include "model/engine.h"
#include "model/sampler.h"
#include "model/sampling_plan.h"
#include "model/torch/aten.h"

namespace hmar {

// An image in flight.
struct Slot {
  Slot(ImageId id, ImageTask task, const ModelConfig& config);

  // The next pass. REQUIRES: !done().
  const Pass& pass() const { return passes[next_pass]; }
  bool done() const { return next_pass == passes.size(); }
  bool wants_preview(int scale) const {
    return task.preview_mode != PreviewMode::kNone && task.preview_scales[scale];
  }

  ImageId id;
  ImageTask task;
  std::vector<Pass> passes;
  size_t next_pass = 0;
  DrawParams draw;
  at::Tensor
      f_hat_ZPP;  // Sum of the settled scales' contributions. Undefined until the prefix is laid.
  std::vector<TokenMap> settled;  // Tokens of the settled scales.

  // The scale in progress, after its next-scale pass. (n) each.
  TokenMap tokens;
  std::vector<float> confidence;  // Probability of each token when it was drawn.
  std::vector<uint8_t> open;      // 1: the next mask pass redraws it.

  std::vector<PreviewReport>
      prefix_previews;  // Made when the prefix was laid; leave with the next report.
};

}  // namespace hmar

#endif  // HMAR_MODEL_TORCH_SLOT_H_
