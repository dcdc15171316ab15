#include "model/torch/loaded_model.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "model/status_macros.h"
#include "model/tensor_table.h"

namespace hmar {
namespace {

// The convolutions' activations take some kilobytes a pixel.
constexpr int64_t kPixelsAtOnce = 64 * 1024;

}  // namespace

absl::StatusOr<std::unique_ptr<LoadedModel>> LoadedModel::Load(const ModelFolder& folder) {
  const c10::InferenceMode guard;
  HMAR_ASSIGN_OR_RETURN(
      Weights tokenizer,
      Weights::Load(*folder.tokenizer, TokenizerTable(folder.config, *folder.tokenizer)));
  HMAR_ASSIGN_OR_RETURN(Weights transformer,
                        Weights::Load(*folder.transformer, TransformerTable(folder.config)));
  return std::make_unique<LoadedModel>(folder.config, std::move(tokenizer), std::move(transformer));
}

LoadedModel::LoadedModel(const ModelConfig& config, Weights tokenizer_weights,
                         Weights transformer_weights)
    : config(config),
      tokenizer(config, std::move(tokenizer_weights)),
      transformer(config, std::move(transformer_weights)),
      runner(&this->config, &tokenizer, &transformer) {}

size_t LoadedModel::images_at_once() const {
  const int64_t S = config.image_size;
  return static_cast<size_t>(std::max<int64_t>(1, kPixelsAtOnce / (S * S)));
}

at::Tensor LoadedModel::EmptyFHat() const {
  return at::zeros({config.tokenizer.z_channels, config.last_grid(), config.last_grid()},
                   at::kFloat);
}

at::Tensor LoadedModel::Lay(
    at::Tensor f_hat_ZPP, int first, const TokenPyramid& tokens,
    const std::function<void(int scale, const at::Tensor& f_hat_ZPP)>& on_scale) const {
  for (size_t i = 0; i < tokens.size(); ++i) {
    const int scale = first + static_cast<int>(i);
    f_hat_ZPP = f_hat_ZPP.add(tokenizer.Contribution(scale, TokensTensor(tokens[i]))[0]);
    if (on_scale) on_scale(scale, f_hat_ZPP);
  }
  return f_hat_ZPP;
}

absl::StatusOr<std::vector<TokenPyramid>> LoadedModel::Encode(const at::Tensor& image_B3SS) const {
  const at::Tensor features = tokenizer.EncodeFeatures(image_B3SS);
  if (!at::isfinite(features).all().item<bool>()) {
    return absl::InternalError("the encoder's features are not finite");
  }
  std::vector<TokenPyramid> images(image_B3SS.size(0));
  for (const at::Tensor& tokens_Bn : tokenizer.Quantize(features)) {
    const int64_t* next = tokens_Bn.data_ptr<int64_t>();
    for (TokenPyramid& image : images) {
      image.emplace_back(next, next + tokens_Bn.size(1));
      next += tokens_Bn.size(1);
    }
  }
  return images;
}

at::Tensor TokensTensor(const TokenMap& tokens) {
  at::Tensor tensor = at::empty({1, static_cast<int64_t>(tokens.size())}, at::kLong);
  std::copy(tokens.begin(), tokens.end(), tensor.data_ptr<int64_t>());
  return tensor;
}

}  // namespace hmar
