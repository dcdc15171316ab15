// When images may end early: the forecast, and what it makes of a plan.

#include "server/scheduling/early_end.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace hmar {
namespace {

using ::testing::Optional;

constexpr absl::Duration kMs = absl::Milliseconds(1);

// Steps take 1 ms a row.
CostModel MillisecondARow() {
  CostModel cost;
  for (const uint64_t rows : {1, 10, 100, 1000})
    cost.Observe({.rows = rows, .took = static_cast<double>(rows) * kMs});
  return cost;
}

Pass PassOf(int scale, int step, uint32_t tokens, bool settles) {
  return {.scale = static_cast<uint16_t>(scale),
          .step = static_cast<uint16_t>(step),
          .settles_scale = settles,
          .tokens = tokens,
          .reopened = tokens};
}

// Scales of 1, 4 and 9 tokens; the last two with a mask pass.
std::vector<Pass> Plan() {
  return {PassOf(0, 0, 1, true), PassOf(1, 0, 4, false), PassOf(1, 1, 4, true),
          PassOf(2, 0, 9, false), PassOf(2, 1, 9, true)};
}

class EarlyEndTest : public ::testing::Test {
 protected:
  // Of an image alone that stands before pass `next`.
  StepForecast Alone(size_t next, double pace = 1, absl::Duration between = absl::ZeroDuration()) {
    StepForecast forecast(plan_[next].rows() * kMs, between, pace, &cost_, 100);
    forecast.Add(absl::MakeConstSpan(plan_).subspan(next));
    return forecast;
  }
  std::optional<uint32_t> Scales(size_t next, int left_ms) {
    return ScalesInTime(plan_, next, 3, left_ms * kMs, 0, Alone(next));
  }

  const CostModel cost_ = MillisecondARow();
  const std::vector<Pass> plan_ = Plan();
};

TEST_F(EarlyEndTest, AForecastAddsUpWhatTheNextStepsTake) {
  const StepForecast forecast = Alone(0);
  EXPECT_EQ(forecast.Expected(1, 0), 1 * kMs);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(forecast.Expected(5, 0)), 27, 1e-6);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(Alone(0, 2).AtMost(5, 0)), 54, 1e-6);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(Alone(0, 1, 10 * kMs).Expected(5, 0)), 67, 1e-6);
}

TEST_F(EarlyEndTest, ImagesThatShareStepsMakeThemLonger) {
  StepForecast forecast = Alone(0);
  forecast.Add(plan_);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(forecast.Expected(2, 0)), 1 + 8, 1e-6);
}

TEST_F(EarlyEndTest, WhatDoesNotFitAStepWaitsForItsTurn) {
  StepForecast forecast(1 * kMs, absl::ZeroDuration(), 1, &cost_, 6);
  for (int i = 0; i < 3; ++i) forecast.Add(plan_);
  // 12 rows of the second passes in steps of 6.
  EXPECT_NEAR(absl::ToDoubleMilliseconds(forecast.Expected(2, 0)), 1 + 12, 1e-6);
}

TEST_F(EarlyEndTest, PicturesMakeStepsLonger) {
  CostModel cost = MillisecondARow();
  for (int i = 0; i < 50; ++i) {
    cost.Observe({.rows = 10, .took = 15 * kMs, .pictures = 1, .decoding = 5 * kMs});
  }
  const double picture = 1000 * cost.picture_seconds();
  ASSERT_NEAR(picture, 5, 1);
  const auto forecast = [&](const std::vector<bool>* full_previews) {
    StepForecast two(1 * kMs, absl::ZeroDuration(), 1, &cost, 100);
    two.Add(plan_, full_previews);
    return two;
  };
  const std::vector<bool> all(3, true);
  const absl::Duration none = forecast(nullptr).Expected(5, 0);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(forecast(&all).Expected(5, 0) - none), 2 * picture, 1e-6);
  StepForecast more = forecast(nullptr);
  more.AddPictures(3);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(more.Expected(5, 0) - none), 3 * picture, 1e-6);
}

TEST_F(EarlyEndTest, SlotsThatBecomeFreeAreTakenAgain) {
  const auto two = [&](bool refill) {
    StepForecast forecast = Alone(0);
    forecast.Add(absl::MakeConstSpan(plan_).subspan(4));
    if (refill) forecast.Refill();
    return forecast.Expected(5, 0);
  };
  EXPECT_GT(two(true), two(false));
}

TEST_F(EarlyEndTest, WhoHasTimeIsLeftAlone) {
  EXPECT_EQ(Scales(0, 28), std::nullopt);
  EXPECT_EQ(Scales(3, 19), std::nullopt);
}

TEST_F(EarlyEndTest, FirstTheMaskPassesGo) {
  EXPECT_THAT(Scales(0, 26), Optional(3u));
  EXPECT_THAT(Scales(1, 20), Optional(3u));
}

TEST_F(EarlyEndTest, ThenItEndsWithThePassAfterWhichThereIsTimeForNone) {
  EXPECT_THAT(Scales(0, 4), Optional(1u));
  EXPECT_THAT(Scales(0, 6), Optional(3u));
  EXPECT_THAT(Scales(1, 7), Optional(2u));
  EXPECT_THAT(Scales(2, 12), Optional(2u));
  EXPECT_THAT(Scales(3, 17), Optional(3u));
  EXPECT_THAT(Scales(0, -5), Optional(1u));
}

TEST_F(EarlyEndTest, WhoIsDueBeforeTakesTimeOfTheDecoder) {
  CostModel cost = MillisecondARow();
  for (int i = 0; i < 50; ++i) {
    cost.Observe({.rows = 10, .took = 20 * kMs, .pictures = 1, .decoding = 10 * kMs});
  }
  StepForecast forecast(1 * kMs, absl::ZeroDuration(), 1, &cost, 100);
  forecast.Add(plan_);
  const absl::Duration left = forecast.Expected(2, 1) + 1 * kMs;
  EXPECT_THAT(ScalesInTime(plan_, 0, 3, left, 0, forecast), Optional(3u));
  EXPECT_THAT(ScalesInTime(plan_, 0, 3, left, 1, forecast), Optional(1u));
}

TEST(EndsOfStepTest, LeavesTheFirstItsTime) {
  const auto ends = [](std::vector<int> left_ms) {
    std::vector<absl::Duration> left;
    for (const int ms : left_ms) left.push_back(ms * kMs);
    return EndsOfStep(left, 10 * kMs, 5 * kMs);
  };
  EXPECT_EQ(ends({100, 100, 100}), 3u);
  EXPECT_EQ(ends({21, 100, 100}), 2u);
  EXPECT_EQ(ends({15, 100, 100}), 1u);
  EXPECT_EQ(ends({3, 100, 100}), 3u);  // It is late anyway.
  EXPECT_EQ(ends({3, 21, 100}), 2u);
  EXPECT_EQ(ends({3, 4, 5}), 3u);
  EXPECT_EQ(ends({}), 0u);
  const absl::Duration left[] = {20 * kMs, 30 * kMs};
  EXPECT_EQ(EndsOfStep(left, 10 * kMs, absl::ZeroDuration()), 2u);
}

TEST_F(EarlyEndTest, ALastPassCannotEndEarlier) { EXPECT_EQ(Scales(4, 1), std::nullopt); }

}  // namespace
}  // namespace hmar
