// What a fleet does with calls: none is lost from sight, whatever fails, comes and goes.

#include <numeric>

#include "tests/sim/sim_fixture.h"

namespace hmar::sim {
namespace {

// Everything at once: bursts, a day, three kinds, deadlines, failures, a small queue, autoscaling.
FleetOptions Storm() {
  FleetOptions options = OptionsOf(Batching(), 400, absl::Seconds(90));
  options.kinds = {KindOf("urgent", 1, 1, 5), KindOf("batch", 1, 4), KindOf("timed", 2, 1)};
  options.kinds[1].previews = "full";
  options.kinds[2].deadline_ms = 60;
  options.kinds[2].on_deadline = "degrade";
  options.server.max_queued_images = options.server.max_queued_images_per_client = 40;
  options.traffic.day = absl::Seconds(90);
  options.traffic.day_swing = 0.5;
  options.traffic.burst_times = 4;
  options.traffic.burst = absl::Seconds(5);
  options.replicas = 4;
  options.zones = 2;
  options.mean_life = absl::Minutes(1);
  options.autoscaler.targets = {{ScalingMetric::kQueueSeconds, 0.02},
                                {ScalingMetric::kWaitSeconds, 0.5},
                                {ScalingMetric::kBusyShare, 0.8},
                                {ScalingMetric::kImagesPerPod, 40}};
  options.autoscaler.min_replicas = 2;
  options.autoscaler.max_replicas = 12;
  options.autoscaler.down_window = absl::Seconds(30);
  return options;
}

TEST(FleetTest, EveryCallThatCameEndsOnce) {
  const FleetResult result = ResultOf(Storm());
  KindOutcome all;
  for (const KindOutcome& kind : result.kinds) {
    EXPECT_EQ(kind.ended(), kind.calls);
    EXPECT_EQ(kind.latencies.size(), kind.done);
    all.Add(kind);
  }
  // Or this says nothing.
  EXPECT_GT(all.done, 3'000u);
  EXPECT_GT(all.refused, 100u);
  EXPECT_GT(all.expired, 10u);
  EXPECT_GT(all.degraded_images, 10u);
  EXPECT_GT(all.tries, all.calls);
}

TEST(FleetTest, ImagesAreThoseOfCallsThatWereDoneAndThoseWasted) {
  const FleetResult result = ResultOf(Storm());
  const uint64_t of_a_call[] = {1, 4, 1};
  for (size_t i = 0; i < result.kinds.size(); ++i) {
    const KindOutcome& kind = result.kinds[i];
    EXPECT_EQ(kind.images, kind.done * of_a_call[i] + kind.wasted_images) << "kind " << i;
  }
}

TEST(FleetTest, SameSeedSameResultWhateverTheThreads) {
  FleetOptions options = Storm();
  const FleetResult one = ResultOf(options);
  options.threads = 2;
  const FleetResult two = ResultOf(options);
  for (size_t i = 0; i < one.kinds.size(); ++i) {
    EXPECT_EQ(one.kinds[i].latencies, two.kinds[i].latencies);
  }
  EXPECT_EQ(one.use.steps, two.use.steps);
  EXPECT_EQ(one.replica_seconds, two.replica_seconds);
  options.seed = 2;
  EXPECT_NE(ResultOf(options).kinds[0].latencies, one.kinds[0].latencies);
}

TEST(FleetTest, WhatAFailedReplicaHadIsMadeAgain) {
  FleetOptions options = OptionsOf(Batching(), 400, absl::Minutes(2));
  options.replicas = 6;
  options.mean_life = absl::Seconds(40);
  options.tries = 10;
  const FleetResult result = ResultOf(options);
  const KindOutcome& all = result.kinds[0];
  EXPECT_EQ(all.done, all.calls);
  EXPECT_GT(all.tries, all.calls + 10);

  options.tries = 1;
  const KindOutcome once = ResultOf(options).kinds[0];
  EXPECT_GT(once.lost, 10u);
  EXPECT_EQ(once.done + once.lost, once.calls);
}

TEST(FleetTest, ReplicasAreBilledFromTheirStartToTheirEnd) {
  FleetOptions options = OptionsOf(Batching(), 50, absl::Minutes(2));
  options.replicas = 3;
  const FleetResult result = ResultOf(options);
  EXPECT_DOUBLE_EQ(result.replica_seconds, 3 * 120);
}

TEST(FleetTest, WarmUpIsNotCounted) {
  FleetOptions options = OptionsOf(Batching(), 50, absl::Minutes(2));
  options.warm_up = absl::Minutes(1);
  const FleetResult result = ResultOf(options);
  EXPECT_EQ(result.seconds, 60);
  EXPECT_NEAR(static_cast<double>(result.kinds[0].calls), 50 * 60, 250);
  EXPECT_NEAR(static_cast<double>(result.images), 50 * 60, 250);
}

TEST(FleetTest, WhatCannotBeSimulatedIsRefusedByName) {
  FleetOptions options = Storm();
  options.kinds[0].method = "edit";
  EXPECT_THAT(Simulate(options).status().ToString(), ::testing::HasSubstr("urgent: method edit"));
  options = Storm();
  options.zones = 5;
  EXPECT_THAT(Simulate(options).status().ToString(), ::testing::HasSubstr("5 zones"));
  options = Storm();
  options.traffic.burst_share = 1;
  EXPECT_THAT(Simulate(options).status().ToString(), ::testing::HasSubstr("is 1, must be"));
}

}  // namespace
}  // namespace hmar::sim
