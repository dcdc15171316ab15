#include "server/scheduling/early_end.h"

#include <algorithm>

#include "server/scheduling/side_work.h"

namespace hmar {

StepForecast::StepForecast(absl::Duration planned, absl::Duration between, double pace,
                           const CostModel* cost, uint32_t max_step_rows)
    : planned_(planned),
      between_(between),
      picture_(absl::Seconds(cost->picture_seconds())),
      pace_(pace),
      cost_(*cost),
      max_step_rows_(max_step_rows) {}

void StepForecast::Add(absl::Span<const Pass> left, const std::vector<bool>* full_previews) {
  next_.resize(std::max(next_.size(), left.size()));
  for (size_t i = 0; i < left.size(); ++i) {
    next_[i].rows += left[i].rows();
    next_[i].previews += LeavesFullPreview(left[i], full_previews) ? 1 : 0;
    next_[i].ends += i + 1 == left.size() ? 1 : 0;
    ++next_[i].images;
  }
}

void StepForecast::Refill() {
  Passes all;
  for (const Passes& passes : next_) {
    all.rows += passes.rows;
    all.previews += passes.previews;
    all.ends += passes.ends;
    all.images += passes.images;
  }
  for (Passes& passes : next_) {
    const double share = static_cast<double>(next_[0].images - passes.images) / all.images;
    passes.rows += share * all.rows;
    passes.previews += share * all.previews;
    passes.ends += share * all.ends;
  }
}

// Where the images' passes do not fit one step, each waits for its turn.
absl::Duration StepForecast::TimeOf(const Passes& passes) const {
  const double steps = std::max(1.0, passes.rows / max_step_rows_);
  return absl::Seconds(steps * cost_.Seconds(std::min(passes.rows, max_step_rows_))) +
         passes.previews * picture_ + between_;
}

absl::Duration StepForecast::Expected(size_t passes, double pictures) const {
  absl::Duration until = planned_;
  double ends = 0;
  for (size_t i = 1; i < passes; ++i) {
    const Passes of_all = i < next_.size() ? next_[i] : Passes();
    until += TimeOf(of_all);
    ends += of_all.ends;
  }
  return until + std::max(ends, pictures) * picture_;
}

std::optional<uint32_t> ScalesInTime(absl::Span<const Pass> plan, size_t next_pass,
                                     uint32_t num_scales, absl::Duration left, uint32_t due_before,
                                     const StepForecast& forecast) {
  const size_t passes_left = plan.size() - next_pass;
  if (passes_left == 1 || forecast.AtMost(passes_left, due_before + 1) <= left) return std::nullopt;
  if (forecast.AtMost(2, due_before + 1) > left) return plan[next_pass].scale + 1;
  const bool has_mask_passes = std::any_of(plan.begin() + next_pass + 1, plan.end(),
                                           [](const Pass& pass) { return pass.step > 0; });
  return has_mask_passes ? std::optional(num_scales) : std::nullopt;
}

size_t EndsOfStep(absl::Span<const absl::Duration> left, absl::Duration forward,
                  absl::Duration picture) {
  size_t late = 0;
  while (late < left.size() && left[late] < forward + static_cast<double>(late + 1) * picture) {
    ++late;
  }
  if (late == left.size() || picture <= absl::ZeroDuration()) return left.size();
  const double fit = absl::FDivDuration(left[late] - forward, picture);
  return fit >= static_cast<double>(left.size()) ? left.size() : static_cast<size_t>(fit);
}

}  // namespace hmar
