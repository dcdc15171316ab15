#ifndef HMAR_SERVER_BASE_HOLDING_TIME_H_
#define HMAR_SERVER_BASE_HOLDING_TIME_H_

#include <algorithm>
#include <cstddef>

#include "absl/time/time.h"

namespace hmar {

// When what is held of a bound will have come back, as measured: for telling who is refused when to
// come again. By Little's law what is held over what comes back in a second is how long each part
// of it is held, so neither the parts nor their ages need to be known. What came back later counts
// more. Thread-compatible.
class HoldingTime {
 public:
  // `guess`: how long something is held, until that has been measured. `memory` (> 0): what came
  // back before so much more did counts half, or less.
  HoldingTime(size_t memory, absl::Duration guess)
      : memory_(static_cast<double>(memory)), returned_(memory_ / kGuessShare) {
    held_seconds_ = returned_ * absl::ToDoubleSeconds(guess);
  }

  // Until `now` so much was held, from now on `after` is. A time before the last is taken for it.
  void Change(size_t before, size_t after, absl::Time now) {
    if (last_ < now) {
      if (last_ > absl::InfinitePast()) {
        held_seconds_ += static_cast<double>(before) * absl::ToDoubleSeconds(now - last_);
      }
      last_ = now;
    }
    if (after < before) returned_ += static_cast<double>(before - after);
    if (returned_ <= memory_) return;
    held_seconds_ /= 2;
    returned_ /= 2;
  }

  // Until `amount` of what is held now, `held`, has come back: at most until all has.
  absl::Duration Until(size_t amount, size_t held) const {
    if (held == 0) return absl::ZeroDuration();
    const double share = std::min(1.0, static_cast<double>(amount) / static_cast<double>(held));
    return absl::Seconds(share * held_seconds_ / returned_);
  }

 private:
  static constexpr double kGuessShare = 64;  // The guess counts as so small a part of `memory`.

  const double memory_;
  double held_seconds_ = 0;
  double returned_;  // > 0.
  absl::Time last_ = absl::InfinitePast();
};

}  // namespace hmar

#endif  // HMAR_SERVER_BASE_HOLDING_TIME_H_
