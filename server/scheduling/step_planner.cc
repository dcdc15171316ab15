#include "server/scheduling/step_planner.h"

#include <set>
#include <string>
#include <utility>

namespace hmar {

std::optional<PlannedStep> StepPlanner::Plan(absl::Time now) {
  PlannedStep step;
  step.device = device_;
  step.cancelled = ledger_.TakeReleases(device_, now);
  TakeRetry(step);
  if (step.ids.empty()) TakeChoice(step, now);
  if (step.ids.empty() && step.cancelled.empty() && !step.await_pictures) return std::nullopt;

  ++steps_planned_;
  uint64_t rows = 0;
  for (ImageId id : step.ids) {
    ImageRecord& image = *ledger_.images().Find(id);
    image.last_step = steps_planned_;
    rows += image.next_rows();
  }
  step.expected = pricing_.StepTime(device_, step.model, rows);
  return step;
}

void StepPlanner::Halve(const PlannedStep& step) {
  const auto middle = step.ids.begin() + step.ids.size() / 2;
  retries_.push_front({step.model, {middle, step.ids.end()}});
  retries_.push_front({step.model, {step.ids.begin(), middle}});
}

void StepPlanner::TakeRetry(PlannedStep& step) {
  while (step.ids.empty() && !retries_.empty()) {
    step.model = retries_.front().model;
    step.ids = std::move(retries_.front().ids);
    retries_.pop_front();
    // Some may have been cancelled since.
    std::erase_if(step.ids, [this](ImageId id) { return ledger_.images().Find(id) == nullptr; });
  }
}

void StepPlanner::TakeChoice(PlannedStep& step, absl::Time now) {
  std::optional<StepChoice> choice = Choose(now);
  if (!choice) return;
  last_model_ = step.model = choice->model;
  step.ids = std::move(choice->running);
  for (ImageId id : choice->admitted) {
    step.admitted.push_back(Start(id, now));
    step.ids.push_back(id);
  }
  step.await_pictures = step.ids.empty();
  CountUploads(step);
}

std::optional<StepChoice> StepPlanner::Choose(absl::Time now) const {
  std::vector<RunningImage> running;
  for (const auto& [id, image] : ledger_.images()) {
    if (image.state == ImageState::kRunning && image.device == device_) {
      running.push_back({id, image.model, image.next_rows(), image.last_step});
    }
  }
  const std::vector<ModelSlots> slots = Slots();
  const std::vector<QueuedImage> queued = Offered(slots);
  return ChooseStep({queued, running, slots, options_.max_step_rows, now, last_model_});
}

std::vector<ModelSlots> StepPlanner::Slots() const {
  std::vector<ModelSlots> slots;
  for (size_t model = 0; model < options_.models().size(); ++model) {
    const ImageTable::Held& held = ledger_.images().held(device_, model);
    slots.push_back({options_.devices[device_][model].max_images - held.total(), held.decoding,
                     options_.StepRows(device_, model)});
  }
  return slots;
}

std::vector<QueuedImage> StepPlanner::Offered(const std::vector<ModelSlots>& slots) const {
  std::vector<uint32_t> left;  // By model.
  uint32_t all_left = 0;
  for (const ModelSlots& model : slots) {
    left.push_back(model.free_slots);
    all_left += model.free_slots;
  }
  std::vector<QueuedImage> offered;
  std::set<std::pair<size_t, std::string>> to_tokenize;  // Models and digests.
  if (all_left == 0 || ledger_.images().waiting() == 0) return offered;
  Placement placement = pricing_.Running(ledger_.images());
  for (const auto& [id, image] : ledger_.images()) {
    if (all_left == 0) break;
    if (image.state != ImageState::kWaiting) continue;
    if (Pricing::Place(image, &placement) != device_ || left[image.model] == 0) continue;
    const Work& work = ledger_.work(image.work);
    if (work.picture != nullptr && GivenTokens(work) == nullptr) {
      const std::pair<size_t, std::string> picture(image.model, work.picture->digest);
      if (to_tokenize.size() == kMaxPicturesOfStep && !to_tokenize.contains(picture)) continue;
      to_tokenize.insert(picture);
    }
    --left[image.model];
    --all_left;
    offered.push_back({id, image.model, image.next_rows(), image.submitted, work.job.priority,
                       work.origin.deadline, work.origin.client});
  }
  return offered;
}

PlannedStep::NewImage StepPlanner::Start(ImageId id, absl::Time now) {
  ImageRecord& image = *ledger_.images().Find(id);
  ledger_.images().Run(image, device_);
  image.started = now;
  const Work& work = ledger_.work(image.work);
  if (metrics_ != nullptr && !work.probe) {
    metrics_->ImageStarted(image.model, now - image.submitted);
  }
  PlannedStep::NewImage started{id, work.job.prototype, nullptr};
  started.task.seed += image.index;
  started.task.given = GivenTokens(work);
  if (started.task.given == nullptr) started.picture = work.picture;
  return started;
}

std::shared_ptr<const TokenPyramid> StepPlanner::GivenTokens(const Work& work) const {
  if (work.picture == nullptr || work.job.prototype.given != nullptr) {
    return work.job.prototype.given;
  }
  return picture_tokens_.Find(work.job.model, work.picture->digest);
}

// An image that finds its picture's tokens, or that of an image beside it, is a hit.
void StepPlanner::CountUploads(const PlannedStep& step) const {
  if (metrics_ == nullptr) return;
  std::set<std::string> to_tokenize;
  for (const PlannedStep::NewImage& image : step.admitted) {
    if (image.task.keep == nullptr) continue;
    const bool miss = image.picture != nullptr && to_tokenize.insert(image.picture->digest).second;
    metrics_->UploadLookedUp(step.model, /*hit=*/!miss);
  }
}

}  // namespace hmar
