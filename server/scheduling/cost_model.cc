#include "server/scheduling/cost_model.h"

#include <algorithm>
#include <cmath>

namespace hmar {
namespace {

constexpr double kDecay = 0.99;  // A step.

// Steps that a load takes: its images go in waves of as many as there are slots, each wave as many
// steps as an image has passes; more where the budget is the tighter bound.
double StepsOf(const ModelLoad& load) {
  const auto waves = static_cast<double>((load.images + load.slots - 1) / load.slots);
  return std::max(waves * load.passes, static_cast<double>(load.rows) / load.max_step_rows);
}

double SecondsOf(const ModelLoad& load, double steps) {
  return load.cost->seconds_per_step() * steps + load.cost->seconds_per_row() * load.rows;
}

}  // namespace

void CostModel::Observe(uint64_t rows, absl::Duration took, double weight) {
  const double x = static_cast<double>(rows);
  const double y = absl::ToDoubleSeconds(took);
  const double decay = std::pow(kDecay, weight);
  weight_ = decay * weight_ + weight;
  rows_ = decay * rows_ + weight * x;
  seconds_ = decay * seconds_ + weight * y;
  rows_squared_ = decay * rows_squared_ + weight * x * x;
  rows_seconds_ = decay * rows_seconds_ + weight * x * y;
  line_ = Fit();
}

CostModel::Line CostModel::Fit() const {
  if (rows_ == 0) return {seconds_ / weight_, 0};
  const Line through_origin{0, rows_seconds_ / rows_squared_};
  const double variance = rows_squared_ - rows_ * rows_ / weight_;
  const double covariance = rows_seconds_ - rows_ * seconds_ / weight_;
  // Steps of one size cannot tell the two costs apart.
  if (variance <= 1e-9 * rows_squared_) return through_origin;
  const double slope = std::max(0.0, covariance / variance);
  const double intercept = (seconds_ - slope * rows_) / weight_;
  return intercept < 0 ? through_origin : Line{intercept, slope};
}

LoadEstimate EstimateLoad(absl::Span<const ModelLoad> loads, size_t model) {
  const double own_steps = StepsOf(loads[model]);
  const double own_seconds = SecondsOf(loads[model], own_steps);
  double seconds = own_seconds;
  for (size_t m = 0; m < loads.size(); ++m) {
    if (m == model || loads[m].images == 0) continue;
    const double steps = StepsOf(loads[m]);
    const double share = steps > own_steps ? own_steps / steps : 1;
    seconds += share * SecondsOf(loads[m], steps);
  }
  return {absl::Seconds(seconds), own_seconds};
}

}  // namespace hmar
