#include "model/cuda/fast_preview_sampler.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "kernels/picture.h"

namespace hmar {
namespace {

// Equations that the fit aims at; it has 9 Z + 1 unknowns, 289 with Z = 32.
constexpr int64_t kEquations = 4096;
constexpr int64_t kMinPictures = 8;
constexpr int64_t kMinImages = 4;

using FloatMaps = std::vector<std::vector<float>>;

ImageTask SampleTask(const ModelConfig& config, int64_t i, int64_t images) {
  ImageTask task;
  task.class_id = static_cast<uint32_t>(i * static_cast<int64_t>(config.classes.size()) / images);
  task.seed = static_cast<uint64_t>(i);
  task.sampling = config.sampling;
  task.sampling.cfg_scale = 0;
  task.sampling.mask_schedule = PresetSchedule(SchedulePreset::kNone, config);
  return task;
}

// Feature maps (P, P, Z) after every scale of `images` images; empty if one failed.
absl::StatusOr<FloatMaps> SampleFeatureMaps(CudaModel* model, StepLauncher* launcher,
                                            int64_t images) {
  std::vector<std::shared_ptr<ImageInFlight>> running;
  for (int64_t i = 0; i < images; ++i) {
    running.push_back(std::make_shared<ImageInFlight>(i, SampleTask(model->config(), i, images),
                                                      model->config()));
    running.back()->slot = static_cast<int>(i);
  }
  HMAR_RETURN_IF_ERROR(launcher->Start(running));
  FloatMaps maps;
  while (!running.front()->done()) {
    HMAR_RETURN_IF_ERROR(launcher->Launch(running));
    HMAR_RETURN_IF_ERROR(launcher->Seal());
    StepLauncher::Verdict verdict;
    HMAR_RETURN_IF_ERROR(launcher->Collect(/*wait=*/true, &verdict).status());
    if (!verdict.failed.empty()) return FloatMaps();
    for (const auto& image : running) {
      ++image->next_pass;
      std::vector<float>& map = maps.emplace_back(model->features());
      HMAR_CUDA_RETURN_IF_ERROR(
          cudaMemcpy(map.data(), model->slots().f_hat_PPZ + image->slot * model->features(),
                     map.size() * sizeof(float), cudaMemcpyDeviceToHost));
    }
  }
  return maps;
}

// What the decoder makes of one map, (S, S, 3).
absl::StatusOr<std::vector<float>> DecodeMap(CudaModel* model, const std::vector<float>& map,
                                             __nv_bfloat16* features) {
  const cudaStream_t stream = model->main_stream();
  const int32_t slot = 0;
  int32_t* device_slot = reinterpret_cast<int32_t*>(features + model->features());
  HMAR_CUDA_RETURN_IF_ERROR(cudaMemcpyAsync(model->slots().f_hat_PPZ, map.data(),
                                            map.size() * sizeof(float), cudaMemcpyHostToDevice,
                                            stream));
  HMAR_CUDA_RETURN_IF_ERROR(
      cudaMemcpyAsync(device_slot, &slot, sizeof(slot), cudaMemcpyHostToDevice, stream));
  HMAR_CUDA_RETURN_IF_ERROR(kernels::GatherFeatures(model->slots().f_hat_PPZ, device_slot, 1,
                                                    model->features(), features, stream));
  HMAR_RETURN_IF_ERROR(model->decoder().Decode(features, 1, stream));
  const int64_t S = model->config().image_size;
  std::vector<float> pixels(S * S * 3);
  HMAR_CUDA_RETURN_IF_ERROR(cudaMemcpyAsync(pixels.data(), model->decoder().pixels_BSS3(),
                                            pixels.size() * sizeof(float), cudaMemcpyDeviceToHost,
                                            stream));
  HMAR_CUDA_RETURN_IF_ERROR(cudaStreamSynchronize(stream));
  return pixels;
}

}  // namespace

absl::StatusOr<std::optional<FastPreviewFit>> FitFastPreviewTo(CudaModel* model,
                                                               StepLauncher* launcher) {
  const int64_t P = model->config().last_grid(), K = model->config().num_scales();
  const int64_t wanted = std::max(kMinPictures, kEquations / (P * P));
  const int64_t images =
      std::min<int64_t>(std::max(kMinImages, (wanted + K - 1) / K), model->max_images());
  HMAR_ASSIGN_OR_RETURN(const FloatMaps maps, SampleFeatureMaps(model, launcher, images));
  if (maps.empty()) return std::nullopt;
  HMAR_ASSIGN_OR_RETURN(const ScratchMemory scratch,
                        ScratchMemory::Take((model->features() + 8) * sizeof(__nv_bfloat16)));
  FloatMaps inputs, pictures;
  for (int64_t i = 0; i < wanted; ++i) {
    inputs.push_back(maps[i * static_cast<int64_t>(maps.size()) / wanted]);
    HMAR_ASSIGN_OR_RETURN(std::vector<float> pixels,
                          DecodeMap(model, inputs.back(), scratch.as<__nv_bfloat16>()));
    pictures.push_back(std::move(pixels));
  }
  return FitFastPreview(inputs, pictures, static_cast<int>(P), model->config().tokenizer.z_channels,
                        model->config().image_size);
}

}  // namespace hmar
