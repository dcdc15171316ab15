#include "tests/sim/autoscaler.h"

#include "tests/sim/sim_fixture.h"

namespace hmar::sim {
namespace {

class AutoscalerTest : public ::testing::Test {
 protected:
  AutoscalerOptions options_ = [] {
    AutoscalerOptions options;
    options.targets = {{ScalingMetric::kQueueSeconds, 1}};
    options.max_replicas = 100;
    return options;
  }();
  absl::Time now_ = absl::UnixEpoch();

  uint32_t Sync(Autoscaler& scaler, uint32_t current, double metric) {
    now_ += options_.sync;
    return scaler.Sync(now_, current, current, {metric});
  }
};

TEST_F(AutoscalerTest, AsksForSoManyTimesMoreAsTheMetricIsAboveItsTarget) {
  Autoscaler scaler(options_);
  EXPECT_EQ(Sync(scaler, 10, 1.05), 10u);  // Within the tolerance.
  EXPECT_EQ(Sync(scaler, 10, 1.5), 15u);
}

TEST_F(AutoscalerTest, GoesUpByAtMostItsPolicies) {
  Autoscaler scaler(options_);
  EXPECT_EQ(Sync(scaler, 1, 100), 5u);   // Four pods,
  EXPECT_EQ(Sync(scaler, 5, 100), 10u);  // or as many again.
  EXPECT_EQ(Sync(scaler, 10, 100), 20u);
}

TEST_F(AutoscalerTest, GoesDownOnceItsWindowSaysSo) {
  Autoscaler scaler(options_);
  EXPECT_EQ(Sync(scaler, 10, 1), 10u);
  for (absl::Duration time; time + options_.sync < options_.down_window; time += options_.sync) {
    EXPECT_EQ(Sync(scaler, 10, 0.3), 10u) << "after " << time;
  }
  EXPECT_EQ(Sync(scaler, 10, 0.3), 3u);
}

TEST_F(AutoscalerTest, GoesDownByAtMostItsPolicy) {
  options_.down_window = options_.sync;
  options_.down_percent = 20;
  Autoscaler scaler(options_);
  EXPECT_EQ(Sync(scaler, 10, 0), 8u);
  EXPECT_EQ(Sync(scaler, 8, 0), 8u);  // Within the same minute.
  for (int i = 0; i < 3; ++i) Sync(scaler, 8, 0);
  EXPECT_EQ(Sync(scaler, 8, 0), 6u);
}

TEST_F(AutoscalerTest, StaysWithinItsBounds) {
  options_.min_replicas = 3;
  options_.down_window = options_.sync;
  Autoscaler scaler(options_);
  EXPECT_EQ(Sync(scaler, 4, 0), 3u);
  Autoscaler full(options_);
  EXPECT_EQ(Sync(full, 90, 5), 100u);
}

TEST_F(AutoscalerTest, KeepsWhatThereIsWhileThereIsNothingToMeasure) {
  Autoscaler scaler(options_);
  EXPECT_EQ(scaler.Sync(now_, 50, 50, {std::nullopt}), 50u);
}

class TwoMetricsTest : public AutoscalerTest {
 protected:
  void SetUp() override {
    options_.targets.push_back({ScalingMetric::kBusyShare, 0.5});
    options_.down_window = options_.sync;
  }

  uint32_t Sync(std::optional<double> queue, std::optional<double> busy) {
    Autoscaler scaler(options_);
    return scaler.Sync(now_, 10, 10, {queue, busy});
  }
};

TEST_F(TwoMetricsTest, WhicheverAsksForMoreCounts) {
  EXPECT_EQ(Sync(1.5, 0.1), 15u);
  EXPECT_EQ(Sync(0, 0.6), 12u);
  EXPECT_EQ(Sync(0, 0.25), 5u);
}

TEST_F(TwoMetricsTest, NothingGetsFewerBeforeBothAreThere) {
  EXPECT_EQ(Sync(std::nullopt, 0.25), 10u);
  EXPECT_EQ(Sync(0, std::nullopt), 10u);
  EXPECT_EQ(Sync(1.5, std::nullopt), 15u);
}

TEST_F(AutoscalerTest, GoesDownByPodsWhereThatIsMore) {
  options_.down_window = options_.sync;
  options_.down_percent = 10;
  options_.down_pods = 3;
  Autoscaler scaler(options_);
  EXPECT_EQ(Sync(scaler, 10, 0), 7u);
  Autoscaler large(options_);
  EXPECT_EQ(Sync(large, 100, 0), 90u);
}

// More than one replica can do, all of a sudden: what is asked for is there a lag later, and no
// sooner.
TEST(AutoscaledFleetTest, ReplicasComeAfterTheirLag) {
  FleetOptions options = OptionsOf(Batching(), 400, absl::Minutes(3));
  options.autoscaler.targets = {{ScalingMetric::kQueueSeconds, 0.05}};
  options.autoscaler.max_replicas = 8;
  options.scheduling_lag = absl::Seconds(40);  // And 5 s of start-up.
  const FleetResult result = ResultOf(options);
  double asked = 0;
  for (const Moment& moment : result.moments) {
    if (asked == 0 && moment.wanted > 1) asked = moment.seconds;
    if (asked == 0 || moment.seconds < asked + 45) {
      EXPECT_EQ(moment.ready, 1u) << "at " << moment.seconds;
    }
  }
  ASSERT_GT(asked, 0);
  EXPECT_GE(result.moments.back().ready, 3u);
  EXPECT_EQ(result.kinds[0].ended(), result.kinds[0].calls);
}

}  // namespace
}  // namespace hmar::sim
