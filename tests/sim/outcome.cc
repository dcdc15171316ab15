#include "tests/sim/outcome.h"

#include <algorithm>
#include <cmath>

namespace hmar::sim {

void KindOutcome::Count(End end, double latency_seconds) {
  switch (end) {
    case End::kDone:
      ++done;
      latencies.push_back(static_cast<float>(latency_seconds));
      break;
    case End::kExpired:
      ++expired;
      break;
    case End::kRefused:
      ++refused;
      break;
    case End::kLost:
      ++lost;
      break;
  }
}

void KindOutcome::Add(const KindOutcome& more) {
  calls += more.calls;
  done += more.done;
  expired += more.expired;
  refused += more.refused;
  lost += more.lost;
  degraded_images += more.degraded_images;
  images += more.images;
  wasted_images += more.wasted_images;
  tries += more.tries;
  latencies.insert(latencies.end(), more.latencies.begin(), more.latencies.end());
}

double Quantile(std::vector<float>& values, double q) {
  if (values.empty()) return 0;
  const auto at = values.begin() + std::lround(q * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

double PartWithin(const std::vector<float>& values, double limit) {
  if (values.empty()) return 0;
  const auto within =
      std::count_if(values.begin(), values.end(), [limit](float value) { return value <= limit; });
  return static_cast<double>(within) / static_cast<double>(values.size());
}

}  // namespace hmar::sim
