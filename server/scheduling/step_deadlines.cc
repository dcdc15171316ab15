#include "server/scheduling/step_deadlines.h"

#include <algorithm>
#include <optional>
#include <set>

namespace hmar {

void StepDeadlines::Apply(PlannedStep& step, absl::Time now) {
  const bool minds = std::any_of(step.ids.begin(), step.ids.end(), [this](ImageId id) {
    const ImageRecord& image = *ledger_.images().Find(id);
    return image.on_deadline != OnDeadline::kFail && image.answer_by < absl::InfiniteFuture();
  });
  if (!minds) return;
  FailTheLate(step, now);
  EndEarly(step, now);
  Postpone(step, now);
}

StepDeadlines::Pressed StepDeadlines::Find(const PlannedStep& step, OnDeadline on_deadline,
                                           absl::Time from) const {
  Pressed pressed;
  for (const ImageId id : step.ids) {
    ImageRecord& image = *ledger_.images().Find(id);
    if (image.on_deadline != on_deadline || image.answer_by == absl::InfiniteFuture()) continue;
    if (image.next_rows() > 0) pressed.emplace_back(&image, image.answer_by - from);
  }
  std::sort(pressed.begin(), pressed.end(), [](const auto& a, const auto& b) {
    return std::pair(a.second, a.first->id) < std::pair(b.second, b.first->id);
  });
  return pressed;
}

// With the time that each has left.
std::vector<std::pair<absl::Duration, WorkId>> StepDeadlines::Late(const PlannedStep& step,
                                                                   absl::Time now) const {
  std::vector<std::pair<absl::Duration, WorkId>> late;
  const absl::Time gone = now + pricing_.TimeToClient(device_, step.model);
  if (const Pressed pressed = Find(step, OnDeadline::kRefuse, gone); !pressed.empty()) {
    const StepForecast forecast = Forecast(step);
    for (const auto& [image, left] : pressed) {
      const size_t passes_left = image->passes->size() - image->next_pass;
      if (forecast.Expected(passes_left, 1) > left) late.emplace_back(left, image->work);
    }
  }
  // Whoever else could end with the step can be postponed.
  const absl::Duration shortest =
      CostOf(step.model, step.ids).forward + pricing_.DecodingTime(device_, step.model, 1);
  for (const auto& [image, left] : Find(step, OnDeadline::kDegrade, gone)) {
    if (shortest > left) late.emplace_back(left, image->work);
  }
  return late;
}

// So that their time goes to those who can still be in time; else whoever has waited longest would
// always go first, and all be late by a little. Somebody goes on, though: who is alone is in
// nobody's way, and what is never run is never measured anew.
void StepDeadlines::FailTheLate(PlannedStep& step, absl::Time now) {
  const std::vector<std::pair<absl::Duration, WorkId>> late = Late(step, now);
  if (late.empty()) return;
  std::set<WorkId> fail;
  for (const auto& [left, work] : late) fail.insert(work);
  const auto fails = [&](ImageId id) { return fail.contains(ledger_.images().Find(id)->work); };
  if (std::all_of(step.ids.begin(), step.ids.end(), fails)) {
    fail.erase(std::max_element(late.begin(), late.end())->second);
  }
  const auto leaves = [&](const PlannedStep::NewImage& image) { return fails(image.id); };
  std::erase_if(step.admitted, leaves);
  std::erase_if(step.ids, fails);
  for (const WorkId work : fail) ledger_.FailUnreachable(work, now);
  for (const auto& released : ledger_.TakeReleases(device_, now)) {
    step.cancelled.push_back(released);
  }
}

// Who has the least time is asked first: whoever ends with this step makes it longer by a picture,
// who ends later has it decoded before those that are due after it.
void StepDeadlines::EndEarly(PlannedStep& step, absl::Time now) {
  const Pressed pressed =
      Find(step, OnDeadline::kDegrade, now + pricing_.MostTimeToClient(device_, step.model));
  if (pressed.empty()) return;
  StepForecast forecast = Forecast(step);
  uint32_t due_before = 0;
  for (const auto& [image, left] : pressed) {
    const uint32_t pictures = image->next_pictures();
    const std::optional<uint32_t> scales = ScalesInTime(
        *image->passes, image->next_pass, image->num_scales, left, due_before, forecast);
    if (scales) {
      ledger_.images().Truncate(*image, *scales, options_.models()[step.model].config,
                                ledger_.work(image->work).job.prototype.sampling);
      step.truncated.emplace_back(image->id, *scales);
      forecast.AddPictures(image->next_pictures() - pictures);
    }
    if (image->next_pass + 1 < image->passes->size()) ++due_before;
  }
}

void StepDeadlines::Postpone(PlannedStep& step, absl::Time now) const {
  Pressed ends =
      Find(step, OnDeadline::kDegrade, now + pricing_.MostTimeToClient(device_, step.model));
  std::erase_if(ends, [](const auto& entry) {
    return entry.first->next_pass + 1 < entry.first->passes->size();
  });
  if (ends.size() < 2) return;
  std::vector<absl::Duration> left;
  for (const auto& [image, its] : ends) left.push_back(its);
  const double pace = pricing_.Pace(device_, step.model);
  const absl::Duration picture = pricing_.DecodingTime(device_, step.model, 1);
  const absl::Duration forward =
      CostOf(step.model, step.ids).all() - static_cast<double>(ends.size()) * picture;
  std::set<ImageId> later;
  for (size_t i = EndsOfStep(left, pace * forward, pace * picture); i < ends.size(); ++i) {
    later.insert(ends[i].first->id);
  }
  std::erase_if(step.ids, [&later](ImageId id) { return later.contains(id); });
}

StepForecast StepDeadlines::Forecast(const PlannedStep& step) const {
  const ImageTable& images = ledger_.images();
  absl::Duration between;
  for (size_t model = 0; model < options_.models().size(); ++model) {
    const std::set<ImageId>& running = images.held(device_, model).running;
    if (model == step.model || running.empty()) continue;
    // A step of theirs takes no longer than a full one.
    const Cost all = CostOf(model, running);
    const absl::Duration full =
        pricing_.ForwardTime(device_, model, options_.StepRows(device_, model));
    between += std::min(all.forward, full) + all.decoding;
  }
  StepForecast forecast(CostOf(step.model, step.ids).all(), between,
                        pricing_.Pace(device_, step.model), &pricing_.cost(device_, step.model),
                        options_.StepRows(device_, step.model));
  for (const ImageId id : images.held(device_, step.model).running) {
    const ImageRecord& image = *images.Find(id);
    forecast.Add(absl::MakeConstSpan(*image.passes).subspan(image.next_pass),
                 image.full_previews.get());
  }
  if (images.waiting(step.model) > 0) forecast.Refill();
  return forecast;
}

}  // namespace hmar
