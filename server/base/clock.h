#ifndef HMAR_SERVER_BASE_CLOCK_H_
#define HMAR_SERVER_BASE_CLOCK_H_

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace hmar {

// Where every part of the server reads the time, so that tests can move it by hand. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;
};

class RealClock final : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }
};

}  // namespace hmar

#endif  // HMAR_SERVER_BASE_CLOCK_H_
