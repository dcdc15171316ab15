#include "model/cpu_engine.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <map>
#include <new>
#include <set>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/status_macros.h"
#include "model/torch/loaded_model.h"
#include "model/torch/picture_maker.h"
#include "model/torch/slot.h"

namespace hmar {
namespace {

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Pictures to make at the end of a step, each for one slot and scale.
struct PictureOrder {
  Slot* slot;
  int scale;
  at::Tensor f_hat_ZPP;
};

class CpuEngine final : public Engine {
 public:
  CpuEngine(std::unique_ptr<LoadedModel> model, EngineInfo info, bool fast_previews)
      : model_(std::move(model)), info_(std::move(info)), pictures_(model_.get()) {
    const c10::InferenceMode guard;
    if (fast_previews) pictures_.FitFast(model_.get());
  }

  const EngineInfo& info() const override { return info_; }
  absl::Status Admit(ImageId id, ImageTask task) override;
  void Cancel(ImageId id) override { slots_.erase(id); }
  absl::StatusOr<StepReport> Step(absl::Span<const ImageId> ids) override;

 private:
  absl::StatusOr<std::vector<Slot*>> Find(absl::Span<const ImageId> ids);
  void LayPrefix(Slot* slot);
  StepReport RunStep(const std::vector<Slot*>& slots);
  void MakePictures(const std::vector<PictureOrder>& previews,
                    const std::vector<PictureOrder>& finals, StepReport* report) const;
  void Commit(const std::vector<Slot*>& slots, std::vector<PassOutcome> outcomes,
              StepReport* report);

  std::unique_ptr<LoadedModel> model_;
  const EngineInfo info_;
  PictureMaker pictures_;
  std::map<ImageId, Slot> slots_;
};

absl::Status CpuEngine::Admit(ImageId id, ImageTask task) {
  if (slots_.count(id) != 0)
    return absl::AlreadyExistsError(absl::StrCat("image ", id, " is already in flight"));
  if (slots_.size() >= info_.max_images) {
    return absl::ResourceExhaustedError(absl::StrCat("all ", info_.max_images, " slots are taken"));
  }
  if (task.preview_mode == PreviewMode::kFast && !pictures_.has_fast()) {
    return absl::FailedPreconditionError(
        "FAST previews were switched off when the model was loaded");
  }
  slots_.try_emplace(id, id, std::move(task), info_.config);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Slot*>> CpuEngine::Find(absl::Span<const ImageId> ids) {
  std::vector<Slot*> slots;
  std::set<ImageId> seen;
  for (const ImageId id : ids) {
    const auto found = slots_.find(id);
    if (found == slots_.end())
      return absl::InvalidArgumentError(absl::StrCat("image ", id, " is not in flight"));
    if (!seen.insert(id).second)
      return absl::InvalidArgumentError(absl::StrCat("image ", id, " is named twice"));
    slots.push_back(&found->second);
  }
  return slots;
}

absl::StatusOr<StepReport> CpuEngine::Step(absl::Span<const ImageId> ids) {
  HMAR_ASSIGN_OR_RETURN(const std::vector<Slot*> slots, Find(ids));
  if (slots.empty()) return StepReport();
  const c10::InferenceMode guard;
  try {
    for (Slot* slot : slots) LayPrefix(slot);
    return RunStep(slots);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(
        absl::StrCat("out of memory in a step of ", slots.size(), " images"));
  } catch (const c10::OutOfMemoryError&) {
    return absl::ResourceExhaustedError(
        absl::StrCat("out of memory in a step of ", slots.size(), " images"));
  } catch (const std::exception& e) {
    return absl::InternalError(
        absl::StrCat("a step of ", slots.size(), " images failed: ", e.what()));
  }
}

// Takes the prefix's scales as drawn, before the slot's first step.
void CpuEngine::LayPrefix(Slot* slot) {
  if (slot->f_hat_ZPP.defined()) return;
  std::vector<PictureOrder> previews;
  const at::Tensor f_hat =
      model_->LayPrefix(slot->task.prefix, [&](int scale, const at::Tensor& f_hat_ZPP) {
        if (slot->wants_preview(scale)) previews.push_back({slot, scale, f_hat_ZPP});
      });
  StepReport report;
  MakePictures(previews, {}, &report);
  slot->prefix_previews = std::move(report.previews);
  slot->settled = slot->task.prefix;
  slot->f_hat_ZPP = f_hat;
}

// Everything that can fail comes first; Commit then moves the results into the slots.
StepReport CpuEngine::RunStep(const std::vector<Slot*>& slots) {
  StepReport report;
  std::vector<const Slot*> to_run;
  for (const Slot* slot : slots) {
    if (!slot->done()) to_run.push_back(slot);
  }
  std::vector<PassOutcome> ran;
  if (!to_run.empty()) ran = model_->runner.Run(to_run, &report.rows);

  std::vector<PassOutcome> outcomes(slots.size());
  std::vector<PictureOrder> previews, finals;
  auto next = ran.begin();
  for (size_t i = 0; i < slots.size(); ++i) {
    Slot* slot = slots[i];
    const int last_scale = info_.config.num_scales() - 1;
    if (slot->done()) {  // Its prefix had every scale.
      finals.push_back({slot, last_scale, slot->f_hat_ZPP});
      continue;
    }
    outcomes[i] = std::move(*next++);
    if (!outcomes[i].finite || !slot->pass().settles_scale) continue;
    const int scale = slot->pass().scale;
    if (slot->wants_preview(scale)) previews.push_back({slot, scale, outcomes[i].f_hat_ZPP});
    if (scale == last_scale) finals.push_back({slot, scale, outcomes[i].f_hat_ZPP});
  }
  MakePictures(previews, finals, &report);
  Commit(slots, std::move(outcomes), &report);
  return report;
}

void CpuEngine::MakePictures(const std::vector<PictureOrder>& previews,
                             const std::vector<PictureOrder>& finals, StepReport* report) const {
  const double start = Seconds();
  std::vector<at::Tensor> fast, full;
  for (const PictureOrder& order : previews) {
    (order.slot->task.preview_mode == PreviewMode::kFast ? fast : full).push_back(order.f_hat_ZPP);
  }
  for (const PictureOrder& order : finals) full.push_back(order.f_hat_ZPP);
  std::vector<Picture> fast_pictures = pictures_.Fast(fast);
  std::vector<Picture> full_pictures = pictures_.Full(full);
  auto next_fast = fast_pictures.begin();
  auto next_full = full_pictures.begin();
  for (const PictureOrder& order : previews) {
    auto& next = order.slot->task.preview_mode == PreviewMode::kFast ? next_fast : next_full;
    report->previews.push_back(
        {order.slot->id, static_cast<uint32_t>(order.scale), std::move(*next++)});
  }
  for (const PictureOrder& order : finals)
    report->images.push_back({order.slot->id, std::move(*next_full++), {}});
  report->decode_seconds += Seconds() - start;
}

void CpuEngine::Commit(const std::vector<Slot*>& slots, std::vector<PassOutcome> outcomes,
                       StepReport* report) {
  std::vector<PreviewReport> prefix_previews;
  for (size_t i = 0; i < slots.size(); ++i) {
    Slot& slot = *slots[i];
    PassOutcome& outcome = outcomes[i];
    std::move(slot.prefix_previews.begin(), slot.prefix_previews.end(),
              std::back_inserter(prefix_previews));
    slot.prefix_previews.clear();
    if (slot.done()) {
      report->passes.push_back(
          {slot.id, static_cast<uint16_t>(info_.config.num_scales() - 1), 0, 0, true, true});
      continue;
    }
    const Pass pass = slot.pass();
    if (!outcome.finite) {
      report->failures.push_back(
          {slot.id, absl::InternalError(absl::StrCat("logits of scale ", pass.scale, ", pass ",
                                                     pass.step, " are not finite"))});
      continue;
    }
    slot.next_pass++;
    if (pass.settles_scale) {
      slot.settled.push_back(std::move(outcome.tokens));
      slot.f_hat_ZPP = std::move(outcome.f_hat_ZPP);
    } else {
      slot.tokens = std::move(outcome.tokens);
      slot.confidence = std::move(outcome.confidence);
      slot.open = std::move(outcome.open);
    }
    report->passes.push_back(
        {slot.id, pass.scale, pass.step, pass.rows(), pass.settles_scale, slot.done()});
  }
  // A prefix's previews come before those of the scales that follow it.
  std::move(report->previews.begin(), report->previews.end(), std::back_inserter(prefix_previews));
  report->previews = std::move(prefix_previews);
  for (ImageReport& image : report->images) {
    image.tokens = std::move(slots_.at(image.id).settled);
    slots_.erase(image.id);
  }
  for (const FailureReport& failure : report->failures) slots_.erase(failure.id);
}

absl::StatusOr<std::unique_ptr<Engine>> Load(const ModelFolder& folder,
                                             const CpuEngineOptions& options) {
  try {
    if (options.threads > 0) at::set_num_threads(options.threads);
    HMAR_ASSIGN_OR_RETURN(std::unique_ptr<LoadedModel> model, LoadedModel::Load(folder));
    EngineInfo info;
    info.config = folder.config;
    info.digest = folder.digest;
    info.device = "cpu";
    info.precision = "fp32";
    info.parameters = folder.parameters;
    info.max_images = options.max_images;
    return std::make_unique<CpuEngine>(std::move(model), std::move(info), options.fast_previews);
  } catch (const std::exception& e) {
    return absl::InternalError(
        absl::StrCat("cannot load model '", folder.config.name, "': ", e.what()));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> MakeCpuEngine(ModelFolder folder,
                                                      const CpuEngineOptions& options) {
  // On a thread of its own, which ends: libgomp keeps workers for every living thread that has run
  // a parallel loop, and once all of them outnumber the cores, its barriers sleep instead of
  // spinning. The caller's idle workers would cost each step of the engine's thread a half.
  absl::StatusOr<std::unique_ptr<Engine>> engine = absl::UnknownError("not loaded");
  std::thread([&] { engine = Load(folder, options); }).join();
  return engine;
}

}  // namespace hmar
