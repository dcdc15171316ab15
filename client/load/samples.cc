#include "client/load/samples.h"

#include <algorithm>
#include <cmath>

namespace hmar::load {
namespace {

std::vector<std::pair<double, double>> Curve(const std::vector<double>& sorted) {
  std::vector<std::pair<double, double>> curve;
  const double decades = std::log10(static_cast<double>(sorted.size()));
  const size_t points = sorted.size() == 1 ? 1 : kCurvePoints;
  for (size_t i = 0; i < points; ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(kCurvePoints - 1);
    const double p = 1 - std::pow(10.0, -decades * share);
    // The value that a share of 1 - p exceeds or equals: for the last point the largest sample.
    const auto rank = static_cast<size_t>(std::lround(p * static_cast<double>(sorted.size())));
    curve.emplace_back(p, sorted[std::min(rank, sorted.size() - 1)]);
  }
  return curve;
}

}  // namespace

double Percentile(const std::vector<double>& sorted, double p) {
  if (sorted.empty()) return 0;
  // A share such as 0.95 is a little more or less than it says: a rank is not to be missed by that.
  const double rank = std::ceil(p * static_cast<double>(sorted.size()) - 1e-9);
  const auto index = static_cast<size_t>(std::max(rank, 1.0)) - 1;
  return sorted[std::min(index, sorted.size() - 1)];
}

void Samples::Add(double value) {
  max_ = count_ == 0 ? value : std::max(max_, value);
  ++count_;
  if (kept_.size() < most_) {
    kept_.push_back(value);
    return;
  }
  const uint64_t place = random_.Next() % count_;  // Algorithm R: each sample stays as likely.
  if (place < most_) kept_[place] = value;
}

Distribution Samples::Summarize() const {
  Distribution summary{.count = count_, .kept = kept_.size()};
  if (kept_.empty()) return summary;
  std::vector<double> sorted = kept_;
  std::sort(sorted.begin(), sorted.end());
  summary.p50 = Percentile(sorted, 0.50);
  summary.p90 = Percentile(sorted, 0.90);
  summary.p95 = Percentile(sorted, 0.95);
  summary.p99 = Percentile(sorted, 0.99);
  summary.max = max_;
  summary.curve = Curve(sorted);
  return summary;
}

}  // namespace hmar::load
