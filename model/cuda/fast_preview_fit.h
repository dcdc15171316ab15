#ifndef HMAR_MODEL_CUDA_FAST_PREVIEW_FIT_H_
#define HMAR_MODEL_CUDA_FAST_PREVIEW_FIT_H_

#include <vector>

#include "absl/types/span.h"

namespace hmar {

// The FAST preview's linear read-out: each cell of the feature map becomes q x q pixels, q = min(4,
// S / P).
struct FastPreviewFit {
  int q = 0;
  std::vector<float> weight;  // (9 Z, 3 q q), as kernels/picture.h's FastPreview takes it.
  std::vector<float> bias;    // (3 q q)
};

// Fits it by ridge regression to N feature maps (P, P, Z) and what the decoder makes of them, (S,
// S, 3), in double precision on the calling thread: about a second. Deterministic.
FastPreviewFit FitFastPreview(absl::Span<const std::vector<float>> maps_PPZ,
                              absl::Span<const std::vector<float>> pixels_SS3, int P, int Z, int S);

}  // namespace hmar

#endif  // HMAR_MODEL_CUDA_FAST_PREVIEW_FIT_H_
