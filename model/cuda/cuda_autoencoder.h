#ifndef HMAR_MODEL_CUDA_CUDA_AUTOENCODER_H_
#define HMAR_MODEL_CUDA_CUDA_AUTOENCODER_H_

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/conv2d.h"
#include "model/config.h"
#include "model/cuda/batched_gemm.h"
#include "model/cuda/device_memory.h"
#include "model/cuda/weight_reader.h"

namespace hmar {

// One half of the VQ-VAE's convolutional autoencoder on a GPU: channels last, bf16, fp32 sums; an
// image's result does not depend on its batch. Each half has buffers of its own, so that encoding
// does not wait for the decoder. Not thread-safe: one stream uses it at a time.
class CudaAutoencoder {
 public:
  enum class Half { kEncoder, kDecoder };

  // Channels of an image as Encode takes it: red, green, blue and zeros.
  static constexpr int kPixelChannels = 8;

  // Uploads encoder.* and quant_conv.*, or decoder.* and post_quant_conv.*; takes activations for
  // max_batch images.
  static absl::StatusOr<std::unique_ptr<CudaAutoencoder>> Load(const ModelConfig& config, Half half,
                                                               WeightReader* weights, int max_batch,
                                                               DeviceMemory* memory);

  int max_batch() const { return max_batch_; }

  // Feature maps (B, P, P, Z) -> pixels (B, S, S, 3) fp32, not clamped; they stay until the next
  // call. Asynchronous. REQUIRES: the decoder; B <= max_batch.
  absl::Status Decode(const __nv_bfloat16* f_hat_BPPZ, int B, cudaStream_t stream);

  const float* pixels_BSS3() const { return pixels_; }

  // Images (B, S, S, 8) -> what the quantizer sees, (B, P, P, Z) fp32. Pixels of value x in [-1, 1]
  // come as 255 x: those of bytes are odd integers, which bf16 has exactly. Asynchronous. REQUIRES:
  // the encoder; B <= max_batch.
  absl::Status Encode(const __nv_bfloat16* pixels_BSS8, int B, float* features_BPPZ,
                      cudaStream_t stream);

 private:
  struct Conv {
    kernels::ConvKind kind = kernels::ConvKind::kSame3x3;
    const __nv_bfloat16* weight = nullptr;
    const float* bias_O = nullptr;
    int I = 0, O = 0;
  };
  struct Norm {
    const float* weight_C = nullptr;
    const float* bias_C = nullptr;
  };
  // A map of B images in one of the buffers; side, channels and chunks are set by what fills it.
  struct Map {
    __nv_bfloat16* data = nullptr;
    float* partials = nullptr;  // Where its convolution leaves statistics for a norm; null: none.
    int chunks = 0;             // Of an image in partials.
    int side = 0;
    int channels = 0;
  };
  // What one call carries from layer to layer.
  struct Pass {
    int B;
    cudaStream_t stream;
    Map x;  // In buffers_[0].
  };

  CudaAutoencoder(const ModelConfig& config, Half half, int max_batch);
  absl::Status LoadLayers(WeightReader* weights, DeviceMemory* memory);
  absl::Status LoadConv(const std::string& name, WeightReader* weights, DeviceMemory* memory);
  absl::Status TakeBuffers(DeviceMemory* memory);
  int64_t MostElements() const;
  int64_t MostPartials() const;

  static kernels::Conv2dArgs ConvArgs(const Conv& conv, const Map& in, const Pass& pass);
  absl::Status RunConv(const std::string& name, const Map& in, const __nv_bfloat16* residual,
                       Map* out, const Pass& pass) const;
  absl::Status RunLastConv(const std::string& name, const Map& in, float* out,
                           const Pass& pass) const;
  absl::Status RunNorm(const std::string& name, const Map& in, bool silu, Map* out,
                       const Pass& pass) const;
  absl::Status ResBlock(const std::string& name, Pass* pass);
  absl::Status AttentionBlock(const std::string& name, Pass* pass);
  absl::Status Resample(const std::string& name, Pass* pass);
  absl::Status Middle(const std::string& part, Pass* pass);
  absl::Status Attend(const Map& qkv, const Map& out, const Pass& pass);
  Map Scratch(int buffer) const { return {.data = buffers_[buffer]}; }
  // For a convolution's output that a norm reads before the next such output is made: there is room
  // for the statistics of one.
  Map ScratchForNorm(int buffer) const { return {.data = buffers_[buffer], .partials = partials_}; }

  const ModelConfig config_;
  const Half half_;
  const int max_batch_;
  std::map<std::string, Conv> convs_;
  std::map<std::string, Norm> norms_;
  std::unique_ptr<BatchedGemm> batched_gemm_;
  static constexpr int kBuffers = 4;
  __nv_bfloat16* buffers_[kBuffers] = {};
  float* partials_ = nullptr;
  float* norm_workspace_ = nullptr;
  float* scores_ = nullptr;
  __nv_bfloat16* weights_of_attention_ = nullptr;
  float* pixels_ = nullptr;
};

}  // namespace hmar

#endif  // HMAR_MODEL_CUDA_CUDA_AUTOENCODER_H_
