#ifndef HMAR_MODEL_TORCH_AUTOENCODER_H_
#define HMAR_MODEL_TORCH_AUTOENCODER_H_

#include <map>
#include <string>

#include "model/config.h"
#include "model/torch/aten.h"
#include "model/torch/packed_conv.h"
#include "model/torch/weights.h"

namespace hmar {

// The convolutional encoder and decoder of the VQ-VAE, fp32 on the CPU, channels-last inside.
// Immutable; needs an InferenceMode guard on the calling thread. B images; no image's result
// depends on the others of its batch.
class Autoencoder {
 public:
  // Takes encoder.*, decoder.*, quant_conv.* and post_quant_conv.* out of `weights`.
  Autoencoder(const ModelConfig& config, Weights* weights);

  // Feature map (B, Z, P, P) -> image (B, 3, S, S), in and around [-1, 1]. Not clamped: that would
  // make an infinity look like white.
  at::Tensor Decode(const at::Tensor& f_hat_BZPP) const;

  // Image (B, 3, S, S) in [-1, 1] -> what the quantizer sees, (B, Z, P, P).
  at::Tensor Encode(const at::Tensor& image_B3SS) const;

  uint64_t bytes() const;  // Of all weights.

 private:
  // Layers by published name; maps are (B, H, W, C).
  at::Tensor Conv(const std::string& name, const at::Tensor& x,
                  ConvShape shape = ConvShape::kSame) const;
  at::Tensor Norm(const std::string& name, const at::Tensor& x, bool silu) const;
  at::Tensor ResBlock(const std::string& name, const at::Tensor& x) const;
  at::Tensor AttentionBlock(const std::string& name, const at::Tensor& x) const;
  at::Tensor Middle(const std::string& part, const at::Tensor& x) const;

  int levels_;
  int res_blocks_;
  std::map<std::string, PackedConv> convs_;
  std::map<std::string, at::Tensor> norms_;  // Weights and biases of the norms, by tensor name.
};

}  // namespace hmar

#endif  // HMAR_MODEL_TORCH_AUTOENCODER_H_
