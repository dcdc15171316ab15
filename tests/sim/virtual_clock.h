#ifndef HMAR_TESTS_SIM_VIRTUAL_CLOCK_H_
#define HMAR_TESTS_SIM_VIRTUAL_CLOCK_H_

#include "absl/time/time.h"
#include "server/base/clock.h"

namespace hmar::sim {

// The time of a simulation: it stands where its owner puts it. One thread at a time (a zone's), so
// it needs no lock where the tests' FakeClock has one: it is read several times a step.
class VirtualClock final : public Clock {
 public:
  absl::Time Now() const override { return now_; }
  // REQUIRES: not before Now().
  void MoveTo(absl::Time time) { now_ = time; }

 private:
  absl::Time now_ = absl::UnixEpoch();
};

}  // namespace hmar::sim

#endif  // HMAR_TESTS_SIM_VIRTUAL_CLOCK_H_
