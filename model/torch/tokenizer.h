#ifndef HMAR_MODEL_TORCH_TOKENIZER_H_
#define HMAR_MODEL_TORCH_TOKENIZER_H_

#include <string>
#include <vector>

#include "model/config.h"
#include "model/engine.h"
#include "model/torch/aten.h"
#include "model/torch/autoencoder.h"
#include "model/torch/packed_linear.h"
#include "model/torch/weights.h"

namespace hmar {

// The multi-scale VQ-VAE (VAR, arXiv 2404.02905, section 3.2): image <-> residual token pyramid,
// fp32 on the CPU. Immutable; every function needs an InferenceMode guard on the calling thread. B
// images; images are (B, 3, S, S) in
// [-1, 1]; feature maps (B, Z, P, P); tokens (B, n) int64. No image's result depends on the others
// of its batch.
class Tokenizer {
 public:
  Tokenizer(const ModelConfig& config, Weights weights);

  // Feature map -> image, not clamped.
  at::Tensor Decode(const at::Tensor& f_hat_BZPP) const { return autoencoder_.Decode(f_hat_BZPP); }

  // Image -> what the quantizer sees, (B, Z, P, P).
  at::Tensor EncodeFeatures(const at::Tensor& image_B3SS) const {
    return autoencoder_.Encode(image_B3SS);
  }

  // Feature map -> K token maps: the nearest codebook vector of what the coarser scales left over.
  std::vector<at::Tensor> Quantize(const at::Tensor& features_BZPP) const;

  // What a scale's tokens add to f_hat: codebook vectors, bicubic to P x P (not at the last scale),
  // then phi(h) = (1 - r) h + r conv(h), r = quant_resi. -> (B, Z, P, P).
  at::Tensor Contribution(int scale, const at::Tensor& tokens_Bn) const;

  // Area average down to the scale's grid, as rows: (B * n, Z).
  at::Tensor ToGrid(const at::Tensor& x_BZPP, int scale) const;

  uint64_t bytes() const;  // Of all weights.

 private:
  ModelConfig config_;
  Autoencoder autoencoder_;
  std::vector<PackedLinear> phi_;  // Convolutions over neighbourhoods, (9 Z) -> (Z).
  std::vector<int> phi_of_scale_;  // Index into phi_.
  at::Tensor codebook_VZ_;
  at::Tensor codebook_norm_V_;   // Squared lengths.
  PackedLinear times_codebook_;  // (.., Z) -> (.., V)
};

}  // namespace hmar

#endif  // HMAR_MODEL_TORCH_TOKENIZER_H_
