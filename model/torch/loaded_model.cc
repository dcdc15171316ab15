#include "model/torch/loaded_model.h"

#include <algorithm>
#include <utility>

#include "model/status_macros.h"
#include "model/tensor_table.h"

namespace hmar {

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

at::Tensor LoadedModel::LayPrefix(
    const std::vector<TokenMap>& prefix,
    const std::function<void(int scale, const at::Tensor& f_hat_ZPP)>& on_scale) const {
  const int64_t Z = config.tokenizer.z_channels, P = config.last_grid();
  at::Tensor f_hat = at::zeros({Z, P, P}, at::kFloat);
  for (size_t k = 0; k < prefix.size(); ++k) {
    f_hat = f_hat.add(tokenizer.Contribution(static_cast<int>(k), TokensTensor(prefix[k]))[0]);
    if (on_scale) on_scale(static_cast<int>(k), f_hat);
  }
  return f_hat;
}

at::Tensor TokensTensor(const TokenMap& tokens) {
  at::Tensor tensor = at::empty({1, static_cast<int64_t>(tokens.size())}, at::kLong);
  std::copy(tokens.begin(), tokens.end(), tensor.data_ptr<int64_t>());
  return tensor;
}

}  // namespace hmar
