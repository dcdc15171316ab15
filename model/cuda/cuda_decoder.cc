#include "model/cuda/cuda_decoder.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "kernels/group_norm.h"
#include "kernels/picture.h"

namespace hmar {
namespace {

constexpr char kWeights[] = "weights";
constexpr char kWorkspace[] = "decoder workspace";

bool BelongsToDecoder(const std::string& name) {
  return absl::StartsWith(name, "decoder.") || absl::StartsWith(name, "post_quant_conv.");
}

}  // namespace

CudaDecoder::CudaDecoder(const ModelConfig& config, int max_batch)
    : config_(config), max_batch_(max_batch) {}

absl::StatusOr<std::unique_ptr<CudaDecoder>> CudaDecoder::Load(const ModelConfig& config,
                                                               WeightReader* weights, int max_batch,
                                                               DeviceMemory* memory) {
  std::unique_ptr<CudaDecoder> decoder(new CudaDecoder(config, max_batch));
  HMAR_ASSIGN_OR_RETURN(decoder->batched_gemm_, BatchedGemm::Create(max_batch, memory));
  HMAR_RETURN_IF_ERROR(decoder->LoadLayers(weights, memory));
  HMAR_RETURN_IF_ERROR(decoder->TakeBuffers(memory));
  return decoder;
}

absl::Status CudaDecoder::LoadLayers(WeightReader* weights, DeviceMemory* memory) {
  for (const std::string& name : weights->names()) {
    if (!BelongsToDecoder(name) || !absl::EndsWith(name, ".weight")) continue;
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

absl::Status CudaDecoder::LoadConv(const std::string& name, WeightReader* weights,
                                   DeviceMemory* memory) {
  const std::vector<int64_t>& shape = weights->shape(name + ".weight");
  Conv conv;
  conv.kind = shape[2] == 1                            ? kernels::ConvKind::kSame1x1
              : absl::EndsWith(name, ".upsample.conv") ? kernels::ConvKind::kUpsample3x3
                                                       : kernels::ConvKind::kSame3x3;
  conv.O = static_cast<int>(shape[0]);
  conv.I = static_cast<int>(shape[1]);
  HMAR_ASSIGN_OR_RETURN(const std::vector<float> weight, weights->Floats(name + ".weight"));
  HMAR_ASSIGN_OR_RETURN(const std::vector<float> bias, weights->Floats(name + ".bias"));
  std::vector<uint16_t> packed(kernels::PackedConvWeightCount(conv.kind, conv.O, conv.I));
  kernels::PackConvWeight(conv.kind, weight.data(), conv.O, conv.I, packed.data());
  HMAR_ASSIGN_OR_RETURN(const uint16_t* bits, memory->Upload<uint16_t>(kWeights, packed));
  conv.weight = reinterpret_cast<const __nv_bfloat16*>(bits);
  HMAR_ASSIGN_OR_RETURN(conv.bias_O, memory->Upload<float>(kWeights, bias));
  convs_[name] = conv;
  return absl::OkStatus();
}

// Elements of an image's largest map. Each level works at its own side; the map that its upsampling
// leaves has its channels at twice the side.
int64_t CudaDecoder::MostElements() const {
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

absl::Status CudaDecoder::TakeBuffers(DeviceMemory* memory) {
  const int64_t S = config_.image_size, n = config_.tokens_of_scale(config_.num_scales() - 1);
  for (__nv_bfloat16*& buffer : buffers_) {
    HMAR_ASSIGN_OR_RETURN(buffer,
                          memory->Allocate<__nv_bfloat16>(kWorkspace, max_batch_ * MostElements()));
  }
  const size_t norm_bytes = kernels::GroupNormWorkspaceBytes(max_batch_, S * S);
  HMAR_ASSIGN_OR_RETURN(norm_workspace_,
                        memory->Allocate<float>(kWorkspace, norm_bytes / sizeof(float) + 1));
  HMAR_ASSIGN_OR_RETURN(scores_, memory->Allocate<float>(kWorkspace, max_batch_ * n * n));
  HMAR_ASSIGN_OR_RETURN(weights_of_attention_,
                        memory->Allocate<__nv_bfloat16>(kWorkspace, max_batch_ * n * n));
  HMAR_ASSIGN_OR_RETURN(pixels_, memory->Allocate<float>(kWorkspace, max_batch_ * S * S * 3));
  return absl::OkStatus();
}

absl::Status CudaDecoder::RunConv(const std::string& name, const Map& in,
                                  const __nv_bfloat16* residual, Map* out, const Pass& pass) const {
  const Conv& conv = convs_.at(name);
  kernels::Conv2dArgs args;
  args.kind = conv.kind;
  args.x_BHWI = in.data;
  args.weight = conv.weight;
  args.bias_O = conv.bias_O;
  args.residual_BHWO = residual;
  args.out_BHWO = out->data;
  args.B = pass.B;
  args.H = args.W = in.side;
  args.I = conv.I;
  args.O = conv.O;
  HMAR_CUDA_RETURN_IF_ERROR(kernels::Conv2d(args, pass.stream));
  out->side = conv.kind == kernels::ConvKind::kUpsample3x3 ? 2 * in.side : in.side;
  out->channels = conv.O;
  return absl::OkStatus();
}

absl::Status CudaDecoder::RunNorm(const std::string& name, const Map& in, bool silu, Map* out,
                                  const Pass& pass) const {
  const Norm& norm = norms_.at(name);
  kernels::GroupNormArgs args;
  args.x_BSC = in.data;
  args.out_BSC = out->data;
  args.weight_C = norm.weight_C;
  args.bias_C = norm.bias_C;
  args.workspace = norm_workspace_;
  args.B = pass.B;
  args.S = int64_t{in.side} * in.side;
  args.C = in.channels;
  args.silu = silu;
  HMAR_CUDA_RETURN_IF_ERROR(kernels::GroupNorm(args, pass.stream));
  out->side = in.side;
  out->channels = in.channels;
  return absl::OkStatus();
}

// x + conv2(norm2(conv1(norm1(x)))); where the channels change, a 1 x 1 convolution of x instead of
// x.
absl::Status CudaDecoder::ResBlock(const std::string& name, Pass* pass) {
  Map normed = Scratch(1, 0, 0), h = Scratch(2, 0, 0), shortcut = pass->x;
  HMAR_RETURN_IF_ERROR(RunNorm(name + ".norm1", pass->x, /*silu=*/true, &normed, *pass));
  HMAR_RETURN_IF_ERROR(RunConv(name + ".conv1", normed, nullptr, &h, *pass));
  HMAR_RETURN_IF_ERROR(RunNorm(name + ".norm2", h, /*silu=*/true, &normed, *pass));
  if (convs_.count(name + ".nin_shortcut") != 0) {
    shortcut = Scratch(3, 0, 0);
    HMAR_RETURN_IF_ERROR(RunConv(name + ".nin_shortcut", pass->x, nullptr, &shortcut, *pass));
  }
  return RunConv(name + ".conv2", normed, shortcut.data, &pass->x, *pass);
}

// One head over all positions, scale 1 / sqrt(channels), each image by itself.
absl::Status CudaDecoder::Attend(const Map& qkv, const Map& out, const Pass& pass) {
  const int64_t n = int64_t{qkv.side} * qkv.side, c = qkv.channels / 3;
  const MatrixBatch q = {qkv.data, 3 * c, n * 3 * c};
  const MatrixBatch k = {qkv.data + c, 3 * c, n * 3 * c};
  const MatrixBatch v = {qkv.data + 2 * c, 3 * c, n * 3 * c};
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(c)));
  HMAR_RETURN_IF_ERROR(
      batched_gemm_->TimesTransposed(q, k, n, n, c, scale, pass.B, scores_, pass.stream));
  HMAR_CUDA_RETURN_IF_ERROR(kernels::SoftmaxRows(scores_, pass.B * n, static_cast<int>(n),
                                                 weights_of_attention_, pass.stream));
  return batched_gemm_->Times({weights_of_attention_, n, n * n}, v, n, c, n, pass.B, out.data,
                              pass.stream);
}

absl::Status CudaDecoder::AttentionBlock(const std::string& name, Pass* pass) {
  if (convs_.count(name + ".qkv") == 0) return absl::OkStatus();  // Identity where there is none.
  Map normed = Scratch(1, 0, 0), qkv = Scratch(2, 0, 0);
  HMAR_RETURN_IF_ERROR(RunNorm(name + ".norm", pass->x, /*silu=*/false, &normed, *pass));
  HMAR_RETURN_IF_ERROR(RunConv(name + ".qkv", normed, nullptr, &qkv, *pass));
  const Map attended = Scratch(1, normed.side, normed.channels);
  HMAR_RETURN_IF_ERROR(Attend(qkv, attended, *pass));
  return RunConv(name + ".proj_out", attended, pass->x.data, &pass->x, *pass);
}

absl::Status CudaDecoder::Upsample(const std::string& name, Pass* pass) {
  Map out = Scratch(1, 0, 0);
  HMAR_RETURN_IF_ERROR(RunConv(name, pass->x, nullptr, &out, *pass));
  std::swap(buffers_[0], buffers_[1]);  // x stays in the first buffer.
  pass->x = out;
  return absl::OkStatus();
}

absl::Status CudaDecoder::Middle(Pass* pass) {
  HMAR_RETURN_IF_ERROR(ResBlock("decoder.mid.block_1", pass));
  HMAR_RETURN_IF_ERROR(AttentionBlock("decoder.mid.attn_1", pass));
  return ResBlock("decoder.mid.block_2", pass);
}

absl::Status CudaDecoder::Decode(const __nv_bfloat16* f_hat_BPPZ, int B, cudaStream_t stream) {
  Pass pass = {B, stream, Scratch(0, 0, 0)};
  const Map f_hat = {const_cast<__nv_bfloat16*>(f_hat_BPPZ), config_.last_grid(),
                     config_.tokenizer.z_channels};
  Map post_quant = Scratch(1, 0, 0);
  HMAR_RETURN_IF_ERROR(RunConv("post_quant_conv", f_hat, nullptr, &post_quant, pass));
  HMAR_RETURN_IF_ERROR(RunConv("decoder.conv_in", post_quant, nullptr, &pass.x, pass));
  HMAR_RETURN_IF_ERROR(Middle(&pass));
  for (int i = static_cast<int>(config_.tokenizer.ch_mult.size()) - 1; i >= 0; --i) {
    const std::string level = absl::StrCat("decoder.up.", i);
    for (int j = 0; j <= config_.tokenizer.num_res_blocks; ++j) {
      HMAR_RETURN_IF_ERROR(ResBlock(absl::StrCat(level, ".block.", j), &pass));
      HMAR_RETURN_IF_ERROR(AttentionBlock(absl::StrCat(level, ".attn.", j), &pass));
    }
    if (i > 0) HMAR_RETURN_IF_ERROR(Upsample(level + ".upsample.conv", &pass));
  }
  Map normed = Scratch(1, 0, 0);
  HMAR_RETURN_IF_ERROR(RunNorm("decoder.norm_out", pass.x, /*silu=*/true, &normed, pass));
  const Conv& conv = convs_.at("decoder.conv_out");
  kernels::Conv2dArgs args;
  args.x_BHWI = normed.data;
  args.weight = conv.weight;
  args.bias_O = conv.bias_O;
  args.out_fp32_BHWO = pixels_;
  args.B = B;
  args.H = args.W = normed.side;
  args.I = conv.I;
  args.O = conv.O;
  HMAR_CUDA_RETURN_IF_ERROR(kernels::Conv2d(args, stream));
  return absl::OkStatus();
}

}  // namespace hmar
