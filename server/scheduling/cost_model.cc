#include "server/scheduling/cost_model.h"

#include <algorithm>
#include <bit>

namespace hmar {
namespace {

// Steps that a class remembers.
constexpr double kMostWeight = 20;

// What a step takes off the weights of all classes: so that where an old class and a new one
// contradict each other the new one is right. What nobody contradicts stays.
constexpr double kForgetting = 0.01;
constexpr double kLeastWeight = 1e-6;

// How much the decoder's own time counts for what a picture adds: as so many steps that had one
// more than others of their rows.
constexpr double kDecoderCounts = 10;

// Steps that a load takes: its images go in waves of as many as there are slots, each wave as many
// steps as an image has passes; more where the budget is the tighter bound.
double StepsOf(const ModelLoad& load) {
  const uint64_t waves = (uint64_t{load.images} + load.slots - 1) / load.slots;
  return std::max(static_cast<double>(waves * load.passes),
                  static_cast<double>(load.rows) / load.max_step_rows);
}

double SecondsOf(const ModelLoad& load, double steps) {
  const CostModel& cost = *load.cost;
  const double beside =
      load.pictures * cost.picture_seconds() + load.uploads * cost.upload_seconds();
  return steps == 0 ? beside
                    : beside + steps * cost.Seconds(static_cast<double>(load.rows) / steps);
}

}  // namespace

void CostModel::Observe(const MeasuredStep& step, double weight) {
  for (Class& other : classes_) {
    if (other.weight > 0) {
      other.weight = std::max(kLeastWeight, other.weight * (1 - kForgetting * weight));
    }
  }
  Add(step, weight, &classes_[std::min<size_t>(std::bit_width(step.rows), kClasses - 1)]);
  if (step.pictures > 0) {
    decoder_.Add(absl::ToDoubleSeconds(step.decoding) / step.pictures, weight);
  }
  FitPictures();
  FitRows();
}

void CostModel::ObserveUploads(uint32_t pictures, absl::Duration took, double weight) {
  if (pictures > 0) uploads_.Add(absl::ToDoubleSeconds(took) / pictures, weight);
}

void CostModel::Mean::Add(double more, double its_weight) {
  weight = std::min(weight, kMostWeight) + its_weight;
  seconds += its_weight / weight * (more - seconds);
}

void CostModel::Add(const MeasuredStep& step, double weight, Class* steps) {
  steps->weight = std::min(steps->weight, kMostWeight) + weight;
  const double newest = weight / steps->weight;
  const double rows = static_cast<double>(step.rows) - steps->rows;
  const double pictures = step.pictures - steps->pictures;
  const double seconds = absl::ToDoubleSeconds(step.took) - steps->seconds;
  steps->rows += newest * rows;
  steps->pictures += newest * pictures;
  steps->seconds += newest * seconds;
  const auto add = [newest](double a, double b, double* moment) {
    *moment = (1 - newest) * (*moment + newest * a * b);
  };
  add(rows, rows, &steps->rows_rows);
  add(rows, pictures, &steps->rows_pictures);
  add(pictures, pictures, &steps->pictures_pictures);
  add(rows, seconds, &steps->rows_seconds);
  add(pictures, seconds, &steps->pictures_seconds);
}

// Least squares of the seconds over rows and pictures, each class with a constant of its own.
void CostModel::FitPictures() {
  const double most = decoder_.seconds;
  double rr = 0, rp = 0, pp = kDecoderCounts, rs = 0, ps = kDecoderCounts * most;
  for (const Class& steps : classes_) {
    rr += steps.weight * steps.rows_rows;
    rp += steps.weight * steps.rows_pictures;
    pp += steps.weight * steps.pictures_pictures;
    rs += steps.weight * steps.rows_seconds;
    ps += steps.weight * steps.pictures_seconds;
  }
  const double alike = rr > 0 ? rp / rr : 0;  // Pictures that come with a row.
  const double left = pp - alike * rp;        // Of `pp`; at least kDecoderCounts.
  picture_seconds_ = std::clamp((ps - alike * rs) / left, 0.0, most);
}

// Pool adjacent violators: Barlow, Bartholomew, Bremner, Brunk, "Statistical Inference under Order
// Restrictions", 1972, section 1.2.
void CostModel::FitRows() {
  curve_.clear();
  for (const Class& steps : classes_) {
    if (steps.weight == 0) continue;
    curve_.push_back({steps.weight, steps.rows,
                      std::max(0.0, steps.seconds - picture_seconds_ * steps.pictures)});
    while (curve_.size() > 1 && curve_.back().seconds < curve_[curve_.size() - 2].seconds) {
      const Point last = curve_.back();
      curve_.pop_back();
      Point& pool = curve_.back();
      const double share = last.weight / (pool.weight + last.weight);
      pool.seconds += share * (last.seconds - pool.seconds);
      pool.rows += share * (last.rows - pool.rows);
      pool.weight += last.weight;
    }
  }
}

double CostModel::SlopeBelow() const {
  if (curve_.size() == 1) return curve_[0].rows == 0 ? 0 : curve_[0].seconds / curve_[0].rows;
  return (curve_[1].seconds - curve_[0].seconds) / (curve_[1].rows - curve_[0].rows);
}

// From end to end: the last two alone may be two noises.
double CostModel::SlopeAbove() const {
  if (curve_.size() == 1) return SlopeBelow();
  return (curve_.back().seconds - curve_[0].seconds) / (curve_.back().rows - curve_[0].rows);
}

double CostModel::Seconds(double rows) const {
  if (curve_.empty()) return 0;
  const Point& first = curve_.front();
  const Point& last = curve_.back();
  if (rows <= first.rows) return std::max(0.0, first.seconds - SlopeBelow() * (first.rows - rows));
  if (rows >= last.rows) return last.seconds + SlopeAbove() * (rows - last.rows);
  const auto above = std::upper_bound(curve_.begin(), curve_.end(), rows,
                                      [](double r, const Point& point) { return r < point.rows; });
  const Point& below = *std::prev(above);
  const double part = (rows - below.rows) / (above->rows - below.rows);
  return below.seconds + part * (above->seconds - below.seconds);
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
