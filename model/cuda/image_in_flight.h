#ifndef HMAR_MODEL_CUDA_IMAGE_IN_FLIGHT_H_
#define HMAR_MODEL_CUDA_IMAGE_IN_FLIGHT_H_

#include <cstddef>
#include <utility>
#include <vector>

#include "model/engine.h"
#include "model/sampler.h"
#include "model/sampling_plan.h"

namespace hmar {

// An image from its admission until its picture is delivered; the host's half (SlotArrays hold the
// device's). Shared by the engine and by the work that is still under way for it.
struct ImageInFlight {
  ImageInFlight(ImageId image, ImageTask its_task, const ModelConfig& config)
      : id(image),
        task(std::move(its_task)),
        num_scales(NumScales(config, task.sampling)),
        passes(PlanPasses(config, task)),
        draw(task.sampling.temperature, task.sampling.top_k, task.sampling.top_p) {}

  bool done() const { return next_pass == passes.size(); }
  const Pass& pass() const { return passes[next_pass]; }  // REQUIRES: !done().
  int scale_of(size_t index) const { return ScaleOfPass(passes, index, num_scales); }
  // As Engine::Truncate.
  absl::Status Truncate(uint32_t scales) {
    return TruncateImage(id, scales, next_pass, &passes, &num_scales);
  }
  bool wants_preview(int scale) const { return WantsPreview(task, scale); }

  const ImageId id;
  const ImageTask task;
  int num_scales;  // That it is to have.
  std::vector<Pass> passes;
  const DrawParams draw;
  size_t next_pass = 0;
  int slot = -1;         // -1: its passes are over.
  bool started = false;  // Its slot is cleared, and the scales before its first pass are laid.
  bool gone = false;     // Cancelled or failed: whatever is still made for it is dropped.
  int waiting_full_previews = 0;
  std::vector<TokenMap> tokens;  // Those scales', once the last pass has run on the device.
};

}  // namespace hmar

#endif  // HMAR_MODEL_CUDA_IMAGE_IN_FLIGHT_H_
