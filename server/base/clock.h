#ifndef HMAR_SERVER_BASE_CLOCK_H_
#define HMAR_SERVER_BASE_CLOCK_H_

#include <chrono>

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

// Never set back or forward, whatever happens to the wall's time; its zero means nothing. For how
// long things take.
class SteadyClock final : public Clock {
 public:
  absl::Time Now() const override {
    return absl::UnixEpoch() +
           absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
  }
};

}  // namespace hmar

#endif  // HMAR_SERVER_BASE_CLOCK_H_
