#include "model/torch/tokenizer.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

constexpr int kNormGroups = 32;
constexpr double kNormEps = 1e-6;

// The phi convolution of a scale: `count` of them are spread evenly over the scales, and scale k
// uses the one whose tick is nearest to k / (K - 1), the lower of two. Official scale lists do meet
// exact ties (k = 2 of K = 10), which rounding decides: so ticks are computed in double, operation
// for operation as numpy.linspace does for the published models.
int NearestPhi(int scale, int num_scales, int count) {
  const double first = count == 4 ? 1.0 / 3 / count : 1.0 / 2 / count;
  const double last = 1 - first;
  const double step = count > 1 ? (last - first) / (count - 1) : 0;
  const double wanted = static_cast<double>(scale) / (num_scales - 1);
  const auto distance = [&](int i) {
    const double tick = i > 0 && i == count - 1 ? last : i * step + first;
    return std::abs(tick - wanted);
  };
  int nearest = 0;
  for (int i = 1; i < count; ++i) {
    if (distance(i) < distance(nearest)) nearest = i;
  }
  return nearest;
}

}  // namespace

Tokenizer::Tokenizer(const ModelConfig& config, Weights weights)
    : config_(config), w_(std::move(weights)) {
  for (int k = 0; k < config.num_scales(); ++k) {
    const int phi = NearestPhi(k, config.num_scales(), config.tokenizer.share_quant_resi);
    phi_of_scale_.push_back(phi);
  }
  for (int i = 0; i < config.tokenizer.share_quant_resi; ++i) {
    const std::string name = absl::StrCat("quantize.quant_resi.qresi_ls.", i);
    phi_.emplace_back(w_[name + ".weight"].flatten(1), w_[name + ".bias"]);
  }
  codebook_VZ_ = w_["quantize.embedding.weight"];
  codebook_norm_V_ = codebook_VZ_.square().sum(1);
  times_codebook_ = PackedLinear(codebook_VZ_, at::Tensor());
}

at::Tensor Tokenizer::Conv(const std::string& name, const at::Tensor& x, int stride,
                           int padding) const {
  const at::Tensor& weight = w_[name + ".weight"];
  if (padding < 0) padding = static_cast<int>(weight.size(-1) / 2);
  return at::conv2d(x, weight, w_[name + ".bias"], stride, padding);
}

at::Tensor Tokenizer::NormSilu(const std::string& name, const at::Tensor& x) const {
  at::Tensor y = at::group_norm(x, kNormGroups, w_[name + ".weight"], w_[name + ".bias"], kNormEps);
  return at::silu_(y);
}

at::Tensor Tokenizer::ResBlock(const std::string& name, const at::Tensor& x) const {
  at::Tensor h = Conv(name + ".conv1", NormSilu(name + ".norm1", x));
  h = Conv(name + ".conv2", NormSilu(name + ".norm2", h));
  return h.add_(w_.has(name + ".nin_shortcut.weight") ? Conv(name + ".nin_shortcut", x) : x);
}

at::Tensor Tokenizer::AttentionBlock(const std::string& name, const at::Tensor& x) const {
  if (!w_.has(name + ".qkv.weight")) return x;  // Identity where the checkpoint has none.
  const int64_t B = x.size(0), c = x.size(1), h = x.size(2), w = x.size(3);
  const at::Tensor normed =
      at::group_norm(x, kNormGroups, w_[name + ".norm.weight"], w_[name + ".norm.bias"], kNormEps);
  const auto qkv = Conv(name + ".qkv", normed).view({B, 3, c, h * w}).transpose(2, 3).unbind(1);
  const at::Tensor scores =
      at::matmul(qkv[0], qkv[1].transpose(1, 2)).mul_(std::pow(static_cast<double>(c), -0.5));
  const at::Tensor out = at::matmul(at::softmax(scores, -1), qkv[2]);
  return Conv(name + ".proj_out", out.transpose(1, 2).reshape({B, c, h, w})).add_(x);
}

at::Tensor Tokenizer::Middle(const std::string& part, const at::Tensor& x) const {
  at::Tensor h = ResBlock(part + ".mid.block_1", x);
  h = AttentionBlock(part + ".mid.attn_1", h);
  return ResBlock(part + ".mid.block_2", h);
}

at::Tensor Tokenizer::EachAlone(const at::Tensor& batch,
                                at::Tensor (Tokenizer::*function)(const at::Tensor&) const) const {
  std::vector<at::Tensor> results;
  for (int64_t b = 0; b < batch.size(0); ++b)
    results.push_back((this->*function)(batch.narrow(0, b, 1).contiguous()));
  return at::cat(results);
}

at::Tensor Tokenizer::Decode(const at::Tensor& f_hat_BZPP) const {
  return EachAlone(f_hat_BZPP, &Tokenizer::DecodeOne);
}

at::Tensor Tokenizer::EncodeFeatures(const at::Tensor& image_B3SS) const {
  return EachAlone(image_B3SS, &Tokenizer::EncodeOne);
}

at::Tensor Tokenizer::DecodeOne(const at::Tensor& f_hat_1ZPP) const {
  const int levels = static_cast<int>(config_.tokenizer.ch_mult.size());
  at::Tensor h = Middle("decoder", Conv("decoder.conv_in", Conv("post_quant_conv", f_hat_1ZPP)));
  for (int i = levels - 1; i >= 0; --i) {
    for (int j = 0; j <= config_.tokenizer.num_res_blocks; ++j) {
      h = ResBlock(absl::StrCat("decoder.up.", i, ".block.", j), h);
      h = AttentionBlock(absl::StrCat("decoder.up.", i, ".attn.", j), h);
    }
    if (i == 0) break;
    h = at::upsample_nearest2d(h, {2 * h.size(2), 2 * h.size(3)});
    h = Conv(absl::StrCat("decoder.up.", i, ".upsample.conv"), h);
  }
  return Conv("decoder.conv_out", NormSilu("decoder.norm_out", h)).clamp_(-1, 1);
}

at::Tensor Tokenizer::EncodeOne(const at::Tensor& image_13SS) const {
  const int levels = static_cast<int>(config_.tokenizer.ch_mult.size());
  at::Tensor h = Conv("encoder.conv_in", image_13SS);
  for (int i = 0; i < levels; ++i) {
    for (int j = 0; j < config_.tokenizer.num_res_blocks; ++j) {
      h = ResBlock(absl::StrCat("encoder.down.", i, ".block.", j), h);
      h = AttentionBlock(absl::StrCat("encoder.down.", i, ".attn.", j), h);
    }
    if (i == levels - 1) break;
    // Stride 2, padded on the right and at the bottom only.
    h = Conv(absl::StrCat("encoder.down.", i, ".downsample.conv"),
             at::constant_pad_nd(h, {0, 1, 0, 1}), 2, 0);
  }
  h = NormSilu("encoder.norm_out", Middle("encoder", h));
  return Conv("quant_conv", Conv("encoder.conv_out", h));
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
