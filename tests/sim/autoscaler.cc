#include "tests/sim/autoscaler.h"

#include <algorithm>
#include <cmath>

namespace hmar::sim {

uint32_t Autoscaler::Sync(absl::Time now, uint32_t current, uint32_t ready,
                          const Metrics& metrics) {
  if (asked_for_.empty()) asked_for_.emplace_back(absl::InfinitePast(), current);
  const uint32_t stable = Stabilize(now, current, Recommend(current, ready, metrics));
  const uint32_t next = std::clamp(std::clamp(stable, Least(now, current), Most(now, current)),
                                   options_.min_replicas, options_.max_replicas);
  asked_for_.emplace_back(now, next);
  const absl::Duration longest = std::max(options_.up_period, options_.down_period);
  // The last one before the period stays: it says what was asked for at its beginning.
  while (asked_for_.size() > 1 && asked_for_[1].first <= now - longest) asked_for_.pop_front();
  return next;
}

uint32_t Autoscaler::Recommend(uint32_t current, uint32_t ready, const Metrics& metrics) const {
  uint32_t most = 0;
  for (size_t i = 0; i < metrics.size(); ++i) {
    most = std::max(most, metrics[i]
                              ? RecommendBy(*metrics[i] / options_.targets[i].value, current, ready)
                              : current);
  }
  return most;
}

uint32_t Autoscaler::RecommendBy(double ratio, uint32_t current, uint32_t ready) const {
  if (std::abs(ratio - 1) <= options_.tolerance) return current;
  const double wanted = std::ceil(ratio * ready);
  return static_cast<uint32_t>(std::min<double>(wanted, options_.max_replicas));
}

// Down goes only what has been recommended for the whole window.
uint32_t Autoscaler::Stabilize(absl::Time now, uint32_t current, uint32_t recommended) {
  recommended_.emplace_back(now, recommended);
  while (recommended_.front().first <= now - options_.down_window) recommended_.pop_front();
  if (recommended >= current) return recommended;
  const auto highest =
      std::max_element(recommended_.begin(), recommended_.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  return std::min(current, highest->second);
}

uint32_t Autoscaler::Before(absl::Time then) const {
  uint32_t before = asked_for_.front().second;
  for (const auto& [time, replicas] : asked_for_) {
    if (time <= then) before = replicas;
  }
  return before;
}

uint32_t Autoscaler::Most(absl::Time now, uint32_t current) const {
  const uint32_t before = Before(now - options_.up_period);
  const double by_percent = std::ceil(before * (1 + options_.up_percent / 100));
  return std::max({current, static_cast<uint32_t>(by_percent), before + options_.up_pods});
}

uint32_t Autoscaler::Least(absl::Time now, uint32_t current) const {
  const uint32_t before = Before(now - options_.down_period);
  const double by_percent = std::floor(before * (1 - options_.down_percent / 100));
  const double by_pods = static_cast<double>(before) - options_.down_pods;
  return std::min(current, static_cast<uint32_t>(std::max(0.0, std::min(by_percent, by_pods))));
}

}  // namespace hmar::sim
