#ifndef HMAR_MODEL_TORCH_SLOT_H_
#define HMAR_MODEL_TORCH_SLOT_H_

#include <utility>
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
  bool wants_preview(int scale) const { return WantsPreview(task, scale); }

  int scale_of(size_t index) const { return ScaleOfPass(passes, index, num_scales); }
  // As Engine::Truncate.
  absl::Status Truncate(uint32_t scales) {
    return TruncateImage(id, scales, next_pass, &passes, &num_scales);
  }
  // The tokens of scales [first, last), which have no pass: the prefix's or the source image's.
  TokenPyramid LaidTokens(int first, int last) const;
  // What a next-scale pass starts from, (n) each: all but the kept tokens are open.
  TokenMap StartTokens() const;
  std::vector<uint8_t> StartOpen() const;

  ImageId id;
  ImageTask task;
  int num_scales;  // That it is to have.
  std::vector<Pass> passes;
  size_t next_pass = 0;
  DrawParams draw;
  // Sum of the settled scales' contributions. Undefined before the first step.
  at::Tensor f_hat_ZPP;
  TokenPyramid settled;  // Tokens of the settled scales.

  // The scale in progress, after its next-scale pass. (n) each.
  TokenMap tokens;
  std::vector<float> confidence;  // Probability of each token when it was drawn.
  std::vector<uint8_t> open;      // 1: the next mask pass redraws it.

  // Previews of the scales before the first pass, to be made in the first step: scale and f_hat.
  std::vector<std::pair<int, at::Tensor>> early_previews;
};

// What a slot holds between steps, without what its task brings (a prefix, an edit's maps): f_hat,
// the tokens of all scales, and tokens, confidence and open of the largest one in progress.
uint64_t SlotBytes(const ModelConfig& config);

}  // namespace hmar

#endif  // HMAR_MODEL_TORCH_SLOT_H_
