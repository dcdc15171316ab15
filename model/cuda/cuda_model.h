#ifndef HMAR_MODEL_CUDA_CUDA_MODEL_H_
#define HMAR_MODEL_CUDA_CUDA_MODEL_H_

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/f_hat.h"
#include "kernels/packed_rows.h"
#include "model/cuda/cuda_autoencoder.h"
#include "model/cuda/cuda_encoder.h"
#include "model/cuda/cuda_transformer.h"
#include "model/cuda/device_memory.h"
#include "model/cuda/step_tables.h"
#include "model/cuda_engine.h"
#include "model/model_folder.h"

namespace hmar {

// A slot's state on the device, by slot: what an image in flight needs between steps.
struct SlotArrays {
  float* f_hat_PPZ = nullptr;  // (slots, P * P, Z): sum of the settled scales' contributions.
  float* own_PPZ =
      nullptr;  // (slots, P * P, Z): contribution of the scale in progress; mask passes.
  int32_t* tokens_L = nullptr;  // (slots, L): the pyramid's tokens as far as they are drawn.
  float* confidence = nullptr;  // (slots, most_tokens)
  // (slots, most_tokens): what the next mask pass of the scale redraws, 1 each.
  uint8_t* open = nullptr;
  // (slots, L): what the next-scale passes of an edit draw, 1 each; of other images undefined.
  uint8_t* edited_L = nullptr;
};

// A model on a device: weights, slots, and one step as a sequence of kernels. What the engine and
// the inspector have in common. Everything runs on main_stream(), but for the decoder, which is
// told where to, and the encoder; nothing here waits, but for them and Load. Not thread-safe.
class CudaModel {
 public:
  // As MakeCudaEngine says. Leaves `options.device` current.
  static absl::StatusOr<std::unique_ptr<CudaModel>> Load(const ModelFolder& folder,
                                                         const CudaEngineOptions& options);
  ~CudaModel();

  const ModelConfig& config() const { return config_; }
  const kernels::Grids& grids() const { return grids_; }
  int64_t L() const { return L_; }                // Tokens of an image.
  int64_t features() const { return features_; }  // P * P * Z
  int32_t null_class_row() const { return static_cast<int32_t>(config_.classes.size()); }
  int max_images() const { return max_images_; }  // Slots.
  int64_t max_rows() const { return max_rows_; }
  cudaStream_t main_stream() const { return main_stream_; }
  const SlotArrays& slots() const { return slots_; }
  CudaTransformer& transformer() { return *transformer_; }
  CudaAutoencoder& decoder() { return *decoder_; }
  CudaEncoder& encoder() { return *encoder_; }
  DeviceMemory& memory() { return memory_; }

  // Starts an image: its feature map becomes zero.
  absl::Status ClearSlot(int slot);

  // Lays a scale's tokens, which are in tokens_L, into the feature maps of `jobs` (on the device).
  absl::Status LayTokens(const kernels::TokenMapJob* jobs, int count);

  // The step that the tables (on the device) describe. failed (images) receives 1 for each image
  // whose logits are not finite, else 0.
  absl::Status RunStep(const StepSizes& sizes, const StepTables& tables, int32_t* failed);

  // Its first two parts. The transformer's x holds the embedding in between and logits_TV() the
  // logits afterwards.
  absl::Status RunEmbedding(const StepSizes& sizes, const StepTables& tables);
  absl::Status RunForward(const StepSizes& sizes, const StepTables& tables);

 private:
  explicit CudaModel(const ModelConfig& config);
  absl::Status TakeSlots(uint32_t wanted);
  int64_t SlotBytes() const;

  const ModelConfig config_;
  const int64_t L_, features_;
  int max_images_ = 0;
  int64_t max_rows_ = 0;
  cudaStream_t main_stream_ = nullptr;
  DeviceMemory memory_;
  kernels::Grids grids_;
  kernels::ContributionWeights quantizer_;
  std::unique_ptr<CudaTransformer> transformer_;
  std::unique_ptr<CudaAutoencoder> decoder_;
  std::unique_ptr<CudaEncoder> encoder_;
  SlotArrays slots_;
};

}  // namespace hmar

#endif  // HMAR_MODEL_CUDA_CUDA_MODEL_H_
