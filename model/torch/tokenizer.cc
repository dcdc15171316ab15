#include "model/torch/tokenizer.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "model/phi_of_scale.h"

namespace hmar {

Tokenizer::Tokenizer(const ModelConfig& config, Weights weights)
    : config_(config), autoencoder_(config, &weights) {
  for (int k = 0; k < config.num_scales(); ++k) {
    phi_of_scale_.push_back(PhiOfScale(k, config.num_scales(), config.tokenizer.share_quant_resi));
  }
  for (int i = 0; i < config.tokenizer.share_quant_resi; ++i) {
    const std::string name = absl::StrCat("quantize.quant_resi.qresi_ls.", i);
    phi_.emplace_back(weights[name + ".weight"].flatten(1), weights[name + ".bias"]);
  }
  codebook_VZ_ = weights["quantize.embedding.weight"];
  codebook_norm_V_ = codebook_VZ_.square().sum(1);
  times_codebook_ = PackedLinear(codebook_VZ_, at::Tensor());
}

uint64_t Tokenizer::bytes() const {
  uint64_t bytes = autoencoder_.bytes() + codebook_VZ_.nbytes() + codebook_norm_V_.nbytes() +
                   times_codebook_.bytes();
  for (const PackedLinear& phi : phi_) bytes += phi.bytes();
  return bytes;
}

std::vector<at::Tensor> Tokenizer::Quantize(const at::Tensor& features_BZPP) const {
  std::vector<at::Tensor> tokens;
  at::Tensor rest = features_BZPP.clone();
  for (int k = 0; k < config_.num_scales(); ++k) {
    const at::Tensor z = ToGrid(rest, k);
    at::Tensor distance = z.square().sum(1, /*keepdim=*/true).add(codebook_norm_V_);
    distance.sub_(times_codebook_(z.mul(2)));
    tokens.push_back(at::argmin(distance, 1).view({rest.size(0), -1}));
    rest.sub_(Contribution(k, tokens.back()));
  }
  return tokens;
}

at::Tensor Tokenizer::Contribution(int scale, const at::Tensor& tokens_Bn) const {
  const int64_t B = tokens_Bn.size(0), p = config_.patch_nums[scale], P = config_.last_grid();
  at::Tensor h = at::index_select(codebook_VZ_, 0, tokens_Bn.reshape({-1}))
                     .view({B, p * p, config_.tokenizer.z_channels})
                     .transpose(1, 2)
                     .reshape({B, config_.tokenizer.z_channels, p, p});
  if (scale < config_.num_scales() - 1)
    h = at::upsample_bicubic2d(h, {P, P}, /*align_corners=*/false);
  const at::Tensor convolved =
      phi_[phi_of_scale_[scale]](Neighbourhoods(h)).view({B, P, P, -1}).permute({0, 3, 1, 2});
  const double r = config_.tokenizer.quant_resi;
  return h.mul(1 - r).add_(convolved.mul(r));
}

at::Tensor Tokenizer::ToGrid(const at::Tensor& x_BZPP, int scale) const {
  const int64_t p = config_.patch_nums[scale];
  const at::Tensor grid =
      p == config_.last_grid() ? x_BZPP : at::_adaptive_avg_pool2d(x_BZPP, {p, p});
  return grid.flatten(2).transpose(1, 2).reshape({-1, x_BZPP.size(1)});
}

}  // namespace hmar
