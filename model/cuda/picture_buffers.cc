#include "model/cuda/picture_buffers.h"

#include <algorithm>

namespace hmar {
namespace {

constexpr char kStaging[] = "pictures";
constexpr int kFastBatches =
    6;                          // In flight at once: one a round of scales; a step has one or more.
constexpr int kMostFast = 256;  // Pictures of one.
constexpr int kFeatureBatches = 64;  // Waiting for the decoder.
constexpr int kDecodes = 2;          // On the decoder's stream: one runs, the next is queued.

absl::Status NewEvent(cudaEvent_t* event, bool timing) {
  HMAR_CUDA_RETURN_IF_ERROR(
      cudaEventCreateWithFlags(event, timing ? cudaEventDefault : cudaEventDisableTiming));
  return absl::OkStatus();
}

}  // namespace

absl::Status PicturePipeline::TakeBuffers(const std::optional<FastPreviewFit>& fast) {
  DeviceMemory& memory = model_->memory();
  HMAR_CUDA_RETURN_IF_ERROR(cudaStreamCreateWithFlags(&decode_stream_, cudaStreamNonBlocking));
  HMAR_CUDA_RETURN_IF_ERROR(cudaStreamCreateWithFlags(&copy_stream_, cudaStreamNonBlocking));
  const int batch_size = model_->decoder().max_batch();
  for (int i = 0; i < kFeatureBatches; ++i) {
    FeatureBatch* batch = feature_batches_.emplace_back(new FeatureBatch).get();
    HMAR_ASSIGN_OR_RETURN(batch->slots.host, memory.AllocatePinned<int32_t>(batch_size));
    HMAR_ASSIGN_OR_RETURN(batch->slots.device, memory.Allocate<int32_t>(kStaging, batch_size));
    HMAR_ASSIGN_OR_RETURN(
        batch->features, memory.Allocate<__nv_bfloat16>(kStaging, batch_size * model_->features()));
    HMAR_RETURN_IF_ERROR(NewEvent(&batch->gathered, /*timing=*/false));
    free_features_.push_back(batch);
  }
  const int64_t S = model_->config().image_size;
  for (int i = 0; i < kDecodes; ++i) {
    Decode* decode = decodes_.emplace_back(new Decode).get();
    HMAR_ASSIGN_OR_RETURN(decode->device,
                          memory.Allocate<uint8_t>(kStaging, batch_size * S * S * 3));
    HMAR_ASSIGN_OR_RETURN(decode->host, memory.AllocatePinned<uint8_t>(batch_size * S * S * 3));
    HMAR_ASSIGN_OR_RETURN(decode->device_failed, memory.Allocate<int32_t>(kStaging, batch_size));
    HMAR_ASSIGN_OR_RETURN(decode->failed, memory.AllocatePinned<int32_t>(batch_size));
    HMAR_RETURN_IF_ERROR(NewEvent(&decode->begin, /*timing=*/true));
    HMAR_RETURN_IF_ERROR(NewEvent(&decode->decoded, /*timing=*/true));
    HMAR_RETURN_IF_ERROR(NewEvent(&decode->done, /*timing=*/false));
    free_decodes_.push_back(decode);
  }
  return fast.has_value() ? TakeFastBuffers(*fast) : absl::OkStatus();
}

absl::Status PicturePipeline::TakeFastBuffers(const FastPreviewFit& fast) {
  DeviceMemory& memory = model_->memory();
  q_ = fast.q;
  fast_capacity_ = std::min(kMostFast, model_->max_images());
  HMAR_ASSIGN_OR_RETURN(fast_weight_, memory.Upload<float>("weights", fast.weight));
  HMAR_ASSIGN_OR_RETURN(fast_bias_, memory.Upload<float>("weights", fast.bias));
  const int64_t side = int64_t{q_} * model_->config().last_grid();
  for (int i = 0; i < kFastBatches; ++i) {
    FastBatch* batch = fast_batches_.emplace_back(new FastBatch).get();
    HMAR_ASSIGN_OR_RETURN(batch->slots.host, memory.AllocatePinned<int32_t>(fast_capacity_));
    HMAR_ASSIGN_OR_RETURN(batch->slots.device, memory.Allocate<int32_t>(kStaging, fast_capacity_));
    const int64_t bytes = fast_capacity_ * side * side * 3;
    HMAR_ASSIGN_OR_RETURN(batch->device, memory.Allocate<uint8_t>(kStaging, bytes));
    HMAR_ASSIGN_OR_RETURN(batch->host, memory.AllocatePinned<uint8_t>(bytes));
    HMAR_RETURN_IF_ERROR(NewEvent(&batch->made, /*timing=*/false));
    HMAR_RETURN_IF_ERROR(NewEvent(&batch->done, /*timing=*/false));
    free_fast_.push_back(batch);
  }
  return absl::OkStatus();
}

}  // namespace hmar
