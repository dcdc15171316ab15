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
    cost.Observe(rows, static_cast<double>(rows) * kMs);
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
    return ScalesInTime(plan_, next, 3, left_ms * kMs, Alone(next));
  }

  const CostModel cost_ = MillisecondARow();
  const std::vector<Pass> plan_ = Plan();
};

TEST_F(EarlyEndTest, AForecastAddsUpWhatTheNextStepsTake) {
  const StepForecast forecast = Alone(0);
  EXPECT_EQ(forecast.Expected(1), 1 * kMs);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(forecast.Expected(5)), 27, 1e-6);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(Alone(0, 2).AtMost(5)), 54, 1e-6);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(Alone(0, 1, 10 * kMs).Expected(5)), 67, 1e-6);
}

TEST_F(EarlyEndTest, ImagesThatShareStepsMakeThemLonger) {
  StepForecast forecast = Alone(0);
  forecast.Add(plan_);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(forecast.Expected(2)), 1 + 8, 1e-6);
}

TEST_F(EarlyEndTest, WhatDoesNotFitAStepWaitsForItsTurn) {
  StepForecast forecast(1 * kMs, absl::ZeroDuration(), 1, &cost_, 6);
  for (int i = 0; i < 3; ++i) forecast.Add(plan_);
  // 12 rows of the second passes in steps of 6.
  EXPECT_NEAR(absl::ToDoubleMilliseconds(forecast.Expected(2)), 1 + 12, 1e-6);
}

TEST_F(EarlyEndTest, SlotsThatBecomeFreeAreTakenAgain) {
  const auto two = [&](bool refill) {
    StepForecast forecast = Alone(0);
    forecast.Add(absl::MakeConstSpan(plan_).subspan(4));
    if (refill) forecast.Refill();
    return forecast.Expected(5);
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

TEST_F(EarlyEndTest, ALastPassCannotEndEarlier) { EXPECT_EQ(Scales(4, 1), std::nullopt); }

}  // namespace
}  // namespace hmar
