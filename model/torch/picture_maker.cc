#include "model/torch/picture_maker.h"

#include <algorithm>
#include <memory>

namespace hmar {
namespace {

// Equations that the fit of the fast preview aims at; it has 9 Z + 1 unknowns, 289 with Z = 32.
constexpr int64_t kFitEquations = 4096;
constexpr int64_t kMinFitPictures = 8;
constexpr int64_t kMinFitImages = 4;

// (B, 3, h, w) -> pictures: floor(255 (x + 1) / 2 + 0.5) of x clamped to [-1, 1].
void AppendPictures(const at::Tensor& image_B3hw, std::vector<std::optional<Picture>>* pictures) {
  const at::Tensor finite = at::isfinite(image_B3hw).flatten(1).all(1);
  const at::Tensor bytes = image_B3hw.clamp(-1, 1)
                               .add_(1)
                               .div_(2)
                               .mul_(255)
                               .add_(0.5)
                               .floor_()
                               .to(at::kByte)
                               .permute({0, 2, 3, 1})
                               .contiguous();
  const size_t size = static_cast<size_t>(bytes[0].numel());
  for (int64_t b = 0; b < bytes.size(0); ++b) {
    const uint8_t* data = bytes.data_ptr<uint8_t>() + b * size;
    pictures->emplace_back();
    if (!finite.data_ptr<bool>()[b]) continue;
    pictures->back() = {static_cast<uint32_t>(bytes.size(2)), static_cast<uint32_t>(bytes.size(1)),
                        std::vector<uint8_t>(data, data + size)};
  }
}

// Feature maps after every scale of `images` images, image by image, without guidance and mask
// passes.
std::vector<at::Tensor> SampleFeatureMaps(LoadedModel* model, int64_t images) {
  const ModelConfig& config = model->config;
  std::vector<std::unique_ptr<Slot>> slots;
  std::vector<Slot*> running;
  for (int64_t i = 0; i < images; ++i) {
    ImageTask task;
    task.class_id = static_cast<uint32_t>(i * config.classes.size() / images);
    task.seed = static_cast<uint64_t>(i);
    task.sampling = config.sampling;
    task.sampling.cfg_scale = 0;
    task.sampling.mask_schedule = PresetSchedule(SchedulePreset::kNone, config);
    slots.push_back(std::make_unique<Slot>(0, std::move(task), config));
    slots.back()->f_hat_ZPP = model->EmptyFHat();
    running.push_back(slots.back().get());
  }
  std::vector<at::Tensor> maps;
  while (!running.front()->done()) {
    const std::vector<PassOutcome> outcomes =
        model->runner.Run(std::vector<const Slot*>(running.begin(), running.end()));
    for (size_t i = 0; i < running.size(); ++i) {
      if (!outcomes[i].finite) return {};
      running[i]->f_hat_ZPP = outcomes[i].f_hat_ZPP;
      running[i]->next_pass++;
      maps.push_back(outcomes[i].f_hat_ZPP);
    }
  }
  return maps;
}

}  // namespace

void PictureMaker::FitFast(LoadedModel* model) {
  const int64_t P = model->config.last_grid(), K = model->config.num_scales();
  const int64_t wanted = std::max(kMinFitPictures, kFitEquations / (P * P));
  const int64_t images = std::max(kMinFitImages, (wanted + K - 1) / K);
  const std::vector<at::Tensor> maps = SampleFeatureMaps(model, images);
  if (maps.empty()) return;
  std::vector<at::Tensor> inputs, pictures;
  for (int64_t i = 0; i < wanted; ++i) {
    inputs.push_back(maps[i * maps.size() / wanted]);
    pictures.push_back(model->tokenizer.Decode(inputs.back().unsqueeze(0)));
    if (!at::isfinite(pictures.back()).all().item<bool>()) return;
  }
  fast_ = FastPreview::Fit(at::stack(inputs), at::cat(pictures).clamp_(-1, 1));
}

std::vector<std::optional<Picture>> PictureMaker::Full(
    const std::vector<at::Tensor>& f_hats) const {
  const size_t at_once = model_->images_at_once();
  std::vector<std::optional<Picture>> pictures;
  for (size_t i = 0; i < f_hats.size(); i += at_once) {
    const auto last = f_hats.begin() + std::min(f_hats.size(), i + at_once);
    const std::vector<at::Tensor> batch(f_hats.begin() + i, last);
    AppendPictures(model_->tokenizer.Decode(at::stack(batch)), &pictures);
  }
  return pictures;
}

std::vector<std::optional<Picture>> PictureMaker::Fast(
    const std::vector<at::Tensor>& f_hats) const {
  std::vector<std::optional<Picture>> pictures;
  if (!f_hats.empty()) AppendPictures(fast_->Apply(at::stack(f_hats)), &pictures);
  return pictures;
}

}  // namespace hmar
