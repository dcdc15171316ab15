#ifndef HMAR_MODEL_CUDA_PICTURE_PIPELINE_H_
#define HMAR_MODEL_CUDA_PICTURE_PIPELINE_H_

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/cuda/cuda_model.h"
#include "model/cuda/fast_preview_fit.h"
#include "model/cuda/image_in_flight.h"
#include "model/engine.h"

namespace hmar {

// Turns feature maps into pictures behind the engine's back: FAST previews on the main stream, the
// decoder on a stream of its own, copies to pinned memory behind each. Feature maps are copied out
// of the slots on the main stream, so a slot is free again as soon as its last picture is ordered.
// Final pictures come before FULL previews, but never before their own image's. An image whose
// decoded picture is not finite fails. Takes all its memory at creation. Not thread-safe.
class PicturePipeline {
 public:
  // One picture: of the slot's feature map as it is on the main stream at the time of ordering.
  struct Order {
    std::shared_ptr<ImageInFlight> image;
    int slot;
    int scale;
    bool final;
  };

  // Called before pictures go into a report: fills in what their images' steps came to.
  using BeforeDelivery = std::function<absl::Status(StepReport* report)>;

  // `model` outlives the pipeline. Without `fast` there are no FAST previews.
  static absl::StatusOr<std::unique_ptr<PicturePipeline>> Create(
      CudaModel* model, const std::optional<FastPreviewFit>& fast, BeforeDelivery before_delivery);
  ~PicturePipeline();

  bool has_fast() const { return fast_weight_ != nullptr; }

  // Orders pictures; may wait for earlier ones, of this very call, too, when all buffers are taken,
  // and then adds those to `report`. REQUIRES: the steps that the pictures come from are sealed, so
  // that before_delivery can know what became of them.
  absl::Status OrderFast(absl::Span<const Order> orders, StepReport* report);
  absl::Status OrderFull(absl::Span<const Order> orders, StepReport* report);

  // Starts decoding what is ordered, as far as the device has room for it.
  absl::Status Pump();

  // Adds every finished picture to `report`, those of images that are gone aside. Does not wait.
  absl::Status Harvest(StepReport* report);

  // Waits until something finishes. REQUIRES: busy().
  absl::Status Await();
  bool busy() const { return !fast_running_.empty() || !decoding_.empty() || waiting(); }

 private:
  struct FastBatch;
  struct FeatureBatch;
  struct Decode;

  PicturePipeline(CudaModel* model, BeforeDelivery before_delivery);
  absl::Status TakeBuffers(const std::optional<FastPreviewFit>& fast);
  absl::Status TakeFastBuffers(const FastPreviewFit& fast);
  absl::Status RunFast(FastBatch* batch, absl::Span<const Order> orders);
  absl::Status Gather(FeatureBatch* batch, absl::Span<const Order> orders);
  absl::StatusOr<FeatureBatch*> OpenBatch(bool finals, StepReport* report);
  absl::Status StartDecode(Decode* decode, FeatureBatch* batch);
  absl::Status DeliverFast(StepReport* report);
  absl::Status Deliver(Decode* decode, StepReport* report);
  static void DeliverOne(const Order& order, bool failed, Picture picture, StepReport* report);
  bool waiting() const { return !waiting_finals_.empty() || !waiting_previews_.empty(); }

  CudaModel* const model_;
  const BeforeDelivery before_delivery_;
  cudaStream_t decode_stream_ = nullptr;
  cudaStream_t copy_stream_ = nullptr;  // FAST previews to the host.
  int q_ = 0;
  int fast_capacity_ = 0;
  const float *fast_weight_ = nullptr, *fast_bias_ = nullptr;
  std::vector<std::unique_ptr<FastBatch>> fast_batches_;
  std::vector<std::unique_ptr<FeatureBatch>> feature_batches_;
  std::vector<std::unique_ptr<Decode>> decodes_;
  std::vector<FastBatch*> free_fast_;
  std::vector<FeatureBatch*> free_features_;
  std::vector<Decode*> free_decodes_;
  std::deque<FastBatch*> fast_running_;  // In the order of their launch, like the others.
  std::deque<FeatureBatch*> waiting_finals_, waiting_previews_;
  std::deque<Decode*> decoding_;
};

}  // namespace hmar

#endif  // HMAR_MODEL_CUDA_PICTURE_PIPELINE_H_
