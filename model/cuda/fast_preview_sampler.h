#ifndef HMAR_MODEL_CUDA_FAST_PREVIEW_SAMPLER_H_
#define HMAR_MODEL_CUDA_FAST_PREVIEW_SAMPLER_H_

#include <optional>

#include "absl/status/statusor.h"
#include "model/cuda/cuda_model.h"
#include "model/cuda/fast_preview_fit.h"
#include "model/cuda/step_launcher.h"

namespace hmar {

// Fits the FAST preview to the model's own samples: draws a few images of several classes without
// guidance and mask passes, keeps their feature maps after every scale, decodes a sample of them.
// Deterministic. Nothing where the logits are not finite: the probe image will say so. REQUIRES: no
// image is in flight. Waits.
absl::StatusOr<std::optional<FastPreviewFit>> FitFastPreviewTo(CudaModel* model,
                                                               StepLauncher* launcher);

}  // namespace hmar

#endif  // HMAR_MODEL_CUDA_FAST_PREVIEW_SAMPLER_H_
