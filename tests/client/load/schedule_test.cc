#include "client/load/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace hmar::load {
namespace {

std::vector<absl::Duration> Times(Arrivals arrivals, double rate, uint64_t seed, int calls) {
  Schedule schedule(arrivals, rate, seed);
  std::vector<absl::Duration> times;
  for (int i = 0; i < calls; ++i) times.push_back(schedule.Next());
  return times;
}

TEST(ScheduleTest, ConstantArrivalsKeepTheirGapWithoutDrift) {
  const auto times = Times(Arrivals::kConstant, 3, 0, 3'000'001);
  EXPECT_EQ(times[0], absl::ZeroDuration());
  EXPECT_NEAR(absl::ToDoubleSeconds(times[1]), 1.0 / 3, 1e-9);
  EXPECT_NEAR(absl::ToDoubleSeconds(times[3'000'000]), 1e6, 1e-6);
}

TEST(ScheduleTest, TheSameSeedGivesTheSamePoissonTimesAndAnotherGivesOthers) {
  const auto times = Times(Arrivals::kPoisson, 10, 7, 1000);
  EXPECT_EQ(times, Times(Arrivals::kPoisson, 10, 7, 1000));
  EXPECT_NE(times, Times(Arrivals::kPoisson, 10, 8, 1000));
}

TEST(ScheduleTest, PoissonTimesRiseAtTheRateWithExponentialGaps) {
  constexpr int kCalls = 200'000;
  const auto times = Times(Arrivals::kPoisson, 50, 1, kCalls);
  double squares = 0;
  int above_mean = 0;
  for (int i = 1; i < kCalls; ++i) {
    const double gap = 50 * absl::ToDoubleSeconds(times[i] - times[i - 1]);
    ASSERT_GE(gap, 0);
    squares += gap * gap;
    above_mean += gap > 1 ? 1 : 0;
  }
  // A mean of 1, a mean square of 2, a share of 1/e above the mean: five standard errors.
  EXPECT_NEAR(50 * absl::ToDoubleSeconds(times.back()) / kCalls, 1, 5 / std::sqrt(kCalls));
  EXPECT_NEAR(squares / kCalls, 2, 5 * std::sqrt(20.0 / kCalls));
  EXPECT_NEAR(above_mean / double{kCalls}, std::exp(-1.0), 5 * 0.5 / std::sqrt(kCalls));
}

}  // namespace
}  // namespace hmar::load
