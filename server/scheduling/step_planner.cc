#include "server/scheduling/step_planner.h"

#include <algorithm>
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
  deadlines_.Apply(step, now);
  for (ImageId id : step.ids) ledger_.images().Find(id)->last_step = steps_planned_;
  const StepDeadlines::Cost cost = deadlines_.CostOf(step.model, step.ids);
  step.expected = cost.all();
  ledger_.images().Charge(step.ids, cost.forward, cost.decoding);
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

size_t StepPlanner::Situation::Index(const ImageRecord& image) {
  const auto [found, is_new] = index_of.emplace(image.flow, flows.size());
  if (is_new) {
    flows.push_back({image.flow->tag, image.flow->weight});
    parties.push_back({image.flow, image.model, image.priority});
  }
  return found->second;
}

void StepPlanner::TakeChoice(PlannedStep& step, absl::Time now) {
  Situation situation = Look();
  NoteCompany(situation, now);
  std::optional<StepChoice> choice =
      options_.policy({situation.queued, situation.running, situation.flows, situation.priorities,
                       situation.models, options_.max_step_rows, options_.aging, last_model_});
  if (!choice) return;
  last_model_ = step.model = choice->model;
  step.ids = std::move(choice->running);
  for (ImageId id : choice->admitted) {
    step.admitted.push_back(Start(id, now));
    step.ids.push_back(id);
  }
  step.await_pictures = step.ids.empty();
  if (!step.ids.empty()) Lead(step, *situation.parties[choice->leader].flow);
  CountUploads(step);
}

void StepPlanner::Lead(const PlannedStep& step, const Flow& leader) {
  for (ImageId id : step.ids) {
    const ImageRecord& image = *ledger_.images().Find(id);
    if (image.flow != &leader) continue;
    return ledger_.images().queue(image.model, image.priority).Lead(leader);
  }
}

StepPlanner::Situation StepPlanner::Look() const {
  Situation situation;
  for (size_t model = 0; model < options_.models().size(); ++model) {
    situation.models.push_back(StateOf(model));
  }
  LookAtRunning(situation);
  LookAtPriorities(situation);
  LookAtWaiting(situation);
  return situation;
}

ModelState StepPlanner::StateOf(size_t model) const {
  const ImageTable::Held& held = ledger_.images().held(device_, model);
  ModelState state;
  state.free_slots = options_.devices[device_][model].max_images - held.total();
  state.pictures_due = static_cast<uint32_t>(held.decoding.size());
  state.max_step_rows = options_.StepRows(device_, model);
  state.reserved_slots = options_.ReservedSlots(device_, model);
  state.cost = &pricing_.cost(device_, model);
  return state;
}

void StepPlanner::LookAtRunning(Situation& situation) const {
  for (size_t model = 0; model < situation.models.size(); ++model) {
    for (ImageId id : ledger_.images().held(device_, model).running) {
      const ImageRecord& image = *ledger_.images().Find(id);
      situation.running.push_back({id, model, image.next_rows(), image.last_step, image.priority,
                                   situation.Index(image), image.next_pictures()});
    }
  }
}

void StepPlanner::NoteCompany(Situation& situation, absl::Time now) {
  for (const auto& [flow, model, priority] : situation.parties) {
    company_[model].See(priority, flow->principal, now);
  }
  for (size_t i = 0; i < situation.flows.size(); ++i) {
    const auto& [flow, model, priority] = situation.parties[i];
    situation.flows[i].company = company_[model].Had(priority, flow->principal, now);
  }
}

// The oldest of those that wait or run here.
void StepPlanner::LookAtPriorities(Situation& situation) const {
  const ImageTable& images = ledger_.images();
  std::map<std::pair<size_t, int>, absl::Time> oldest;
  const auto look_at = [&](const ImageRecord& image) {
    absl::Time& time =
        oldest.try_emplace({image.model, image.priority}, image.submitted).first->second;
    time = std::min(time, image.submitted);
  };
  for (const RunningImage& image : situation.running) look_at(*images.Find(image.id));
  for (size_t model = 0; model < situation.models.size(); ++model) {
    for (const auto& [priority, queue] : images.priorities(model)) {
      if (queue.waiting() > 0) look_at(*images.Find(queue.oldest()));
    }
  }
  for (const auto& [key, time] : oldest) {
    situation.priorities.push_back({key.first, key.second, time});
  }
}

void StepPlanner::LookAtWaiting(Situation& situation) const {
  const ImageTable& images = ledger_.images();
  std::optional<Placement> placement;  // Where there is a choice.
  if (options_.devices.size() > 1 && images.waiting() > 0) placement = pricing_.Running(images);
  Pictures to_tokenize;
  for (size_t model = 0; model < situation.models.size(); ++model) {
    if (situation.models[model].free_slots == 0) continue;
    for (const int priority : PriorityOrder(situation.priorities, model, options_.aging)) {
      LookAtQueue(images.priorities(model).at(priority), model, placement ? &*placement : nullptr,
                  to_tokenize, situation);
    }
  }
}

void StepPlanner::LookAtQueue(const FairQueue& queue, size_t model, Placement* placement,
                              Pictures& to_tokenize, Situation& situation) const {
  uint32_t slots_left = situation.models[model].free_slots;
  size_t reach = Reach(model);
  queue.Walk([&](ImageId id, Flow*) {
    const ImageRecord& image = *ledger_.images().Find(id);
    const bool ours = placement == nullptr || Pricing::Place(image, placement) == device_;
    if (ours && MayTokenize(image, to_tokenize)) {
      situation.queued.push_back({id, model, image.next_rows(), image.priority,
                                  situation.Index(image), image.next_pictures()});
      --slots_left;
    }
    return --reach > 0 && slots_left > 0;
  });
}

// A device takes what other devices will not do first. They take theirs from the front of the queue
// too, a fast one many for each of a slow one's.
size_t StepPlanner::Reach(size_t model) const {
  constexpr size_t kReach = 4;
  size_t slots = 0;
  for (const std::vector<EngineInfo>& device : options_.devices) slots += device[model].max_images;
  return options_.devices.size() == 1 ? slots : kReach * slots;
}

bool StepPlanner::MayTokenize(const ImageRecord& image, Pictures& to_tokenize) const {
  const Work& work = ledger_.work(image.work);
  if (work.picture == nullptr || GivenTokens(work) != nullptr) return true;
  const std::pair<size_t, std::string> picture(image.model, work.picture->digest);
  if (to_tokenize.size() == kMaxPicturesOfStep && !to_tokenize.contains(picture)) return false;
  to_tokenize.insert(picture);
  return true;
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
