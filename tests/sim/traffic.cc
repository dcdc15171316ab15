#include "tests/sim/traffic.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "absl/strings/str_cat.h"

namespace hmar::sim {

double DrawExponential(double mean, load::Random& random) {
  return -mean * std::log1p(-random.NextUnit());
}

absl::Status CheckTraffic(const TrafficOptions& options) {
  const auto outside = [](const char* name, double value, const char* limits) {
    return absl::InvalidArgumentError(absl::StrCat(name, " is ", value, ", must be ", limits));
  };
  if (!(options.calls_per_second > 0 && options.calls_per_second < 1e9)) {
    return outside("the rate of calls", options.calls_per_second, "above 0 and below 1e9");
  }
  if (!(options.day_swing >= 0 && options.day_swing <= 1)) {
    return outside("the day's swing", options.day_swing, "0 to 1");
  }
  if (!(options.burst_times >= 1 && options.burst_times <= 1000)) {
    return outside("the rate in a burst, by the calm's,", options.burst_times, "1 to 1000");
  }
  if (!(options.burst_share > 0 && options.burst_share < 1)) {
    return outside("the bursts' share of time", options.burst_share, "above 0 and below 1");
  }
  if (options.day <= absl::ZeroDuration() || options.burst <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("a day and a burst must be longer than 0");
  }
  return absl::OkStatus();
}

RatePath::RatePath(const TrafficOptions& options, absl::Duration length, uint64_t seed)
    : options_(options) {
  const double share = options.burst_share;
  calm_ = options.calls_per_second / (1 + share * (options.burst_times - 1));
  peak_ = calm_ * options.burst_times * (1 + options.day_swing);
  if (options.burst_times == 1) return;
  load::Random random(seed);
  const double burst = absl::ToDoubleSeconds(options.burst);
  const double calm = burst * (1 - share) / share;
  for (absl::Duration at; at <= length;) {
    at += absl::Seconds(DrawExponential(turns_.size() % 2 == 0 ? calm : burst, random));
    turns_.push_back(at);
  }
}

bool RatePath::Bursts(absl::Duration time) const {
  return (std::upper_bound(turns_.begin(), turns_.end(), time) - turns_.begin()) % 2 == 1;
}

double RatePath::At(absl::Duration time) const {
  const double rate = Bursts(time) ? calm_ * options_.burst_times : calm_;
  const double angle = 2 * std::numbers::pi * absl::FDivDuration(time, options_.day);
  return rate * (1 - options_.day_swing * std::cos(angle));
}

absl::Duration ArrivalTimes::Next() {
  const double mean = 1 / (path_.peak() * share_);
  for (;;) {
    seconds_ += DrawExponential(mean, random_);
    const absl::Duration time = absl::Seconds(seconds_);
    if (random_.NextUnit() * path_.peak() < path_.At(time)) return time;
  }
}

}  // namespace hmar::sim
