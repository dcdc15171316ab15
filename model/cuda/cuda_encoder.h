#ifndef HMAR_MODEL_CUDA_CUDA_ENCODER_H_
#define HMAR_MODEL_CUDA_CUDA_ENCODER_H_

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/f_hat.h"
#include "kernels/quantize.h"
#include "model/config.h"
#include "model/cuda/cuda_autoencoder.h"
#include "model/cuda/device_memory.h"
#include "model/cuda/weight_reader.h"
#include "model/engine.h"

namespace hmar {

// Source images to tokens: the autoencoder's encoder in bf16, then the quantizer in fp32, scale by
// scale. An image's tokens do not depend on its batch. Takes all its memory when it is loaded. Not
// thread-safe.
class CudaEncoder {
 public:
  // For up to max_batch pictures at a time. What `quantizer` points to outlives the encoder.
  static absl::StatusOr<std::unique_ptr<CudaEncoder>> Load(
      const ModelConfig& config, const kernels::Grids& grids,
      const kernels::ContributionWeights& quantizer, WeightReader* weights, int max_batch,
      DeviceMemory* memory);
  ~CudaEncoder();

  int max_batch() const { return max_batch_; }

  // The tokens of any number of pictures, max_batch() of them at a time, on a stream of the
  // encoder's own, which it waits for. REQUIRES: pictures are S x S.
  absl::StatusOr<std::vector<TokenPyramid>> Encode(absl::Span<const Picture* const> pictures);

  // The tokens (B, L) of images as CudaAutoencoder::Encode takes them; they stay until the next
  // call. Asynchronous. REQUIRES: B <= max_batch().
  absl::Status EncodePixels(const __nv_bfloat16* pixels_BSS8, int B, cudaStream_t stream);
  const int32_t* tokens_BL() const { return tokens_; }

 private:
  CudaEncoder(const ModelConfig& config, const kernels::Grids& grids,
              const kernels::ContributionWeights& quantizer, int max_batch);
  absl::Status TakeBuffers(DeviceMemory* memory);
  absl::Status EncodeBatch(absl::Span<const Picture* const> pictures);

  const ModelConfig config_;
  const kernels::Grids grids_;
  const kernels::ContributionWeights quantizer_;
  kernels::CodebookSearch search_;
  std::unique_ptr<CudaAutoencoder> autoencoder_;
  const int max_batch_;
  const int64_t picture_bytes_;
  uint8_t *host_rgb_ = nullptr, *rgb_ = nullptr;        // (batch, S, S, 3)
  __nv_bfloat16* pixels_ = nullptr;                     // (batch, S, S, 8)
  float* rest_ = nullptr;                               // (batch, P * P, Z): not yet quantized.
  int32_t *host_tokens_ = nullptr, *tokens_ = nullptr;  // (batch, L)
  kernels::TokenMapJob* jobs_ = nullptr;                // (K, batch)
  cudaStream_t stream_ = nullptr;
};

}  // namespace hmar

#endif  // HMAR_MODEL_CUDA_CUDA_ENCODER_H_
