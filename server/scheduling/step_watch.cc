#include "server/scheduling/step_watch.h"

#include <algorithm>

namespace hmar {

void StepWatch::Begin(size_t device, absl::Duration expected, absl::Time now) {
  const absl::Duration wanted =
      expected > absl::ZeroDuration() ? kFactor * expected : options_.unknown;
  steps_[device] = Step{now, std::max(options_.floor, wanted)};
}

void StepWatch::BeginAnew(absl::Time now) {
  for (std::optional<Step>& step : steps_) {
    if (step.has_value()) step->begun = now;
  }
}

std::optional<OverdueStep> StepWatch::Overdue(absl::Time now) const {
  std::optional<OverdueStep> worst;
  absl::Time earliest = now;
  for (size_t device = 0; device < steps_.size(); ++device) {
    const std::optional<Step>& step = steps_[device];
    if (!step.has_value() || step->deadline() > earliest) continue;
    earliest = step->deadline();
    worst = OverdueStep{device, now - step->begun, step->limit};
  }
  return worst;
}

absl::Time StepWatch::NextDeadline() const {
  absl::Time next = absl::InfiniteFuture();
  for (const std::optional<Step>& step : steps_) {
    if (step.has_value()) next = std::min(next, step->deadline());
  }
  return next;
}

absl::Duration StepWatch::UnderWay(size_t device, absl::Time now) const {
  return steps_[device].has_value() ? now - steps_[device]->begun : absl::ZeroDuration();
}

}  // namespace hmar
