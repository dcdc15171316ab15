#ifndef HMAR_MODEL_TORCH_FAST_PREVIEW_H_
#define HMAR_MODEL_TORCH_FAST_PREVIEW_H_

#include <utility>

#include "model/torch/aten.h"
#include "model/torch/packed_linear.h"

namespace hmar {

// A linear read-out of the feature map: each token of the last grid becomes q x q pixels, from its
// 3 x 3 neighbourhood, q = min(4, S / P). Fitted by ridge regression on pictures of the real
// decoder, so that any checkpoint gets previews without training. Immutable; needs an InferenceMode
// guard on the calling thread.
class FastPreview {
 public:
  // f_hat (N, Z, P, P) of any scales, and what the decoder makes of them, (N, 3, S, S) in [-1, 1].
  static FastPreview Fit(const at::Tensor& f_hat_NZPP, const at::Tensor& image_N3SS);

  // (B, Z, P, P) -> (B, 3, qP, qP), in and around [-1, 1].
  at::Tensor Apply(const at::Tensor& f_hat_BZPP) const;

  uint64_t bytes() const { return read_out_.bytes(); }

 private:
  FastPreview(int64_t pixels, PackedLinear read_out)
      : pixels_(pixels), read_out_(std::move(read_out)) {}

  int64_t pixels_;         // q
  PackedLinear read_out_;  // (9 Z) -> (3 q q)
};

}  // namespace hmar

#endif  // HMAR_MODEL_TORCH_FAST_PREVIEW_H_
