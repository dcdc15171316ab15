#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/cuda/cuda_engine_internal.h"

namespace hmar {

absl::Status CudaEngine::Admit(ImageId id, ImageTask task) {
  if (images_.count(id) != 0)
    return absl::AlreadyExistsError(absl::StrCat("image ", id, " is already in flight"));
  if (free_slots_.empty()) {
    return absl::ResourceExhaustedError(absl::StrCat("all ", info_.max_images, " slots are taken"));
  }
  if (task.preview_mode == PreviewMode::kFast && !pictures_->has_fast()) {
    return absl::FailedPreconditionError(
        "FAST previews were switched off when the model was loaded");
  }
  auto image = std::make_shared<ImageInFlight>(id, std::move(task), info_.config);
  image->slot = free_slots_.back();
  free_slots_.pop_back();
  images_.emplace(id, std::move(image));
  return absl::OkStatus();
}

// What the device still does for it does not matter: the slot's next image comes later on the same
// stream.
void CudaEngine::Remove(ImageInFlight* image) {
  image->gone = true;
  if (image->slot >= 0) free_slots_.push_back(image->slot);
  image->slot = -1;
  images_.erase(image->id);
}

void CudaEngine::Cancel(ImageId id) {
  const auto found = images_.find(id);
  if (found == images_.end()) return;
  const std::shared_ptr<ImageInFlight> image = found->second;
  Remove(image.get());
}

// The pass before may still be under way. It has chosen what the next one draws, which stays as it
// is.
absl::Status CudaEngine::Truncate(ImageId id, uint32_t scales) {
  const auto found = images_.find(id);
  if (found == images_.end())
    return absl::InvalidArgumentError(absl::StrCat("image ", id, " is not in flight"));
  return found->second->Truncate(scales);
}

absl::StatusOr<Images> CudaEngine::Find(absl::Span<const ImageId> ids) const {
  Images images;
  std::set<ImageId> seen;
  int64_t rows = 0;
  for (const ImageId id : ids) {
    const auto found = images_.find(id);
    if (found == images_.end())
      return absl::InvalidArgumentError(absl::StrCat("image ", id, " is not in flight"));
    if (found->second->slot < 0)
      return absl::InvalidArgumentError(absl::StrCat("image ", id, " is past its last pass"));
    if (!seen.insert(id).second)
      return absl::InvalidArgumentError(absl::StrCat("image ", id, " is named twice"));
    images.push_back(found->second);
    if (!images.back()->done()) rows += images.back()->pass().rows();
  }
  if (rows > model_->max_rows()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a step of ", rows, " rows; the most is ", model_->max_rows()));
  }
  return images;
}

absl::StatusOr<StepReport> CudaEngine::Step(absl::Span<const ImageId> ids) {
  if (!lost_.ok()) return lost_;
  HMAR_ASSIGN_OR_RETURN(const Images images, Find(ids));
  StepReport report;
  HMAR_CUDA_RETURN_IF_ERROR(cudaSetDevice(device_));
  const absl::Status status = images.empty() ? AwaitPictures(&report) : Run(images, &report);
  if (!status.ok()) {
    return Lose(status);  // Half a step may have run: no image's state can be trusted.
  }
  for (const ImageReport& image : report.images) images_.erase(image.id);
  std::set<ImageId> failed;
  for (const FailureReport& failure : report.failures) {
    failed.insert(failure.id);
    const std::shared_ptr<ImageInFlight> image = images_.at(failure.id);
    Remove(image.get());
  }
  // A failure may be known before the step that it is found in is reported.
  std::erase_if(report.passes,
                [&failed](const PassReport& pass) { return failed.count(pass.id) != 0; });
  return report;
}

// Whatever the error was, every later call says the same.
absl::Status CudaEngine::Lose(const absl::Status& status) {
  lost_ = absl::UnavailableError(absl::StrCat(info_.device, ": ", std::string(status.message())));
  return lost_;
}

// Beside the step that the device has under way, and the decoder.
absl::StatusOr<std::vector<TokenPyramid>> CudaEngine::Encode(
    absl::Span<const Picture* const> pictures) {
  if (!lost_.ok()) return lost_;
  HMAR_RETURN_IF_ERROR(CheckPictures(pictures, info_.config));
  HMAR_CUDA_RETURN_IF_ERROR(cudaSetDevice(device_));
  absl::StatusOr<std::vector<TokenPyramid>> tokens = model_->encoder().Encode(pictures);
  if (!tokens.ok()) return Lose(tokens.status());
  return tokens;
}

absl::Status CudaEngine::Run(const Images& images, StepReport* report) {
  HMAR_RETURN_IF_ERROR(StartNew(images, report));
  Images to_run;
  std::copy_if(images.begin(), images.end(), std::back_inserter(to_run),
               [](const auto& image) { return !image->done(); });
  for (const auto& image : to_run) report->rows += image->pass().rows();
  if (!to_run.empty()) HMAR_RETURN_IF_ERROR(launcher_->Launch(to_run));
  Images last;
  std::copy_if(images.begin(), images.end(), std::back_inserter(last), [](const auto& image) {
    return image->done() || image->next_pass + 1 == image->passes.size();
  });
  HMAR_RETURN_IF_ERROR(launcher_->FetchTokens(last));
  // Before any picture is ordered: one may be delivered as soon as it is, if all buffers are taken.
  HMAR_RETURN_IF_ERROR(launcher_->Seal());
  HMAR_RETURN_IF_ERROR(OrderPictures(to_run, last, report));
  Advance(images, report);
  HMAR_RETURN_IF_ERROR(pictures_->Pump());
  HMAR_RETURN_IF_ERROR(CollectSteps(StepLauncher::kAhead - 1, report));
  return pictures_->Harvest(report);
}

// Clears the slots of images in their first step and lays the scales before their first pass.
absl::Status CudaEngine::StartNew(const Images& images, StepReport* report) {
  Images fresh;
  for (const auto& image : images) {
    if (!std::exchange(image->started, true)) fresh.push_back(image);
  }
  if (fresh.empty()) return absl::OkStatus();
  HMAR_RETURN_IF_ERROR(launcher_->Start(fresh));
  std::vector<KnownScales> known;
  for (const auto& image : fresh) known.push_back({image, 0, image->scale_of(0)});
  return Lay(std::move(known), report);
}

// One scale of each image at a time, so that every scale can leave its preview.
absl::Status CudaEngine::Lay(std::vector<KnownScales> known, StepReport* report) {
  for (;;) {
    std::erase_if(known, [](const KnownScales& scales) { return scales.next == scales.end; });
    if (known.empty()) return absl::OkStatus();
    std::vector<kernels::TokenMapJob> jobs;
    std::vector<SettledScale> settled;
    for (KnownScales& scales : known) {
      jobs.push_back({scales.image->slot, scales.next});
      settled.push_back({scales.image, scales.next++});
    }
    HMAR_RETURN_IF_ERROR(launcher_->Lay(jobs));
    HMAR_RETURN_IF_ERROR(OrderPreviews(settled, report));
  }
}

// Previews of scales that the feature maps hold now, each for the images that want one.
absl::Status CudaEngine::OrderPreviews(absl::Span<const SettledScale> settled, StepReport* report) {
  std::vector<PicturePipeline::Order> fast, full;
  for (const auto& [image, scale] : settled) {
    if (!image->wants_preview(scale)) continue;
    (image->task.preview_mode == PreviewMode::kFast ? fast : full)
        .push_back({image, image->slot, scale, /*final=*/false});
  }
  HMAR_RETURN_IF_ERROR(pictures_->OrderFast(fast, report));
  return pictures_->OrderFull(full, report);
}

// Previews of the scales that this step settles; scales without a pass behind them, with theirs;
// then the finals of `last`. REQUIRES: sealed, and not advanced yet.
absl::Status CudaEngine::OrderPictures(const Images& to_run, const Images& last,
                                       StepReport* report) {
  std::vector<SettledScale> settled;
  std::vector<KnownScales> known;
  for (const auto& image : to_run) {
    if (!image->pass().settles_scale) continue;
    settled.push_back({image, image->pass().scale});
    known.push_back({image, image->pass().scale + 1, image->scale_of(image->next_pass + 1)});
  }
  HMAR_RETURN_IF_ERROR(OrderPreviews(settled, report));
  HMAR_RETURN_IF_ERROR(Lay(std::move(known), report));
  std::vector<PicturePipeline::Order> finals;
  for (const auto& image : last) {
    finals.push_back({image, image->slot, image->num_scales - 1, /*final=*/true});
  }
  return pictures_->OrderFull(finals, report);
}

void CudaEngine::Advance(const Images& images, StepReport* report) {
  for (const auto& image : images) {
    PassReport pass = {image->id, static_cast<uint16_t>(image->num_scales - 1), 0, 0, true, true};
    if (!image->done()) {  // Else every scale was laid.
      const Pass& ran = image->pass();
      ++image->next_pass;
      pass = {image->id, ran.scale, ran.step, ran.rows(), ran.settles_scale, image->done()};
    }
    if (pass.last) {
      free_slots_.push_back(image->slot);
      image->slot = -1;
    }
    report->passes.push_back(pass);
  }
}

// Takes in the verdicts of finished steps; waits while more than `leave` are under way.
absl::Status CudaEngine::CollectSteps(int leave, StepReport* report) {
  while (launcher_->under_way() > 0) {
    StepLauncher::Verdict verdict;
    HMAR_ASSIGN_OR_RETURN(const bool done,
                          launcher_->Collect(launcher_->under_way() > leave, &verdict));
    if (!done) break;
    for (const auto& [image, pass] : verdict.failed) {
      if (image->gone) continue;
      image->gone = true;  // It keeps its slot to the end of this Step, which may still use it.
      report->failures.push_back(
          {image->id, absl::InternalError(absl::StrCat("logits of scale ", pass.scale, ", pass ",
                                                       pass.step, " are not finite"))});
    }
  }
  return absl::OkStatus();
}

absl::Status CudaEngine::AwaitPictures(StepReport* report) {
  HMAR_RETURN_IF_ERROR(CollectSteps(0, report));
  HMAR_RETURN_IF_ERROR(pictures_->Harvest(report));
  while (report->images.empty() && pictures_->busy()) {
    HMAR_RETURN_IF_ERROR(pictures_->Await());
    HMAR_RETURN_IF_ERROR(pictures_->Harvest(report));
  }
  return absl::OkStatus();
}

}  // namespace hmar
