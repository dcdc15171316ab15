#include "model/cpu_engine.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <functional>
#include <iterator>
#include <map>
#include <new>
#include <set>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
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

// Bytes 0 to 255 as -1 to 1, (B, 3, S, S).
at::Tensor ImageTensor(absl::Span<const Picture* const> pictures) {
  std::vector<at::Tensor> images;
  for (const Picture* picture : pictures) {
    images.push_back(at::from_blob(const_cast<uint8_t*>(picture->rgb.data()),
                                   {picture->height, picture->width, 3}, at::kByte));
  }
  return at::stack(images).permute({0, 3, 1, 2}).to(at::kFloat).div_(127.5).sub_(1);
}

// A picture to make at the end of a step.
struct PictureOrder {
  const Slot* slot;
  int scale;
  at::Tensor f_hat_ZPP;
  bool final = false;  // Else a preview.

  bool fast() const { return !final && slot->task.preview_mode == PreviewMode::kFast; }
};

// The CPU's allocator throws no error of a type of its own.
bool IsOutOfMemory(const std::exception& e) {
  return absl::StrContains(e.what(), "DefaultCPUAllocator: can't allocate memory");
}

// Runs `work`, torch's exceptions become statuses; `what` names the work.
template <typename Result>
absl::StatusOr<Result> Guarded(const std::string& what,
                               const std::function<absl::StatusOr<Result>()>& work) {
  const c10::InferenceMode guard;
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat("out of memory in ", what));
  } catch (const c10::OutOfMemoryError&) {
    return absl::ResourceExhaustedError(absl::StrCat("out of memory in ", what));
  } catch (const std::exception& e) {
    if (IsOutOfMemory(e))
      return absl::ResourceExhaustedError(absl::StrCat("out of memory in ", what));
    return absl::InternalError(absl::StrCat(what, " failed: ", e.what()));
  }
}

class CpuEngine final : public Engine {
 public:
  CpuEngine(std::unique_ptr<LoadedModel> model, EngineInfo info, bool fast_previews)
      : model_(std::move(model)), info_(std::move(info)), pictures_(model_.get()) {
    const c10::InferenceMode guard;
    if (fast_previews) pictures_.FitFast(model_.get());
    info_.memory = {{"weights", model_->bytes() + pictures_.fast_bytes()},
                    {"class vectors", model_->transformer.class_vectors_bytes()},
                    {"slots", info_.max_images * SlotBytes(info_.config)}};
  }

  const EngineInfo& info() const override { return info_; }
  absl::Status Admit(ImageId id, ImageTask task) override;
  void Cancel(ImageId id) override { slots_.erase(id); }
  absl::Status Truncate(ImageId id, uint32_t scales) override;
  absl::StatusOr<StepReport> Step(absl::Span<const ImageId> ids) override;
  absl::StatusOr<std::vector<TokenPyramid>> Encode(
      absl::Span<const Picture* const> pictures) override;

 private:
  absl::StatusOr<std::vector<Slot*>> Find(absl::Span<const ImageId> ids);
  void Start(Slot* slot);
  at::Tensor Lay(const Slot* slot, at::Tensor f_hat_ZPP, int first, const TokenPyramid& tokens,
                 std::vector<PictureOrder>* orders) const;
  StepReport RunStep(const std::vector<Slot*>& slots);
  std::set<const Slot*> MakePictures(const std::vector<PictureOrder>& orders,
                                     StepReport* report) const;
  void Commit(const std::vector<Slot*>& slots, std::vector<PassOutcome> outcomes,
              const std::set<const Slot*>& failed, StepReport* report);

  std::unique_ptr<LoadedModel> model_;
  EngineInfo info_;  // Constant once constructed.
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
        "this engine has no FAST previews: they were switched off when the model was loaded, or "
        "could not be fitted to it");
  }
  slots_.try_emplace(id, id, std::move(task), info_.config);
  return absl::OkStatus();
}

absl::Status CpuEngine::Truncate(ImageId id, uint32_t scales) {
  const auto found = slots_.find(id);
  if (found == slots_.end())
    return absl::InvalidArgumentError(absl::StrCat("image ", id, " is not in flight"));
  return found->second.Truncate(scales);
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
  return Guarded<StepReport>(absl::StrCat("a step of ", slots.size(), " images"), [&] {
    for (Slot* slot : slots) Start(slot);
    return RunStep(slots);
  });
}

absl::StatusOr<std::vector<TokenPyramid>> CpuEngine::Encode(
    absl::Span<const Picture* const> pictures) {
  HMAR_RETURN_IF_ERROR(CheckPictures(pictures, info_.config));
  const std::string what = absl::StrCat("the encoding of ", pictures.size(), " images");
  using Encoded = absl::StatusOr<std::vector<TokenPyramid>>;
  return Guarded<std::vector<TokenPyramid>>(what, [&]() -> Encoded {
    std::vector<TokenPyramid> tokens;
    const size_t at_once = model_->images_at_once();
    for (size_t i = 0; i < pictures.size(); i += at_once) {
      HMAR_ASSIGN_OR_RETURN(std::vector<TokenPyramid> some,
                            model_->Encode(ImageTensor(pictures.subspan(i, at_once))));
      std::move(some.begin(), some.end(), std::back_inserter(tokens));
    }
    return tokens;
  });
}

// Before a slot's first step: the scales that come before its first pass.
void CpuEngine::Start(Slot* slot) {
  if (slot->f_hat_ZPP.defined()) return;
  std::vector<PictureOrder> previews;
  TokenPyramid tokens = slot->LaidTokens(0, slot->scale_of(0));
  at::Tensor f_hat = Lay(slot, model_->EmptyFHat(), 0, tokens, &previews);
  for (PictureOrder& order : previews) {
    slot->early_previews.emplace_back(order.scale, std::move(order.f_hat_ZPP));
  }
  slot->settled = std::move(tokens);
  slot->f_hat_ZPP = std::move(f_hat);
}

// Orders the previews of the scales that it lays, too.
at::Tensor CpuEngine::Lay(const Slot* slot, at::Tensor f_hat_ZPP, int first,
                          const TokenPyramid& tokens, std::vector<PictureOrder>* orders) const {
  return model_->Lay(std::move(f_hat_ZPP), first, tokens, [&](int scale, const at::Tensor& f_hat) {
    if (slot->wants_preview(scale)) orders->push_back({slot, scale, f_hat});
  });
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
  std::vector<PictureOrder> orders;
  auto next = ran.begin();
  for (size_t i = 0; i < slots.size(); ++i) {
    Slot* slot = slots[i];
    const int last_scale = slot->num_scales - 1;
    for (const auto& [scale, f_hat] : slot->early_previews) orders.push_back({slot, scale, f_hat});
    if (slot->done()) {  // Every scale was laid.
      orders.push_back({slot, last_scale, slot->f_hat_ZPP, true});
      continue;
    }
    outcomes[i] = std::move(*next++);
    if (!outcomes[i].finite || !slot->pass().settles_scale) continue;
    const int scale = slot->pass().scale, next_scale = slot->scale_of(slot->next_pass + 1);
    at::Tensor& f_hat = outcomes[i].f_hat_ZPP;
    if (slot->wants_preview(scale)) orders.push_back({slot, scale, f_hat});
    f_hat = Lay(slot, f_hat, scale + 1, slot->LaidTokens(scale + 1, next_scale), &orders);
    if (next_scale > last_scale) orders.push_back({slot, last_scale, f_hat, true});
  }
  const std::set<const Slot*> failed = MakePictures(orders, &report);
  Commit(slots, std::move(outcomes), failed, &report);
  return report;
}

// Returns the slots whose images fail because a picture of theirs is none. What the orders ask for
// before it is delivered, what they ask for after it is not.
std::set<const Slot*> CpuEngine::MakePictures(const std::vector<PictureOrder>& orders,
                                              StepReport* report) const {
  const double start = Seconds();
  std::vector<at::Tensor> fast, full;
  for (const PictureOrder& order : orders) {
    (order.fast() ? fast : full).push_back(order.f_hat_ZPP);
  }
  auto fast_pictures = pictures_.Fast(fast);
  auto full_pictures = pictures_.Full(full);
  auto next_fast = fast_pictures.begin();
  auto next_full = full_pictures.begin();
  std::set<const Slot*> failed;
  for (const PictureOrder& order : orders) {
    std::optional<Picture> picture = std::move(*(order.fast() ? next_fast : next_full)++);
    const ImageId id = order.slot->id;
    if (failed.count(order.slot) != 0) continue;
    if (!picture.has_value()) {
      failed.insert(order.slot);
      report->failures.push_back(
          {id, absl::InternalError(
                   absl::StrCat("the picture of scale ", order.scale, " is not finite"))});
    } else if (order.final) {
      report->images.push_back({id, *std::move(picture), {}});
    } else {
      report->previews.push_back({id, static_cast<uint32_t>(order.scale), *std::move(picture)});
    }
  }
  report->decode_seconds += Seconds() - start;
  return failed;
}

void CpuEngine::Commit(const std::vector<Slot*>& slots, std::vector<PassOutcome> outcomes,
                       const std::set<const Slot*>& failed, StepReport* report) {
  for (size_t i = 0; i < slots.size(); ++i) {
    Slot& slot = *slots[i];
    PassOutcome& outcome = outcomes[i];
    if (failed.count(&slot) != 0) continue;
    slot.early_previews.clear();
    if (slot.done()) {
      report->passes.push_back(
          {slot.id, static_cast<uint16_t>(slot.num_scales - 1), 0, 0, true, true});
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
      TokenPyramid laid = slot.LaidTokens(pass.scale + 1, slot.scale_of(slot.next_pass));
      std::move(laid.begin(), laid.end(), std::back_inserter(slot.settled));
      slot.f_hat_ZPP = std::move(outcome.f_hat_ZPP);
    } else {
      slot.tokens = std::move(outcome.tokens);
      slot.confidence = std::move(outcome.confidence);
      slot.open = std::move(outcome.open);
    }
    report->passes.push_back(
        {slot.id, pass.scale, pass.step, pass.rows(), pass.settles_scale, slot.done()});
  }
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
