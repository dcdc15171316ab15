#include "server/step_planner.h"

#include <utility>

namespace hmar {

std::optional<PlannedStep> StepPlanner::Plan(absl::Time now) {
  PlannedStep step;
  step.cancelled = ledger_.TakeReleases(now);
  TakeRetry(step);
  if (step.ids.empty()) TakeChoice(step, now);
  if (step.ids.empty() && step.cancelled.empty() && !step.await_pictures) return std::nullopt;

  ++steps_planned_;
  for (ImageId id : step.ids) ledger_.images().Find(id)->last_step = steps_planned_;
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
}

std::optional<StepChoice> StepPlanner::Choose(absl::Time now) const {
  std::vector<QueuedImage> queued;
  std::vector<RunningImage> running;
  for (const auto& [id, image] : ledger_.images()) {
    if (image.state == ImageState::kWaiting) {
      const Work& work = ledger_.work(image.work);
      queued.push_back({id, image.model, image.next_rows(), image.submitted, work.priority,
                        work.deadline, work.client});
    } else if (image.state == ImageState::kRunning) {
      running.push_back({id, image.model, image.next_rows(), image.last_step});
    }
  }
  std::vector<ModelSlots> models;
  for (size_t m = 0; m < options_.models.size(); ++m) {
    const ImageTable::Counts& counts = ledger_.images().counts(m);
    models.push_back(
        {options_.models[m].max_images - counts.running - counts.decoding, counts.decoding});
  }
  return ChooseStep({queued, running, models, options_.max_step_rows, now, last_model_});
}

PlannedStep::NewImage StepPlanner::Start(ImageId id, absl::Time now) {
  ImageRecord& image = *ledger_.images().Find(id);
  ledger_.images().SetState(image, ImageState::kRunning);
  image.started = now;
  if (metrics_ != nullptr) metrics_->ImageStarted(image.model, now - image.submitted);
  PlannedStep::NewImage started{id, ledger_.work(image.work).prototype};
  started.task.seed += image.index;
  return started;
}

}  // namespace hmar
