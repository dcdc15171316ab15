#include "server/scheduling/step_watch.h"

#include <gtest/gtest.h>

#include <vector>

#include "absl/synchronization/notification.h"
#include "server/base/clock.h"
#include "server/scheduling/hang_watcher.h"
#include "tests/fakes/fake_clock.h"

namespace hmar {
namespace {

constexpr StepWatchOptions kOptions = {absl::Seconds(30), absl::Seconds(120)};

class StepWatchTest : public ::testing::Test {
 protected:
  absl::Time At(int seconds) const { return start_ + absl::Seconds(seconds); }

  const absl::Time start_ = FakeClock().Now();
  StepWatch watch_{kOptions, 2};
};

TEST_F(StepWatchTest, NothingHangsWhereNothingRuns) {
  EXPECT_FALSE(watch_.Overdue(At(1'000'000)).has_value());
  EXPECT_EQ(watch_.NextDeadline(), absl::InfiniteFuture());
  EXPECT_EQ(watch_.UnderWay(1, At(0)), absl::ZeroDuration());
}

TEST_F(StepWatchTest, AStepHasTenTimesItsExpectationButNeverLessThanTheFloor) {
  watch_.Begin(0, absl::Milliseconds(1), At(0));
  watch_.Begin(1, absl::Seconds(5), At(0));
  EXPECT_EQ(watch_.NextDeadline(), At(30));
  EXPECT_FALSE(watch_.Overdue(At(29)).has_value());
  const auto overdue = watch_.Overdue(At(30));
  ASSERT_TRUE(overdue.has_value());
  EXPECT_EQ(overdue->device, 0u);
  EXPECT_EQ(overdue->under_way, absl::Seconds(30));
  EXPECT_EQ(overdue->limit, absl::Seconds(30));
  watch_.End(0);
  EXPECT_FALSE(watch_.Overdue(At(49)).has_value());
  EXPECT_EQ(watch_.Overdue(At(51))->device, 1u);
  EXPECT_EQ(watch_.Overdue(At(51))->limit, absl::Seconds(50));
}

TEST_F(StepWatchTest, WhatNobodyCanPredictHasALimitOfItsOwn) {
  watch_.Begin(0, absl::ZeroDuration(), At(0));
  EXPECT_FALSE(watch_.Overdue(At(119)).has_value());
  EXPECT_TRUE(watch_.Overdue(At(120)).has_value());
  StepWatch patient({absl::Seconds(500), absl::Seconds(120)}, 1);
  patient.Begin(0, absl::ZeroDuration(), At(0));
  EXPECT_EQ(patient.NextDeadline(), At(500));
}

TEST_F(StepWatchTest, AStepThatEndsMakesRoomForTheNext) {
  watch_.Begin(0, absl::Seconds(1), At(0));
  EXPECT_EQ(watch_.UnderWay(0, At(20)), absl::Seconds(20));
  watch_.End(0);
  watch_.Begin(0, absl::Seconds(1), At(25));
  EXPECT_EQ(watch_.UnderWay(0, At(26)), absl::Seconds(1));
  EXPECT_FALSE(watch_.Overdue(At(54)).has_value());
  EXPECT_TRUE(watch_.Overdue(At(55)).has_value());
}

TEST_F(StepWatchTest, TheOneOverdueForLongestIsNamed) {
  watch_.Begin(0, absl::Seconds(4), At(0));  // Until 40.
  watch_.Begin(1, absl::Seconds(1), At(5));  // Until 35.
  EXPECT_EQ(watch_.Overdue(At(100))->device, 1u);
}

TEST_F(StepWatchTest, AfterATimeInWhichNothingRanStepsBeginAnew) {
  watch_.Begin(0, absl::Seconds(1), At(0));
  watch_.BeginAnew(At(1000));
  EXPECT_FALSE(watch_.Overdue(At(1029)).has_value());
  EXPECT_TRUE(watch_.Overdue(At(1030)).has_value());
}

TEST_F(StepWatchTest, WithoutALimitNothingIsOverdue) {
  StepWatch patient({absl::InfiniteDuration(), absl::InfiniteDuration()}, 1);
  patient.Begin(0, absl::Seconds(1), At(0));
  EXPECT_FALSE(patient.Overdue(At(1'000'000)).has_value());
  EXPECT_EQ(patient.NextDeadline(), absl::InfiniteFuture());
}

TEST(HangWatcherTest, TellsOnceOfAStepThatHangs) {
  FakeClock clock;
  std::vector<OverdueStep> told;
  HangWatcher watcher(kOptions, 2, &clock, [&](const OverdueStep& step) { told.push_back(step); });
  watcher.Begin(1, absl::Seconds(1));
  clock.Advance(absl::Seconds(29));
  watcher.Look();
  EXPECT_TRUE(told.empty());
  clock.Advance(absl::Seconds(1));
  EXPECT_EQ(watcher.UnderWay(1), absl::Seconds(30));
  for (int i = 0; i < 3; ++i) watcher.Look();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].device, 1u);
}

TEST(HangWatcherTest, AStepThatEndsInTimeIsNotTold) {
  FakeClock clock;
  HangWatcher watcher(kOptions, 1, &clock, [](const OverdueStep&) { ADD_FAILURE(); });
  for (int i = 0; i < 10; ++i) {  // Slow, each of them.
    watcher.Begin(0, absl::Seconds(1));
    clock.Advance(absl::Seconds(29));
    watcher.Look();
    watcher.End(0);
  }
}

// The thread's own look, on the real clock: without it the test would wait for ever.
TEST(HangWatcherTest, ItsThreadLooksWhenAStepIsDue) {
  const SteadyClock clock;
  absl::Notification told;
  HangWatcher watcher({absl::Milliseconds(1), absl::Milliseconds(1)}, 1, &clock,
                      [&](const OverdueStep&) { told.Notify(); });
  watcher.Begin(0, absl::ZeroDuration());
  EXPECT_TRUE(told.WaitForNotificationWithTimeout(absl::Seconds(60)));
}

TEST(HangWatcherTest, EndsWithAStepUnderWay) {
  const SteadyClock clock;
  HangWatcher watcher(kOptions, 1, &clock, nullptr);
  watcher.Begin(0, absl::ZeroDuration());
}

}  // namespace
}  // namespace hmar
