#include "server/scheduling/cost_model.h"

#include <cmath>
#include <random>

#include "gtest/gtest.h"

namespace hmar {
namespace {

CostModel Measured(double seconds_per_step, double seconds_per_row) {
  CostModel cost;
  for (uint64_t rows : {10, 50, 200, 80, 1000}) {
    cost.Observe({rows, absl::Seconds(seconds_per_step + seconds_per_row * rows)});
  }
  return cost;
}

TEST(CostModelTest, KnowsNothingBeforeTheFirstStep) {
  const CostModel cost;
  EXPECT_FALSE(cost.measured());
  EXPECT_EQ(cost.Seconds(100), 0);
}

TEST(CostModelTest, BetweenAndBeyondWhatWasMeasuredItGoesStraight) {
  const CostModel cost = Measured(0.02, 0.0005);
  EXPECT_TRUE(cost.measured());
  for (const double rows : {0, 5, 10, 30, 100, 999, 1000, 5000}) {
    EXPECT_NEAR(cost.Seconds(rows), 0.02 + 0.0005 * rows, 1e-9) << rows;
  }
}

TEST(CostModelTest, StepsOfOneSizeCountAsTheirRows) {
  CostModel cost;
  for (int i = 0; i < 5; ++i) cost.Observe({100, absl::Milliseconds(50)});
  EXPECT_NEAR(cost.Seconds(10), 0.005, 1e-12);
}

// Under load all steps are large. A line through them would say anything about the small ones.
TEST(CostModelTest, WhatItKnowsOfSmallStepsOutlastsManyLargeOnes) {
  CostModel cost;
  for (uint64_t rows : {1, 8, 64}) cost.Observe({rows, absl::Milliseconds(5 + rows)});
  for (uint64_t i = 0; i < 10'000; ++i)
    cost.Observe({4000 + i % 90, absl::Milliseconds(4000 - i % 90)});
  EXPECT_NEAR(cost.Seconds(1), 0.006, 1e-9);
  EXPECT_NEAR(cost.Seconds(8), 0.013, 1e-9);
  EXPECT_NEAR(cost.Seconds(4050), 4, 0.1);
}

TEST(CostModelTest, MoreRowsNeverTakeLess) {
  CostModel falling;  // Larger steps that ran faster.
  falling.Observe({10, absl::Milliseconds(50)});
  falling.Observe({100, absl::Milliseconds(10)});
  falling.Observe({1000, absl::Milliseconds(60)});
  double before = 0;
  for (double rows = 0; rows < 2000; rows += 10) {
    EXPECT_GE(falling.Seconds(rows), before) << rows;
    before = falling.Seconds(rows);
  }
  EXPECT_NEAR(falling.Seconds(55), 0.03, 1e-3);  // The two that fell are one.
  EXPECT_GT(falling.Seconds(0), 0);
  CostModel steep;  // A line that would cross zero at 50 rows.
  steep.Observe({100, absl::Milliseconds(50)});
  steep.Observe({200, absl::Milliseconds(150)});
  EXPECT_EQ(steep.Seconds(10), 0);
  CostModel flat;
  flat.Observe({10, absl::Milliseconds(50)});
  flat.Observe({1000, absl::Milliseconds(50)});
  EXPECT_NEAR(flat.Seconds(500), 0.05, 1e-12);
}

TEST(CostModelTest, FollowsADeviceThatThrottles) {
  CostModel cost;
  for (uint64_t i = 0; i < 500; ++i) cost.Observe({10 + i % 100, absl::Milliseconds(10 + i % 100)});
  const double before = cost.Seconds(80);
  for (uint64_t i = 0; i < 500; ++i)
    cost.Observe({10 + i % 100, absl::Milliseconds(2 * (10 + i % 100))});
  EXPECT_NEAR(cost.Seconds(80), 2 * before, 0.05 * before);
}

TEST(CostModelTest, ATenthOfAWeightCountsATenth) {
  CostModel cost;
  for (int i = 0; i < 10; ++i) cost.Observe({0, absl::Milliseconds(20)}, 0.1);
  cost.Observe({0, absl::Milliseconds(10)});
  EXPECT_NEAR(cost.Seconds(0), 0.015, 0.0001);
}

// A device that is known in full: its steps, at random, and what they take.
struct SyntheticDevice {
  double step = 0.01;
  double row = 0.0005;
  double exponent = 1;     // Of the rows.
  double picture = 0.004;  // What one adds to its step.
  double decoder = 0.004;  // What the decoder says that it took for it.
  double noise = 0;        // Times this much more or less.

  double Seconds(double rows, double pictures) const {
    return step + row * std::pow(rows, exponent) + picture * pictures;
  }
  void Run(int steps, std::mt19937* random, CostModel* cost) const {
    std::uniform_real_distribution<double> log_rows(0, 10), around(-noise, noise);
    std::uniform_int_distribution<uint32_t> some(0, 12);
    for (int i = 0; i < steps; ++i) {
      const auto rows = static_cast<uint64_t>(std::exp2(log_rows(*random)));
      const uint32_t pictures = some(*random);
      cost->Observe({rows, absl::Seconds(Seconds(rows, pictures) * std::exp2(around(*random))),
                     pictures, absl::Seconds(decoder * pictures)});
    }
  }
};

TEST(CostModelTest, WithinSixtyStepsItKnowsADevice) {
  const SyntheticDevice devices[] = {
      {},
      {.step = 0.001, .row = 0.00001, .picture = 0.0002, .decoder = 0.0002},
      {.step = 0.2},
      {.row = 0.002, .exponent = 0.8, .picture = 0.02, .decoder = 0.02},
      {.row = 0.00005, .exponent = 1.3, .picture = 0},
  };
  for (const SyntheticDevice& device : devices) {
    std::mt19937 random(1);
    CostModel cost;
    device.Run(60, &random, &cost);
    for (const double rows : {4, 30, 200, 900}) {
      for (const double pictures : {0, 4, 12}) {
        const double seconds = cost.Seconds(rows) + pictures * cost.picture_seconds();
        const double truth = device.Seconds(rows, pictures);
        EXPECT_NEAR(seconds, truth, 0.2 * truth) << rows << " rows, " << pictures << " pictures";
      }
    }
  }
}

TEST(CostModelTest, WhatIsDecodedBesideTheStepsAddsNothingToThem) {
  std::mt19937 random(1);
  CostModel cost;
  SyntheticDevice{.picture = 0, .decoder = 0.004}.Run(200, &random, &cost);
  EXPECT_LT(cost.picture_seconds(), 0.0004);
  EXPECT_NEAR(cost.Seconds(500), 0.01 + 0.25, 0.03);
}

// The images of a step that decodes have the most rows, all of them, each time.
TEST(CostModelTest, UntilStepsDifferAPictureAddsWhatTheDecoderTook) {
  CostModel cost;
  for (int i = 0; i < 3; ++i) {
    cost.Observe({2, absl::Milliseconds(5)});
    cost.Observe({128, absl::Milliseconds(25), 1, absl::Milliseconds(8)});
  }
  EXPECT_NEAR(cost.picture_seconds(), 0.008, 1e-9);
  EXPECT_NEAR(cost.Seconds(128), 0.017, 1e-9);
}

TEST(CostModelTest, WhateverStepsTookNothingIsNegativeAndMoreNeverTakesLess) {
  for (uint32_t seed = 0; seed < 50; ++seed) {
    std::mt19937 random(seed);
    CostModel cost;
    const SyntheticDevice noisy{.exponent = 0.5 + 0.02 * seed, .noise = 5};
    for (int round = 0; round < 20; ++round) {
      noisy.Run(5, &random, &cost);
      EXPECT_GE(cost.picture_seconds(), 0);
      EXPECT_LE(cost.picture_seconds(), 0.004 + 1e-12);
      EXPECT_GE(cost.upload_seconds(), 0);
      double before = 0;
      for (double rows = 0; rows < 3000; rows += 37) {
        ASSERT_GE(cost.Seconds(rows), before) << rows;
        before = cost.Seconds(rows);
      }
    }
  }
}

TEST(CostModelTest, AnUploadTakesAsLongAsAPictureUntilOneWasTokenized) {
  CostModel cost;
  EXPECT_EQ(cost.upload_seconds(), 0);
  cost.Observe({128, absl::Milliseconds(25), 2, absl::Milliseconds(12)});
  EXPECT_NEAR(cost.upload_seconds(), 0.006, 1e-9);
  for (int i = 0; i < 3; ++i) cost.ObserveUploads(4, absl::Milliseconds(80));
  EXPECT_NEAR(cost.upload_seconds(), 0.02, 1e-9);
}

TEST(EstimateLoadTest, PicturesAndUploadsComeOnTop) {
  CostModel cost;
  cost.Observe({100, absl::Milliseconds(50), 2, absl::Milliseconds(20)});
  cost.ObserveUploads(1, absl::Milliseconds(30));
  ModelLoad load{&cost,
                 /*images=*/1,
                 /*rows=*/100,
                 /*passes=*/1,
                 /*slots=*/1,
                 /*max_step_rows=*/1000};
  EXPECT_NEAR(absl::ToDoubleSeconds(EstimateLoad({load}, 0).time), 0.03, 1e-9);
  load.pictures = 3;
  load.uploads = 2;
  EXPECT_NEAR(absl::ToDoubleSeconds(EstimateLoad({load}, 0).time), 0.03 + 0.03 + 0.06, 1e-9);
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
