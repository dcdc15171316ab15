#ifndef HMAR_MODEL_TORCH_LOADED_MODEL_H_
#define HMAR_MODEL_TORCH_LOADED_MODEL_H_

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "model/model_folder.h"
#include "model/torch/step_runner.h"
#include "model/torch/tokenizer.h"
#include "model/torch/transformer.h"

namespace hmar {

// A model in memory, fp32 on the CPU: what the engine and the inspector have in common.
struct LoadedModel {
  // Errors: a weight that cannot be read.
  static absl::StatusOr<std::unique_ptr<LoadedModel>> Load(const ModelFolder& folder);

  LoadedModel(const ModelConfig& config, Weights tokenizer_weights, Weights transformer_weights);

  // Images that may go through the decoder or the encoder together: a batch of bounded memory.
  size_t images_at_once() const;

  uint64_t bytes() const { return tokenizer.bytes() + transformer.bytes(); }  // Of all weights.

  // f_hat (Z, P, P) before the first scale.
  at::Tensor EmptyFHat() const;

  // f_hat with the scales from `first` on added, from their tokens. `on_scale`, if given, sees each
  // sum.
  at::Tensor Lay(
      at::Tensor f_hat_ZPP, int first, const TokenPyramid& tokens,
      const std::function<void(int scale, const at::Tensor& f_hat_ZPP)>& on_scale = nullptr) const;

  // The tokens of images (B, 3, S, S) in [-1, 1]. INTERNAL if what the encoder makes of one is not
  // finite: every codebook vector would be as near as any.
  absl::StatusOr<std::vector<TokenPyramid>> Encode(const at::Tensor& image_B3SS) const;

  const ModelConfig config;
  const Tokenizer tokenizer;
  Transformer transformer;
  StepRunner runner;
};

// Token maps as ATen takes them, (1, n).
at::Tensor TokensTensor(const TokenMap& tokens);

}  // namespace hmar

#endif  // HMAR_MODEL_TORCH_LOADED_MODEL_H_
