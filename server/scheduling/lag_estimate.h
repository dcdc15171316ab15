#ifndef HMAR_SERVER_SCHEDULING_LAG_ESTIMATE_H_
#define HMAR_SERVER_SCHEDULING_LAG_ESTIMATE_H_

#include <cmath>

namespace hmar {

// What something that varies takes at most, nearly always: the smoothed mean and deviation of what
// was seen (as TCP times its retransmissions, RFC 6298, section 2). Thread-compatible.
class LagEstimate {
 public:
  void Observe(double value) {
    if (!seen_) {
      seen_ = true;
      mean_ = value;
      deviation_ = value / 2;
      return;
    }
    deviation_ += (std::abs(value - mean_) - deviation_) / 4;
    mean_ += (value - mean_) / 8;
  }

  // The mean and so many deviations; 0 before anything was seen.
  double Bound(double deviations) const { return mean_ + deviations * deviation_; }

 private:
  bool seen_ = false;
  double mean_ = 0;
  double deviation_ = 0;
};

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULING_LAG_ESTIMATE_H_
