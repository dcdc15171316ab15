#include "server/scheduling/early_end.h"

#include <algorithm>
#include <numeric>

namespace hmar {

StepForecast::StepForecast(absl::Duration planned, absl::Duration between, double pace,
                           const CostModel* cost, uint32_t max_step_rows)
    : planned_(planned),
      between_(between),
      pace_(pace),
      cost_(*cost),
      max_step_rows_(max_step_rows) {}

void StepForecast::Add(absl::Span<const Pass> left) {
  if (left.size() > rows_.size()) {
    rows_.resize(left.size());
    images_.resize(left.size());
  }
  for (size_t i = 0; i < left.size(); ++i) {
    rows_[i] += left[i].rows();
    ++images_[i];
  }
}

void StepForecast::Refill() {
  if (rows_.empty()) return;
  const double rows = std::accumulate(rows_.begin(), rows_.end(), 0.0);
  const double passes = std::accumulate(images_.begin(), images_.end(), 0.0);
  for (size_t i = 0; i < rows_.size(); ++i) rows_[i] += (images_[0] - images_[i]) * rows / passes;
}

// Where the images' passes do not fit one step, each waits for its turn.
absl::Duration StepForecast::StepTime(double rows) const {
  const double steps = std::max(1.0, rows / max_step_rows_);
  return absl::Seconds(steps * cost_.Seconds(std::min(rows, max_step_rows_))) + between_;
}

absl::Duration StepForecast::Expected(size_t passes) const {
  absl::Duration until = planned_;
  for (size_t i = 1; i < passes; ++i) {
    until += StepTime(i < rows_.size() ? rows_[i] : 0);
  }
  return until;
}

std::optional<uint32_t> ScalesInTime(absl::Span<const Pass> plan, size_t next_pass,
                                     uint32_t num_scales, absl::Duration left,
                                     const StepForecast& forecast) {
  const size_t passes_left = plan.size() - next_pass;
  if (passes_left == 1 || forecast.AtMost(passes_left) <= left) return std::nullopt;
  if (forecast.AtMost(2) > left) return plan[next_pass].scale + 1;
  const bool has_mask_passes = std::any_of(plan.begin() + next_pass + 1, plan.end(),
                                           [](const Pass& pass) { return pass.step > 0; });
  return has_mask_passes ? std::optional(num_scales) : std::nullopt;
}

}  // namespace hmar
