#include "model/cuda/cuda_encoder.h"

#include <algorithm>

#include "kernels/picture.h"
#include "model/cuda/cuda_tokenizer.h"

namespace hmar {
namespace {

constexpr char kWorkspace[] = "encoder workspace";

}  // namespace

absl::StatusOr<std::unique_ptr<CudaEncoder>> CudaEncoder::Load(
    const ModelConfig& config, const kernels::Grids& grids,
    const kernels::ContributionWeights& quantizer, WeightReader* weights, int max_batch,
    DeviceMemory* memory) {
  std::unique_ptr<CudaEncoder> encoder(new CudaEncoder(config, grids, quantizer, max_batch));
  HMAR_ASSIGN_OR_RETURN(
      encoder->autoencoder_,
      CudaAutoencoder::Load(config, CudaAutoencoder::Half::kEncoder, weights, max_batch, memory));
  HMAR_ASSIGN_OR_RETURN(encoder->search_, LoadCodebookSearch(weights, memory));
  HMAR_RETURN_IF_ERROR(encoder->TakeBuffers(memory));
  return encoder;
}

CudaEncoder::CudaEncoder(const ModelConfig& config, const kernels::Grids& grids,
                         const kernels::ContributionWeights& quantizer, int max_batch)
    : config_(config),
      grids_(grids),
      quantizer_(quantizer),
      max_batch_(max_batch),
      picture_bytes_(int64_t{3} * config.image_size * config.image_size) {}

CudaEncoder::~CudaEncoder() {
  if (stream_ == nullptr) return;
  cudaStreamSynchronize(stream_);
  cudaStreamDestroy(stream_);
}

absl::Status CudaEncoder::TakeBuffers(DeviceMemory* memory) {
  const int64_t batch = max_batch_, L = config_.total_tokens(), P = grids_.last;
  const int64_t pixels = batch * config_.image_size * config_.image_size;
  HMAR_ASSIGN_OR_RETURN(host_rgb_, memory->AllocatePinned<uint8_t>(batch * picture_bytes_));
  HMAR_ASSIGN_OR_RETURN(rgb_, memory->Allocate<uint8_t>(kWorkspace, batch * picture_bytes_));
  HMAR_ASSIGN_OR_RETURN(pixels_, memory->Allocate<__nv_bfloat16>(
                                     kWorkspace, pixels * CudaAutoencoder::kPixelChannels));
  HMAR_ASSIGN_OR_RETURN(rest_, memory->Allocate<float>(kWorkspace, batch * P * P * quantizer_.Z));
  HMAR_ASSIGN_OR_RETURN(host_tokens_, memory->AllocatePinned<int32_t>(batch * L));
  HMAR_ASSIGN_OR_RETURN(tokens_, memory->Allocate<int32_t>(kWorkspace, batch * L));
  std::vector<kernels::TokenMapJob> jobs;
  for (int k = 0; k < grids_.scales; ++k) {
    for (int b = 0; b < max_batch_; ++b) jobs.push_back({.slot = b, .scale = k});
  }
  HMAR_ASSIGN_OR_RETURN(jobs_, memory->Upload<kernels::TokenMapJob>(kWorkspace, jobs));
  // Before the decoder's work, which can wait: the caller does not step while it encodes.
  HMAR_CUDA_RETURN_IF_ERROR(cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, -1));
  return absl::OkStatus();
}

absl::Status CudaEncoder::EncodePixels(const __nv_bfloat16* pixels_BSS8, int B,
                                       cudaStream_t stream) {
  HMAR_RETURN_IF_ERROR(autoencoder_->Encode(pixels_BSS8, B, rest_, stream));
  const int64_t L = config_.total_tokens();
  for (int k = 0; k < grids_.scales; ++k) {
    HMAR_CUDA_RETURN_IF_ERROR(
        kernels::NearestTokens(search_, grids_, k, rest_, B, tokens_, L, stream));
    if (k + 1 == grids_.scales) break;  // Nobody asks what the last scale leaves.
    HMAR_CUDA_RETURN_IF_ERROR(kernels::LayTokens(quantizer_, grids_, jobs_ + k * max_batch_, B,
                                                 tokens_, L, kernels::LayMode::kSubtract, rest_,
                                                 stream));
  }
  return absl::OkStatus();
}

absl::Status CudaEncoder::EncodeBatch(absl::Span<const Picture* const> pictures) {
  const auto B = static_cast<int>(pictures.size());
  uint8_t* staged = host_rgb_;
  for (const Picture* picture : pictures) {
    staged = std::copy_n(picture->rgb.data(), picture_bytes_, staged);
  }
  HMAR_CUDA_RETURN_IF_ERROR(
      cudaMemcpyAsync(rgb_, host_rgb_, B * picture_bytes_, cudaMemcpyHostToDevice, stream_));
  HMAR_CUDA_RETURN_IF_ERROR(kernels::EncoderPixels(rgb_, B * picture_bytes_ / 3, pixels_, stream_));
  HMAR_RETURN_IF_ERROR(EncodePixels(pixels_, B, stream_));
  HMAR_CUDA_RETURN_IF_ERROR(cudaMemcpyAsync(host_tokens_, tokens_,
                                            B * config_.total_tokens() * sizeof(int32_t),
                                            cudaMemcpyDeviceToHost, stream_));
  HMAR_CUDA_RETURN_IF_ERROR(cudaStreamSynchronize(stream_));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<TokenPyramid>> CudaEncoder::Encode(
    absl::Span<const Picture* const> pictures) {
  std::vector<TokenPyramid> tokens;
  for (size_t i = 0; i < pictures.size(); i += max_batch_) {
    const absl::Span<const Picture* const> some = pictures.subspan(i, max_batch_);
    HMAR_RETURN_IF_ERROR(EncodeBatch(some));
    for (size_t b = 0; b < some.size(); ++b) {
      tokens.push_back(PyramidOf(config_, host_tokens_ + b * config_.total_tokens()));
    }
  }
  return tokens;
}

}  // namespace hmar
