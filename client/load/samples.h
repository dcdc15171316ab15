#ifndef HMAR_CLIENT_LOAD_SAMPLES_H_
#define HMAR_CLIENT_LOAD_SAMPLES_H_

// Measured values and their percentiles, in bounded memory. Pure.

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "client/load/schedule.h"

namespace hmar::load {

// What is left of samples once they are sorted. Plain data.
struct Distribution {
  uint64_t count = 0;  // Samples that were added.
  uint64_t kept = 0;   // Samples that the percentiles are of; less than count: a random choice.
  double p50 = 0;
  double p90 = 0;
  double p95 = 0;
  double p99 = 0;
  double max = 0;  // Of all that were added, kept or not.

  // (p, value) from p = 0 to that of the largest sample, 1 - 1 / kept, evenly in 1 / (1 - p)'s
  // logarithm: the curve of the tail. At most kCurvePoints; empty without samples.
  std::vector<std::pair<double, double>> curve = {};
};
inline constexpr size_t kCurvePoints = 65;

// Keeps up to `most` samples: percentiles are exact until there are more, then those of an evenly
// random choice of `most`, the same for the same samples in the same order. Not thread-safe.
class Samples {
 public:
  explicit Samples(size_t most) : most_(most) {}  // REQUIRES: most > 0

  void Add(double value);
  Distribution Summarize() const;

 private:
  const size_t most_;
  uint64_t count_ = 0;
  double max_ = 0;
  std::vector<double> kept_;
  Random random_{0};
};

// The smallest of the sorted values that at least a share of `p` of them does not exceed (nearest
// rank); 0 where there are none. `p` in [0, 1].
double Percentile(const std::vector<double>& sorted, double p);

}  // namespace hmar::load

#endif  // HMAR_CLIENT_LOAD_SAMPLES_H_
