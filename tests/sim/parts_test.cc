// The simulator's parts, one by one.

#include <cmath>
#include <cstdio>
#include <fstream>

#include "tests/sim/balancer.h"
#include "tests/sim/outcome.h"
#include "tests/sim/sim_fixture.h"
#include "tests/sim/timed_engine.h"
#include "tests/sim/traffic.h"

namespace hmar::sim {
namespace {

TEST(DeviceProfileTest, IsStraightBetweenItsPointsAndBeyond) {
  DeviceProfile profile;
  profile.forward = {{10, 1}, {20, 2}, {40, 6}};
  EXPECT_DOUBLE_EQ(profile.ForwardSeconds(10, 2), 1);
  EXPECT_DOUBLE_EQ(profile.ForwardSeconds(15, 2), 1.5);
  EXPECT_DOUBLE_EQ(profile.ForwardSeconds(30, 2), 4);
  EXPECT_DOUBLE_EQ(profile.ForwardSeconds(50, 2), 8);
  EXPECT_DOUBLE_EQ(profile.ForwardSeconds(5, 2), 0.5);
}

TEST(DeviceProfileTest, ASinglePassMayHaveATableOfItsOwn) {
  DeviceProfile profile;
  profile.forward = {{10, 1}, {20, 2}};
  EXPECT_DOUBLE_EQ(profile.ForwardSeconds(10, 1), 1);
  profile.alone = {{10, 0.5}, {20, 1}};
  EXPECT_DOUBLE_EQ(profile.ForwardSeconds(10, 1), 0.5);
  EXPECT_DOUBLE_EQ(profile.ForwardSeconds(10, 2), 1);
}

TEST(DeviceProfileTest, ARestCostsMoreTheLongerItWasAndNoMoreThanTheLastPoint) {
  DeviceProfile profile;
  EXPECT_EQ(profile.AfterRestSeconds(5), 0);
  profile.after_rest = {{0.1, 0.02}, {1, 0.03}};
  EXPECT_EQ(profile.AfterRestSeconds(0), 0);
  EXPECT_DOUBLE_EQ(profile.AfterRestSeconds(0.05), 0.01);
  EXPECT_DOUBLE_EQ(profile.AfterRestSeconds(0.1), 0.02);
  EXPECT_DOUBLE_EQ(profile.AfterRestSeconds(0.55), 0.025);
  EXPECT_DOUBLE_EQ(profile.AfterRestSeconds(9), 0.03);
}

TEST(DeviceProfileTest, TheProjectsOwnCanBeRead) {
  const auto profiles = ReadDeviceProfiles("tests/sim/devices.json");
  ASSERT_TRUE(profiles.ok()) << profiles.status();
  ASSERT_TRUE(profiles->contains("h200-d16"));
  EXPECT_EQ(profiles->at("h200-d16").config.name, "hmar-d16");
}

TEST(DeviceProfileTest, SaysWhatIsWrong) {
  DeviceProfile profile = Batching();
  profile.forward = {{10, 1}, {10, 2}};
  EXPECT_THAT(CheckProfile("it", profile).ToString(), ::testing::HasSubstr("device it: forward"));
  const std::string path = ::testing::TempDir() + "/devices.json";
  std::ofstream(path) << R"({"a": {"source": 3}})";
  EXPECT_THAT(ReadDeviceProfiles(path).status().ToString(), ::testing::HasSubstr("string"));
  std::remove(path.c_str());
  EXPECT_EQ(ReadDeviceProfiles(path).status().code(), absl::StatusCode::kNotFound);
}

TEST(TrafficTest, BurstsAndDaysKeepTheMean) {
  TrafficOptions options;
  options.calls_per_second = 20;
  options.burst_times = 5;
  options.burst = absl::Seconds(10);
  options.day = absl::Hours(1);
  options.day_swing = 0.8;
  const RatePath path(options, absl::Hours(20), 3);
  ArrivalTimes times(&path, 0.5, 4);
  uint64_t calls = 0;
  while (times.Next() < absl::Hours(20)) ++calls;
  EXPECT_NEAR(static_cast<double>(calls), 10 * 72'000.0, 0.03 * 720'000);
}

TEST(TrafficTest, BurstsComeMoreClusteredThanPoisson) {
  const auto dispersion = [](double burst_times) {
    TrafficOptions options;
    options.calls_per_second = 20;
    options.burst_times = burst_times;
    const RatePath path(options, absl::Hours(2), 3);
    ArrivalTimes times(&path, 1, 4);
    std::vector<double> counts(720);  // Of 10 s each.
    for (absl::Duration at; (at = times.Next()) < absl::Hours(2);) ++counts[at / absl::Seconds(10)];
    double mean = 0, square = 0;
    for (const double count : counts) mean += count / 720;
    for (const double count : counts) square += (count - mean) * (count - mean) / 720;
    return square / mean;
  };
  EXPECT_NEAR(dispersion(1), 1, 0.2);
  EXPECT_GT(dispersion(5), 5);
}

TEST(BalancerTest, LeastRequestFindsTheFewest) {
  Balancer balancer(Balancing::kLeastRequest, 1);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(balancer.Pick({3, 2, 1, 2}), 2u);
}

TEST(BalancerTest, OfEqualOnesEachHasItsTurn) {
  for (const Balancing balancing : {Balancing::kLeastRequest, Balancing::kRoundRobin}) {
    Balancer balancer(balancing, 1);
    std::vector<int> picked(4);
    for (int i = 0; i < 40; ++i) ++picked[balancer.Pick({0, 0, 0, 0})];
    EXPECT_THAT(picked, ::testing::Each(10));
  }
}

TEST(BalancerTest, RandomOfTwoNeverTakesTheFullerOfTwo) {
  Balancer balancer(Balancing::kRandomOfTwo, 1);
  int fuller = 0;
  for (int i = 0; i < 1000; ++i) fuller += balancer.Pick({5, 1}) == 0 ? 1 : 0;
  EXPECT_NEAR(fuller, 250, 60);  // Where both draws are the first one.
}

TEST(OutcomeTest, QuantilesAreOfTheValues) {
  std::vector<float> values = {5, 1, 4, 2, 3};
  EXPECT_EQ(Quantile(values, 0), 1);
  EXPECT_EQ(Quantile(values, 0.5), 3);
  EXPECT_EQ(Quantile(values, 1), 5);
  EXPECT_DOUBLE_EQ(PartWithin(values, 2), 0.4);
}

TEST(TimedEngineTest, JitterKeepsTheMean) {
  DeviceProfile profile = Batching();
  profile.jitter = 0.3;
  TimedEngine engine(&profile, FakeEngineInfo(), 1);
  StepReport report;
  report.rows = 1;
  double sum = 0, square = 0;
  constexpr int kDraws = 20'000;
  for (int i = 0; i < kDraws; ++i) {
    const double ratio = engine.SecondsOf(report, 0) / profile.ForwardSeconds(1, 0);
    sum += ratio / kDraws;
    square += ratio * ratio / kDraws;
  }
  EXPECT_NEAR(sum, 1, 0.01);
  EXPECT_NEAR(std::sqrt(square - sum * sum), 0.3, 0.02);
}

}  // namespace
}  // namespace hmar::sim
