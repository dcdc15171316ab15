// Loads the engine and warms it up.

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/cuda/cuda_engine_internal.h"
#include "model/cuda/fast_preview_sampler.h"

namespace hmar {

absl::StatusOr<std::unique_ptr<CudaEngine>> CudaEngine::Load(const ModelFolder& folder,
                                                             const CudaEngineOptions& options) {
  HMAR_ASSIGN_OR_RETURN(std::unique_ptr<CudaModel> model, CudaModel::Load(folder, options));
  std::unique_ptr<CudaEngine> engine(new CudaEngine(std::move(model), options.device));
  HMAR_RETURN_IF_ERROR(engine->Prepare(options));
  EngineInfo& info = engine->info_;
  info.config = folder.config;
  info.digest = folder.digest;
  info.device = absl::StrCat("cuda:", options.device);
  info.precision = options.precision == Precision::kFp8 ? "fp8" : "bf16";
  info.parameters = folder.parameters;
  info.max_images = static_cast<uint32_t>(engine->model_->max_images());
  info.max_step_rows = static_cast<uint32_t>(engine->model_->max_rows());
  info.memory = engine->model_->memory().Uses();
  return engine;
}

absl::Status CudaEngine::Prepare(const CudaEngineOptions& options) {
  HMAR_ASSIGN_OR_RETURN(launcher_, StepLauncher::Create(model_.get()));
  HMAR_RETURN_IF_ERROR(launcher_->WarmUp(options.graphs));
  std::optional<FastPreviewFit> fast;
  if (options.fast_previews) {
    HMAR_ASSIGN_OR_RETURN(fast, FitFastPreviewTo(model_.get(), launcher_.get()));
  }
  HMAR_ASSIGN_OR_RETURN(pictures_,
                        PicturePipeline::Create(model_.get(), fast, [this](StepReport* report) {
                          return CollectSteps(StepLauncher::kAhead, report);
                        }));
  HMAR_RETURN_IF_ERROR(WarmUpEncoder());
  model_->memory().Close();
  for (int slot = model_->max_images(); slot-- > 0;) free_slots_.push_back(slot);
  return absl::OkStatus();
}

// The driver loads kernels when they are first launched, and waits for the device.
absl::Status CudaEngine::WarmUpEncoder() {
  const auto S = static_cast<uint32_t>(model_->config().image_size);
  const Picture black = {S, S, std::vector<uint8_t>(size_t{3} * S * S)};
  CudaEncoder& encoder = model_->encoder();
  for (const int count : {1, encoder.max_batch()}) {
    const std::vector<const Picture*> pictures(count, &black);
    HMAR_RETURN_IF_ERROR(encoder.Encode(pictures).status());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Engine>> MakeCudaEngine(ModelFolder folder,
                                                       const CudaEngineOptions& options) {
  return CudaEngine::Load(folder, options);
}

}  // namespace hmar
