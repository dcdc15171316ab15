#ifndef HMAR_TESTS_SIM_TRAFFIC_H_
#define HMAR_TESTS_SIM_TRAFFIC_H_

// When calls come.

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/load/schedule.h"

namespace hmar::sim {

struct TrafficOptions {
  // Mean over a whole day and over bursts, of all zones together. Times are Poisson's at whatever
  // the rate is just then.
  double calls_per_second = 1;

  // A day: the rate swings by so much of its mean (0: not, 1: down to nothing), lowest at the
  // start.
  double day_swing = 0;
  absl::Duration day = absl::Hours(24);

  // Bursts (a Markov-modulated Poisson process of two states): the rate is so many times that of
  // the calm (1: no bursts), for so long in the mean, which is this part of all time.
  double burst_times = 1;
  absl::Duration burst = absl::Seconds(30);
  double burst_share = 0.1;

  // A closed loop in place of all this, if above 0: so many calls are open in each zone; one ends,
  // the next is sent.
  uint32_t open_calls = 0;
};

// INVALID_ARGUMENT names the option, its value and the limit.
absl::Status CheckTraffic(const TrafficOptions& options);

// The rate of calls over a time that begins at 0. A pure function of its arguments, so that every
// zone sees the same bursts. Thread-safe.
class RatePath {
 public:
  RatePath(const TrafficOptions& options, absl::Duration length, uint64_t seed);

  // Calls a second, of all zones.
  double At(absl::Duration time) const;
  // The most that At says.
  double peak() const { return peak_; }

 private:
  bool Bursts(absl::Duration time) const;

  const TrafficOptions options_;
  double calm_ = 0;  // Rate, without the day's swing.
  double peak_ = 0;
  std::vector<absl::Duration> turns_;  // Where bursts begin and end, in turns.
};

// Poisson arrivals along a path, by thinning (Lewis, Shedler: "Simulation of Nonhomogeneous Poisson
// Processes by Thinning", 1979). Thread-compatible.
class ArrivalTimes {
 public:
  // `share`: of the path's rate, in (0, 1]. `path` outlives it.
  ArrivalTimes(const RatePath* path, double share, uint64_t seed)
      : path_(*path), share_(share), random_(seed) {}

  absl::Duration Next();

 private:
  const RatePath& path_;
  const double share_;
  load::Random random_;
  double seconds_ = 0;  // Of the last one.
};

// Exponential, of this mean.
double DrawExponential(double mean, load::Random& random);

}  // namespace hmar::sim

#endif  // HMAR_TESTS_SIM_TRAFFIC_H_
