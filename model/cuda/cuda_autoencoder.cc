#include "model/cuda/cuda_autoencoder.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/group_norm.h"
#include "kernels/picture.h"

namespace hmar {

kernels::Conv2dArgs CudaAutoencoder::ConvArgs(const Conv& conv, const Map& in, const Pass& pass) {
  kernels::Conv2dArgs args;
  args.kind = conv.kind;
  args.x_BHWI = in.data;
  args.weight = conv.weight;
  args.bias_O = conv.bias_O;
  args.B = pass.B;
  args.H = args.W = in.side;
  args.I = conv.I;
  args.O = conv.O;
  return args;
}

absl::Status CudaAutoencoder::RunConv(const std::string& name, const Map& in,
                                      const __nv_bfloat16* residual, Map* out,
                                      const Pass& pass) const {
  const Conv& conv = convs_.at(name);
  kernels::Conv2dArgs args = ConvArgs(conv, in, pass);
  args.residual_BHWO = residual;
  args.out_BHWO = out->data;
  args.partials = out->partials;
  HMAR_CUDA_RETURN_IF_ERROR(kernels::Conv2d(args, pass.stream));
  out->chunks = kernels::Conv2dChunks(conv.kind, in.side, in.side);
  out->side = conv.kind == kernels::ConvKind::kUpsample3x3     ? 2 * in.side
              : conv.kind == kernels::ConvKind::kDownsample3x3 ? in.side / 2
                                                               : in.side;
  out->channels = conv.O;
  return absl::OkStatus();
}

// One whose output leaves in fp32.
absl::Status CudaAutoencoder::RunLastConv(const std::string& name, const Map& in, float* out,
                                          const Pass& pass) const {
  kernels::Conv2dArgs args = ConvArgs(convs_.at(name), in, pass);
  args.out_fp32_BHWO = out;
  HMAR_CUDA_RETURN_IF_ERROR(kernels::Conv2d(args, pass.stream));
  return absl::OkStatus();
}

absl::Status CudaAutoencoder::RunNorm(const std::string& name, const Map& in, bool silu, Map* out,
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
  HMAR_CUDA_RETURN_IF_ERROR(
      kernels::GroupNormFromPartials(args, in.partials, in.chunks, pass.stream));
  out->side = in.side;
  out->channels = in.channels;
  return absl::OkStatus();
}

// x + conv2(norm2(conv1(norm1(x)))); where the channels change, a 1 x 1 convolution of x instead of
// x.
absl::Status CudaAutoencoder::ResBlock(const std::string& name, Pass* pass) {
  Map normed = Scratch(1), h = ScratchForNorm(2), shortcut = pass->x;
  HMAR_RETURN_IF_ERROR(RunNorm(name + ".norm1", pass->x, /*silu=*/true, &normed, *pass));
  HMAR_RETURN_IF_ERROR(RunConv(name + ".conv1", normed, nullptr, &h, *pass));
  HMAR_RETURN_IF_ERROR(RunNorm(name + ".norm2", h, /*silu=*/true, &normed, *pass));
  if (convs_.count(name + ".nin_shortcut") != 0) {
    shortcut = Scratch(3);
    HMAR_RETURN_IF_ERROR(RunConv(name + ".nin_shortcut", pass->x, nullptr, &shortcut, *pass));
  }
  return RunConv(name + ".conv2", normed, shortcut.data, &pass->x, *pass);
}

// One head over all positions, scale 1 / sqrt(channels), each image by itself.
absl::Status CudaAutoencoder::Attend(const Map& qkv, const Map& out, const Pass& pass) {
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

absl::Status CudaAutoencoder::AttentionBlock(const std::string& name, Pass* pass) {
  if (convs_.count(name + ".qkv") == 0) return absl::OkStatus();  // Identity where there is none.
  Map normed = Scratch(1), qkv = Scratch(2);
  HMAR_RETURN_IF_ERROR(RunNorm(name + ".norm", pass->x, /*silu=*/false, &normed, *pass));
  HMAR_RETURN_IF_ERROR(RunConv(name + ".qkv", normed, nullptr, &qkv, *pass));
  const Map attended = normed;  // In its place: q, k and v are taken from it already.
  HMAR_RETURN_IF_ERROR(Attend(qkv, attended, *pass));
  return RunConv(name + ".proj_out", attended, pass->x.data, &pass->x, *pass);
}

absl::Status CudaAutoencoder::Resample(const std::string& name, Pass* pass) {
  Map out = ScratchForNorm(1);
  HMAR_RETURN_IF_ERROR(RunConv(name, pass->x, nullptr, &out, *pass));
  std::swap(buffers_[0], buffers_[1]);  // x stays in the first buffer.
  pass->x = out;
  return absl::OkStatus();
}

absl::Status CudaAutoencoder::Middle(const std::string& part, Pass* pass) {
  HMAR_RETURN_IF_ERROR(ResBlock(part + ".mid.block_1", pass));
  HMAR_RETURN_IF_ERROR(AttentionBlock(part + ".mid.attn_1", pass));
  return ResBlock(part + ".mid.block_2", pass);
}

absl::Status CudaAutoencoder::Decode(const __nv_bfloat16* f_hat_BPPZ, int B, cudaStream_t stream) {
  Pass pass = {B, stream, ScratchForNorm(0)};
  const Map f_hat = {.data = const_cast<__nv_bfloat16*>(f_hat_BPPZ),
                     .side = config_.last_grid(),
                     .channels = config_.tokenizer.z_channels};
  Map post_quant = Scratch(1);
  HMAR_RETURN_IF_ERROR(RunConv("post_quant_conv", f_hat, nullptr, &post_quant, pass));
  HMAR_RETURN_IF_ERROR(RunConv("decoder.conv_in", post_quant, nullptr, &pass.x, pass));
  HMAR_RETURN_IF_ERROR(Middle("decoder", &pass));
  for (int i = static_cast<int>(config_.tokenizer.ch_mult.size()) - 1; i >= 0; --i) {
    const std::string level = absl::StrCat("decoder.up.", i);
    for (int j = 0; j <= config_.tokenizer.num_res_blocks; ++j) {
      HMAR_RETURN_IF_ERROR(ResBlock(absl::StrCat(level, ".block.", j), &pass));
      HMAR_RETURN_IF_ERROR(AttentionBlock(absl::StrCat(level, ".attn.", j), &pass));
    }
    if (i > 0) HMAR_RETURN_IF_ERROR(Resample(level + ".upsample.conv", &pass));
  }
  Map normed = Scratch(1);
  HMAR_RETURN_IF_ERROR(RunNorm("decoder.norm_out", pass.x, /*silu=*/true, &normed, pass));
  return RunLastConv("decoder.conv_out", normed, pixels_, pass);
}

absl::Status CudaAutoencoder::Encode(const __nv_bfloat16* pixels_BSS8, int B, float* features_BPPZ,
                                     cudaStream_t stream) {
  Pass pass = {B, stream, ScratchForNorm(0)};
  const Map pixels = {.data = const_cast<__nv_bfloat16*>(pixels_BSS8),
                      .side = config_.image_size,
                      .channels = kPixelChannels};
  HMAR_RETURN_IF_ERROR(RunConv("encoder.conv_in", pixels, nullptr, &pass.x, pass));
  const auto levels = static_cast<int>(config_.tokenizer.ch_mult.size());
  for (int i = 0; i < levels; ++i) {
    const std::string level = absl::StrCat("encoder.down.", i);
    for (int j = 0; j < config_.tokenizer.num_res_blocks; ++j) {
      HMAR_RETURN_IF_ERROR(ResBlock(absl::StrCat(level, ".block.", j), &pass));
      HMAR_RETURN_IF_ERROR(AttentionBlock(absl::StrCat(level, ".attn.", j), &pass));
    }
    if (i + 1 < levels) HMAR_RETURN_IF_ERROR(Resample(level + ".downsample.conv", &pass));
  }
  HMAR_RETURN_IF_ERROR(Middle("encoder", &pass));
  Map normed = Scratch(1), encoded = Scratch(2);
  HMAR_RETURN_IF_ERROR(RunNorm("encoder.norm_out", pass.x, /*silu=*/true, &normed, pass));
  HMAR_RETURN_IF_ERROR(RunConv("encoder.conv_out", normed, nullptr, &encoded, pass));
  return RunLastConv("quant_conv", encoded, features_BPPZ, pass);
}

}  // namespace hmar
