#include "client/load/schedule.h"

#include <cmath>

namespace hmar::load {

uint64_t Random::Next() {
  state_ += 0x9E3779B97F4A7C15U;
  uint64_t mixed = state_;
  mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9U;
  mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBU;
  return mixed ^ (mixed >> 31);
}

double Random::NextUnit() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }

Schedule::Schedule(Arrivals arrivals, double calls_per_second, uint64_t seed)
    : arrivals_(arrivals), calls_per_second_(calls_per_second), random_(seed) {}

absl::Duration Schedule::Next() {
  if (arrivals_ == Arrivals::kConstant) {
    return absl::Seconds(static_cast<double>(calls_++) / calls_per_second_);
  }
  seconds_ += -std::log1p(-random_.NextUnit()) / calls_per_second_;
  return absl::Seconds(seconds_);
}

}  // namespace hmar::load
