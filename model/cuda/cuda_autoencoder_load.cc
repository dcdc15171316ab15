// Loads the encoder or the decoder: its weights, its buffers.

#include <algorithm>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "kernels/group_norm.h"
#include "model/cuda/cuda_autoencoder.h"

namespace hmar {
namespace {

constexpr char kWeights[] = "weights";

const char* WorkspaceOf(CudaAutoencoder::Half half) {
  return half == CudaAutoencoder::Half::kEncoder ? "encoder workspace" : "decoder workspace";
}

bool IsOf(CudaAutoencoder::Half half, const std::string& name) {
  return half == CudaAutoencoder::Half::kEncoder
             ? absl::StartsWith(name, "encoder.") || absl::StartsWith(name, "quant_conv.")
             : absl::StartsWith(name, "decoder.") || absl::StartsWith(name, "post_quant_conv.");
}

constexpr float kPixelScale = 255;  // Pixels come so many times as large.

kernels::ConvKind KindOf(const std::string& name, int64_t side) {
  using kernels::ConvKind;
  if (side == 1) return ConvKind::kSame1x1;
  if (absl::EndsWith(name, ".upsample.conv")) return ConvKind::kUpsample3x3;
  if (absl::EndsWith(name, ".downsample.conv")) return ConvKind::kDownsample3x3;
  return ConvKind::kSame3x3;
}

}  // namespace

CudaAutoencoder::CudaAutoencoder(const ModelConfig& config, Half half, int max_batch)
    : config_(config), half_(half), max_batch_(max_batch) {}

absl::StatusOr<std::unique_ptr<CudaAutoencoder>> CudaAutoencoder::Load(const ModelConfig& config,
                                                                       Half half,
                                                                       WeightReader* weights,
                                                                       int max_batch,
                                                                       DeviceMemory* memory) {
  std::unique_ptr<CudaAutoencoder> coder(new CudaAutoencoder(config, half, max_batch));
  HMAR_ASSIGN_OR_RETURN(coder->batched_gemm_, BatchedGemm::Create(max_batch, memory));
  HMAR_RETURN_IF_ERROR(coder->LoadLayers(weights, memory));
  HMAR_RETURN_IF_ERROR(coder->TakeBuffers(memory));
  return coder;
}

absl::Status CudaAutoencoder::LoadLayers(WeightReader* weights, DeviceMemory* memory) {
  for (const std::string& name : weights->names()) {
    if (!IsOf(half_, name) || !absl::EndsWith(name, ".weight")) continue;
    const std::string layer(absl::StripSuffix(name, ".weight"));
    if (weights->shape(name).size() == 4) {
      HMAR_RETURN_IF_ERROR(LoadConv(layer, weights, memory));
      continue;
    }
    Norm& norm = norms_[layer];
    HMAR_ASSIGN_OR_RETURN(const std::vector<float> weight, weights->Floats(name));
    HMAR_ASSIGN_OR_RETURN(const std::vector<float> bias, weights->Floats(layer + ".bias"));
    HMAR_ASSIGN_OR_RETURN(norm.weight_C, memory->Upload<float>(kWeights, weight));
    HMAR_ASSIGN_OR_RETURN(norm.bias_C, memory->Upload<float>(kWeights, bias));
  }
  return absl::OkStatus();
}

absl::Status CudaAutoencoder::LoadConv(const std::string& name, WeightReader* weights,
                                       DeviceMemory* memory) {
  const std::vector<int64_t>& shape = weights->shape(name + ".weight");
  Conv conv;
  conv.kind = KindOf(name, shape[2]);
  conv.O = static_cast<int>(shape[0]);
  conv.I = static_cast<int>(shape[1]);
  HMAR_ASSIGN_OR_RETURN(std::vector<float> weight, weights->Floats(name + ".weight"));
  HMAR_ASSIGN_OR_RETURN(const std::vector<float> bias, weights->Floats(name + ".bias"));
  if (name == "encoder.conv_in") {
    for (float& w : weight) w /= kPixelScale;
  }
  std::vector<uint16_t> packed(kernels::PackedConvWeightCount(conv.kind, conv.O, conv.I));
  kernels::PackConvWeight(conv.kind, weight.data(), conv.O, conv.I, packed.data());
  if (name == "encoder.conv_in") conv.I = kPixelChannels;  // As packed.
  HMAR_ASSIGN_OR_RETURN(const uint16_t* bits, memory->Upload<uint16_t>(kWeights, packed));
  conv.weight = reinterpret_cast<const __nv_bfloat16*>(bits);
  HMAR_ASSIGN_OR_RETURN(conv.bias_O, memory->Upload<float>(kWeights, bias));
  convs_[name] = conv;
  return absl::OkStatus();
}

// Elements of an image's largest map in the decoder. Each level works at its own side; the map that
// its upsampling leaves has its channels at twice the side. The encoder's levels have the same
// sides and channels, but for the smaller maps that its downsampling leaves.
int64_t CudaAutoencoder::MostElements() const {
  const TokenizerConfig& t = config_.tokenizer;
  const auto levels = static_cast<int>(t.ch_mult.size());
  int64_t side = config_.last_grid(), channels = int64_t{t.ch} * t.ch_mult.back();
  int64_t most = side * side * channels * 3;  // The attention's q, k, v.
  for (int level = levels - 1; level >= 0; --level) {
    most = std::max(most, side * side * std::max(channels, int64_t{t.ch} * t.ch_mult[level]));
    channels = int64_t{t.ch} * t.ch_mult[level];
    if (level > 0) side *= 2;
  }
  return most;
}

// Floats of an image's statistics at the level that has most: its own convolutions' or those of the
// upsampling that led to it.
int64_t CudaAutoencoder::MostPartials() const {
  using kernels::ConvKind;
  int side = config_.last_grid();
  int most = kernels::Conv2dChunks(ConvKind::kSame3x3, side, side);
  for (size_t level = 1; level < config_.tokenizer.ch_mult.size(); ++level) {
    most = std::max(most, kernels::Conv2dChunks(ConvKind::kUpsample3x3, side, side));
    side *= 2;
    most = std::max(most, kernels::Conv2dChunks(ConvKind::kSame3x3, side, side));
  }
  return int64_t{most} * 3 * kernels::kGroups;
}

absl::Status CudaAutoencoder::TakeBuffers(DeviceMemory* memory) {
  const char* const kind = WorkspaceOf(half_);
  const int64_t S = config_.image_size, n = config_.tokens_of_scale(config_.num_scales() - 1);
  for (__nv_bfloat16*& buffer : buffers_) {
    HMAR_ASSIGN_OR_RETURN(buffer,
                          memory->Allocate<__nv_bfloat16>(kind, max_batch_ * MostElements()));
  }
  HMAR_ASSIGN_OR_RETURN(partials_, memory->Allocate<float>(kind, max_batch_ * MostPartials()));
  const size_t norm_bytes = kernels::GroupNormWorkspaceBytes(max_batch_, /*S=*/0);
  HMAR_ASSIGN_OR_RETURN(norm_workspace_, memory->Allocate<float>(kind, norm_bytes / sizeof(float)));
  HMAR_ASSIGN_OR_RETURN(scores_, memory->Allocate<float>(kind, max_batch_ * n * n));
  HMAR_ASSIGN_OR_RETURN(weights_of_attention_,
                        memory->Allocate<__nv_bfloat16>(kind, max_batch_ * n * n));
  if (half_ == Half::kEncoder) return absl::OkStatus();
  HMAR_ASSIGN_OR_RETURN(pixels_, memory->Allocate<float>(kind, max_batch_ * S * S * 3));
  return absl::OkStatus();
}

}  // namespace hmar
