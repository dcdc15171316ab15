#include "model/torch/autoencoder.h"

#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace hmar {
namespace {

bool IsConvolution(const at::Tensor& weight) { return weight.dim() == 4; }

}  // namespace

Autoencoder::Autoencoder(const ModelConfig& config, Weights* weights)
    : levels_(static_cast<int>(config.tokenizer.ch_mult.size())),
      res_blocks_(config.tokenizer.num_res_blocks) {
  std::vector<std::string> layers;
  for (const std::string& name : weights->names()) {
    if (absl::EndsWith(name, ".weight") && !absl::StartsWith(name, "quantize.")) {
      layers.emplace_back(absl::StripSuffix(name, ".weight"));
    }
  }
  for (const std::string& layer : layers) {
    at::Tensor weight = weights->Take(layer + ".weight"), bias = weights->Take(layer + ".bias");
    if (IsConvolution(weight)) {
      convs_[layer] = PackedConv(weight, bias);
    } else {
      norms_[layer + ".weight"] = std::move(weight);
      norms_[layer + ".bias"] = std::move(bias);
    }
  }
}

uint64_t Autoencoder::bytes() const {
  uint64_t bytes = 0;
  for (const auto& [name, conv] : convs_) bytes += conv.bytes();
  for (const auto& [name, tensor] : norms_) bytes += tensor.nbytes();
  return bytes;
}

at::Tensor Autoencoder::Conv(const std::string& name, const at::Tensor& x, ConvShape shape) const {
  return convs_.at(name)(x, shape);
}

at::Tensor Autoencoder::Norm(const std::string& name, const at::Tensor& x, bool silu) const {
  return GroupNorm(x, norms_.at(name + ".weight"), norms_.at(name + ".bias"), silu);
}

at::Tensor Autoencoder::ResBlock(const std::string& name, const at::Tensor& x) const {
  at::Tensor h = Conv(name + ".conv1", Norm(name + ".norm1", x, /*silu=*/true));
  h = Conv(name + ".conv2", Norm(name + ".norm2", h, /*silu=*/true));
  const std::string shortcut = name + ".nin_shortcut";
  return h.add_(convs_.count(shortcut) != 0 ? Conv(shortcut, x) : x);
}

// One head over all positions, scale 1 / sqrt(channels), each image by itself.
at::Tensor Autoencoder::AttentionBlock(const std::string& name, const at::Tensor& x) const {
  if (convs_.count(name + ".qkv") == 0) return x;  // Identity where the checkpoint has none.
  const int64_t B = x.size(0), positions = x.size(1) * x.size(2), c = x.size(3);
  const at::Tensor qkv =
      Conv(name + ".qkv", Norm(name + ".norm", x, /*silu=*/false)).view({B, positions, 3, c});
  at::Tensor attended = at::empty({B, positions, c}, at::kFloat);
  for (int64_t b = 0; b < B; ++b) {
    const at::Tensor q = qkv[b].select(1, 0), k = qkv[b].select(1, 1), v = qkv[b].select(1, 2);
    const at::Tensor scores = at::mm(q, k.t()).mul_(1 / std::sqrt(static_cast<double>(c)));
    attended[b].copy_(at::mm(at::softmax(scores, -1), v));
  }
  return Conv(name + ".proj_out", attended.view_as(x)).add_(x);
}

at::Tensor Autoencoder::Middle(const std::string& part, const at::Tensor& x) const {
  at::Tensor h = ResBlock(part + ".mid.block_1", x);
  h = AttentionBlock(part + ".mid.attn_1", h);
  return ResBlock(part + ".mid.block_2", h);
}

at::Tensor Autoencoder::Decode(const at::Tensor& f_hat_BZPP) const {
  at::Tensor h = Conv("post_quant_conv", f_hat_BZPP.permute({0, 2, 3, 1}).contiguous());
  h = Middle("decoder", Conv("decoder.conv_in", h));
  for (int i = levels_ - 1; i >= 0; --i) {
    for (int j = 0; j <= res_blocks_; ++j) {
      h = ResBlock(absl::StrCat("decoder.up.", i, ".block.", j), h);
      h = AttentionBlock(absl::StrCat("decoder.up.", i, ".attn.", j), h);
    }
    if (i > 0) h = Conv(absl::StrCat("decoder.up.", i, ".upsample.conv"), h, ConvShape::kUpsample);
  }
  h = Conv("decoder.conv_out", Norm("decoder.norm_out", h, /*silu=*/true));
  return h.permute({0, 3, 1, 2}).contiguous();
}

at::Tensor Autoencoder::Encode(const at::Tensor& image_B3SS) const {
  at::Tensor h = Conv("encoder.conv_in", image_B3SS.permute({0, 2, 3, 1}).contiguous());
  for (int i = 0; i < levels_; ++i) {
    for (int j = 0; j < res_blocks_; ++j) {
      h = ResBlock(absl::StrCat("encoder.down.", i, ".block.", j), h);
      h = AttentionBlock(absl::StrCat("encoder.down.", i, ".attn.", j), h);
    }
    if (i < levels_ - 1)
      h = Conv(absl::StrCat("encoder.down.", i, ".downsample.conv"), h, ConvShape::kDownsample);
  }
  h = Norm("encoder.norm_out", Middle("encoder", h), /*silu=*/true);
  h = Conv("quant_conv", Conv("encoder.conv_out", h));
  return h.permute({0, 3, 1, 2}).contiguous();
}

}  // namespace hmar
