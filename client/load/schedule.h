#ifndef HMAR_CLIENT_LOAD_SCHEDULE_H_
#define HMAR_CLIENT_LOAD_SCHEDULE_H_

// When the calls of an open loop are due. Pure: the same arguments give the same times.

#include <cstdint>

#include "absl/time/time.h"

namespace hmar::load {

// Numbers that are the same on every machine and with every standard library (splitmix64). Not
// thread-safe.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next();
  double NextUnit();  // In [0, 1), of 53 bits.

 private:
  uint64_t state_;
};

enum class Arrivals {
  kPoisson,   // Gaps are exponential: callers that know nothing of each other.
  kConstant,  // All gaps are the same.
};

// The times at which calls are due, from the start of the load on. They never depend on how earlier
// calls fare. Not thread-safe.
class Schedule {
 public:
  // REQUIRES: `calls_per_second` is finite and positive. `seed` matters to kPoisson alone.
  Schedule(Arrivals arrivals, double calls_per_second, uint64_t seed);

  // Of the next call. kConstant: call i is due at i / rate, without rounding errors adding up.
  absl::Duration Next();

 private:
  const Arrivals arrivals_;
  const double calls_per_second_;
  Random random_;
  uint64_t calls_ = 0;
  double seconds_ = 0;  // Of the last one; kPoisson.
};

}  // namespace hmar::load

#endif  // HMAR_CLIENT_LOAD_SCHEDULE_H_
