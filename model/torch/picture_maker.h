#ifndef HMAR_MODEL_TORCH_PICTURE_MAKER_H_
#define HMAR_MODEL_TORCH_PICTURE_MAKER_H_

#include <optional>
#include <vector>

#include "model/picture.h"
#include "model/torch/fast_preview.h"
#include "model/torch/loaded_model.h"

namespace hmar {

// Turns feature maps into pictures. A picture of which a number is not finite is none: bytes would
// hide it. Needs an InferenceMode guard on the calling thread.
class PictureMaker {
 public:
  // `model` outlives the maker.
  explicit PictureMaker(const LoadedModel* model) : model_(model) {}

  // Makes Fast available: draws a few images of several classes, keeps their f_hat after every
  // scale, and fits the read-out to the decoder's pictures of a sample of them. Deterministic. Does
  // nothing where logits or pictures are not finite: the probe image will say so.
  void FitFast(LoadedModel* model);

  bool has_fast() const { return fast_.has_value(); }
  uint64_t fast_bytes() const { return has_fast() ? fast_->bytes() : 0; }  // Of the read-out.

  // The decoder's pictures of feature maps (Z, P, P) each, S x S, decoded in batches of bounded
  // memory.
  std::vector<std::optional<Picture>> Full(const std::vector<at::Tensor>& f_hats) const;

  // Previews, q P x q P. REQUIRES: has_fast().
  std::vector<std::optional<Picture>> Fast(const std::vector<at::Tensor>& f_hats) const;

 private:
  const LoadedModel* model_;
  std::optional<FastPreview> fast_;
};

}  // namespace hmar

#endif  // HMAR_MODEL_TORCH_PICTURE_MAKER_H_
