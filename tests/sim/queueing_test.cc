// The simulator against what queueing theory knows in closed form.

#include <cmath>

#include "tests/sim/sim_fixture.h"

namespace hmar::sim {
namespace {

// Pollaczek and Khinchine: the mean wait of M/D/1 is rho s / (2 (1 - rho)).
TEST(QueueingTest, OneImageAtATimeWaitsAsMD1) {
  for (const double rho : {0.3, 0.6, 0.8}) {
    const double service = 0.01;
    const FleetResult result =
        ResultOf(OptionsOf(OneAtATime(service), rho / service, absl::Minutes(20)));
    const double wait = Mean(result.kinds[0].latencies) - service;
    EXPECT_NEAR(wait, rho * service / (2 * (1 - rho)), 0.06 * wait) << "at rho " << rho;
    EXPECT_NEAR(result.use.busy_seconds / result.seconds, rho, 0.01);
  }
}

// L = lambda W, with what is in the system sampled at the autoscaler's looks.
TEST(QueueingTest, LittlesLawHolds) {
  FleetOptions options = OptionsOf(OneAtATime(0.01), 80, absl::Minutes(20));
  options.autoscaler.sync = absl::Milliseconds(137);  // No multiple of a service.
  const FleetResult result = ResultOf(options);
  double waiting = 0;
  for (const Moment& moment : result.moments) waiting += moment.waiting;
  waiting /= static_cast<double>(result.moments.size());
  const double rate = static_cast<double>(result.kinds[0].calls) / result.seconds;
  const double wait = Mean(result.kinds[0].latencies) - 0.01;
  EXPECT_NEAR(waiting, rate * wait, 0.05 * waiting);
}

// Mean waits of ten replicas of one image at a time, at 80 %.
class BalancingTest : public ::testing::Test {
 protected:
  BalancingTest() {
    options_ = OptionsOf(OneAtATime(0.01), 800, absl::Minutes(1));
    options_.replicas = 10;
  }
  double Latency(Balancing balancing) {
    options_.balancing = balancing;
    return Mean(ResultOf(options_).kinds[0].latencies);
  }
  FleetOptions options_;
};

TEST_F(BalancingTest, KnowingAllBeatsKnowingTwoBeatsChance) {
  const double least = Latency(Balancing::kLeastRequest) - 0.01;
  const double two = Latency(Balancing::kRandomOfTwo) - 0.01;
  const double chance = 0.8 * 0.01 / (2 * (1 - 0.8));  // M/D/1's.
  EXPECT_LT(two, 0.5 * chance);
  EXPECT_LT(least, 0.5 * two);
}

// Turns are as good as anything where all calls are alike, and not where they differ.
TEST_F(BalancingTest, TurnsSufferFromCallsOfDifferentSizes) {
  const double alike = Latency(Balancing::kRoundRobin);
  EXPECT_LT(alike, 0.012);
  options_.kinds = {KindOf("small", 9, 1), KindOf("large", 1, 16)};
  options_.traffic.calls_per_second = 800 / 2.5;
  EXPECT_LT(1.3 * Latency(Balancing::kLeastRequest), Latency(Balancing::kRoundRobin));
}

// As long as anything waits, a device steps: the same work takes as long in whatever order.
TEST(QueueingTest, NoDeviceRestsWhileAnImageWaits) {
  FleetOptions options = OptionsOf(OneAtATime(0.01), 150, absl::Minutes(1));
  options.server.max_queued_images = options.server.max_queued_images_per_client = 100'000;
  options.kinds = {KindOf("low", 1, 1, -5), KindOf("mid", 1, 1), KindOf("high", 1, 1, 5)};
  const FleetResult result = ResultOf(options);
  EXPECT_GT(result.use.busy_seconds, 0.999 * result.seconds);
  uint64_t images = 0;
  double last = 0;
  for (const KindOutcome& kind : result.kinds) images += kind.images;
  for (const KindOutcome& kind : result.kinds) {
    for (const float latency : kind.latencies) last = std::max<double>(last, latency);
  }
  EXPECT_NEAR(static_cast<double>(images), 150 * 60, 300);
  EXPECT_LT(last, 60 + images * 0.01 - 60 + 1);
}

TEST(QueueingTest, HigherPrioritiesWaitLess) {
  FleetOptions options = OptionsOf(OneAtATime(0.01), 130, absl::Minutes(1));
  options.server.max_queued_images = options.server.max_queued_images_per_client = 100'000;
  options.kinds = {KindOf("low", 1, 1, -5), KindOf("mid", 1, 1), KindOf("high", 1, 1, 5)};
  const FleetResult result = ResultOf(options);
  const double low = Mean(result.kinds[0].latencies), mid = Mean(result.kinds[1].latencies),
               high = Mean(result.kinds[2].latencies);
  EXPECT_LT(high, 0.1);  // It sees a device that is a third busy, and a service under way.
  EXPECT_LT(high, mid / 3);
  EXPECT_LT(mid, low / 3);
}

TEST(QueueingTest, ABatchingDeviceMakesMoreThanOneImageAtATime) {
  FleetOptions options = OptionsOf(Batching(), 1, absl::Minutes(2));
  options.traffic.open_calls = 1;
  const double alone = static_cast<double>(ResultOf(options).images);
  options.traffic.open_calls = 8;
  const FleetResult eight = ResultOf(options);
  EXPECT_GT(static_cast<double>(eight.images), 1.5 * alone);
  EXPECT_GT(eight.use.passes, 4 * eight.use.steps);
}

}  // namespace
}  // namespace hmar::sim
