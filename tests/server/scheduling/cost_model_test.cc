#include "server/scheduling/cost_model.h"

#include "gtest/gtest.h"

namespace hmar {
namespace {

CostModel Measured(double seconds_per_step, double seconds_per_row) {
  CostModel cost;
  for (uint64_t rows : {10, 50, 200, 80, 1000}) {
    cost.Observe(rows, absl::Seconds(seconds_per_step + seconds_per_row * rows));
  }
  return cost;
}

TEST(CostModelTest, KnowsNothingBeforeTheFirstStep) {
  const CostModel cost;
  EXPECT_FALSE(cost.measured());
  EXPECT_EQ(cost.seconds_per_step(), 0);
  EXPECT_EQ(cost.seconds_per_row(), 0);
}

TEST(CostModelTest, FindsTheCostOfAStepAndOfARow) {
  const CostModel cost = Measured(0.02, 0.0005);
  EXPECT_TRUE(cost.measured());
  EXPECT_NEAR(cost.seconds_per_step(), 0.02, 1e-9);
  EXPECT_NEAR(cost.seconds_per_row(), 0.0005, 1e-12);
}

TEST(CostModelTest, StepsOfOneSizeCountAsTheirRows) {
  CostModel cost;
  for (int i = 0; i < 5; ++i) cost.Observe(100, absl::Milliseconds(50));
  EXPECT_EQ(cost.seconds_per_step(), 0);
  EXPECT_NEAR(cost.seconds_per_row(), 0.0005, 1e-12);
}

TEST(CostModelTest, NoisePutsNoCostBelowZero) {
  CostModel falling;  // Larger steps that ran faster.
  falling.Observe(10, absl::Milliseconds(50));
  falling.Observe(1000, absl::Milliseconds(10));
  EXPECT_EQ(falling.seconds_per_row(), 0);
  EXPECT_GT(falling.seconds_per_step(), 0);
  CostModel steep;  // A line that would cross zero at 50 rows.
  steep.Observe(100, absl::Milliseconds(50));
  steep.Observe(200, absl::Milliseconds(150));
  EXPECT_EQ(steep.seconds_per_step(), 0);
  EXPECT_GT(steep.seconds_per_row(), 0);
}

TEST(CostModelTest, FollowsADeviceThatThrottles) {
  CostModel cost;
  for (int i = 0; i < 500; ++i) cost.Observe(10 + i % 100, absl::Milliseconds(10 + i % 100));
  const double before = cost.seconds_per_row();
  for (int i = 0; i < 500; ++i) cost.Observe(10 + i % 100, absl::Milliseconds(2 * (10 + i % 100)));
  EXPECT_NEAR(cost.seconds_per_row(), 2 * before, 0.05 * before);
}

TEST(CostModelTest, ATenthOfAWeightCountsATenth) {
  CostModel cost;
  for (int i = 0; i < 10; ++i) cost.Observe(0, absl::Milliseconds(20), 0.1);
  cost.Observe(0, absl::Milliseconds(10));
  EXPECT_NEAR(cost.seconds_per_step(), 0.015, 0.0001);
}

TEST(EstimateLoadTest, AFewImagesTakeOneWaveOfSteps) {
  const CostModel cost = Measured(0.02, 0.0005);
  const ModelLoad load{&cost,
                       /*images=*/3,
                       /*rows=*/300,
                       /*passes=*/5,
                       /*slots=*/8,
                       /*max_step_rows=*/10'000};
  const LoadEstimate estimate = EstimateLoad({load}, 0);
  EXPECT_NEAR(absl::ToDoubleSeconds(estimate.time), 5 * 0.02 + 300 * 0.0005, 1e-6);
  EXPECT_NEAR(estimate.device_seconds, 5 * 0.02 + 300 * 0.0005, 1e-9);
}

TEST(EstimateLoadTest, SlotsAndBudgetBoundWhatAStepHolds) {
  const CostModel cost = Measured(1, 0);
  const auto seconds = [&](uint32_t slots, uint32_t max_step_rows) {
    const ModelLoad load{&cost, /*images=*/10, /*rows=*/1000, /*passes=*/5, slots, max_step_rows};
    return absl::ToDoubleSeconds(EstimateLoad({load}, 0).time);
  };
  EXPECT_NEAR(seconds(10, 10'000), 5, 1e-6);
  EXPECT_NEAR(seconds(4, 10'000), 15, 1e-6);
  EXPECT_NEAR(seconds(10, 10), 100, 1e-6);
}

TEST(EstimateLoadTest, AnotherModelsStepsComeInBetweenButNoMoreThanOurs) {
  const CostModel cost = Measured(1, 0);
  const ModelLoad ours{&cost,
                       /*images=*/1,
                       /*rows=*/10,
                       /*passes=*/5,
                       /*slots=*/1,
                       /*max_step_rows=*/1000};
  const ModelLoad shorter{&cost,
                          /*images=*/1,
                          /*rows=*/10,
                          /*passes=*/2,
                          /*slots=*/1,
                          /*max_step_rows=*/1000};
  const ModelLoad longer{&cost,
                         /*images=*/100,
                         /*rows=*/10,
                         /*passes=*/5,
                         /*slots=*/1,
                         /*max_step_rows=*/1000};
  const auto seconds = [&](const ModelLoad& other) {
    return absl::ToDoubleSeconds(EstimateLoad({ours, other}, 0).time);
  };
  EXPECT_NEAR(seconds(shorter), 7, 1e-6);
  EXPECT_NEAR(seconds(longer), 10, 1e-6);
}

}  // namespace
}  // namespace hmar
