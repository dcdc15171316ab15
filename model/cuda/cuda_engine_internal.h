#ifndef HMAR_MODEL_CUDA_CUDA_ENGINE_INTERNAL_H_
#define HMAR_MODEL_CUDA_CUDA_ENGINE_INTERNAL_H_

// Internal to cuda_engine.cc and cuda_engine_load.cc.

#include <map>
#include <memory>
#include <vector>

#include "model/cuda/cuda_model.h"
#include "model/cuda/image_in_flight.h"
#include "model/cuda/picture_pipeline.h"
#include "model/cuda/step_launcher.h"
#include "model/cuda_engine.h"

namespace hmar {

using Images = std::vector<std::shared_ptr<ImageInFlight>>;

// A scale that is part of an image's feature map from now on.
struct SettledScale {
  std::shared_ptr<ImageInFlight> image;
  int scale;
};

// Scales [next, end) of an image, which have no pass: a prefix's, or those that an edit keeps
// whole.
struct KnownScales {
  std::shared_ptr<ImageInFlight> image;
  int next, end;
};

// Works one step ahead of its device: Step launches a step, then waits for the one before. So the
// device never waits for the host, and pictures and failures come a report or two later.
class CudaEngine final : public Engine {
 public:
  static absl::StatusOr<std::unique_ptr<CudaEngine>> Load(const ModelFolder& folder,
                                                          const CudaEngineOptions& options);
  ~CudaEngine() override { cudaSetDevice(device_); }

  const EngineInfo& info() const override { return info_; }
  absl::Status Admit(ImageId id, ImageTask task) override;
  void Cancel(ImageId id) override;
  absl::Status Truncate(ImageId id, uint32_t scales) override;
  absl::StatusOr<StepReport> Step(absl::Span<const ImageId> ids) override;
  absl::StatusOr<std::vector<TokenPyramid>> Encode(
      absl::Span<const Picture* const> pictures) override;

 private:
  CudaEngine(std::unique_ptr<CudaModel> model, int device)
      : device_(device), model_(std::move(model)) {}
  absl::Status Prepare(const CudaEngineOptions& options);
  absl::Status WarmUpEncoder();
  absl::Status Lose(const absl::Status& status);

  absl::StatusOr<Images> Find(absl::Span<const ImageId> ids) const;
  absl::Status Run(const Images& images, StepReport* report);
  absl::Status StartNew(const Images& images, StepReport* report);
  absl::Status Lay(std::vector<KnownScales> known, StepReport* report);
  absl::Status OrderPreviews(absl::Span<const SettledScale> settled, StepReport* report);
  absl::Status OrderPictures(const Images& to_run, const Images& last, StepReport* report);
  void Advance(const Images& images, StepReport* report);
  absl::Status CollectSteps(int leave, StepReport* report);
  absl::Status AwaitPictures(StepReport* report);
  void Remove(ImageInFlight* image);

  const int device_;
  std::unique_ptr<CudaModel> model_;
  std::unique_ptr<StepLauncher> launcher_;
  std::unique_ptr<PicturePipeline> pictures_;
  EngineInfo info_;
  std::map<ImageId, std::shared_ptr<ImageInFlight>> images_;  // Until their pictures are delivered.
  std::vector<int> free_slots_;
  absl::Status lost_;  // Not OK: the device is.
};

}  // namespace hmar

#endif  // HMAR_MODEL_CUDA_CUDA_ENGINE_INTERNAL_H_
