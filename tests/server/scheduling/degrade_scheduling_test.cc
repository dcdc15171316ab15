// Images that may end early, through the scheduler, on a clock that only steps move.

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fakes/puppet_device.h"

namespace hmar {
namespace {

// Five scales, 12 passes, most rows in the last.
EngineInfo FiveScales(uint32_t slots) {
  EngineInfo info = FakeEngineInfo("fake", slots);
  info.config.patch_nums = {1, 2, 3, 4, 6};
  info.config.sampling.mask_schedule = {{1}, {4}, {2, 3, 4}, {4, 5, 7}, {6, 8, 10, 12}};
  return info;
}

class DegradeSchedulingTest : public ::testing::Test {
 protected:
  struct Answer {
    std::shared_ptr<RecordingListener> listener;
    absl::Time deadline;
    std::shared_ptr<std::optional<absl::Time>> came;  // Its only image.

    bool in_time() const {
      return came->has_value() && **came <= deadline && listener->status().ok();
    }
    bool degraded() const { return in_time() && listener->images().at(0).degraded.has_value(); }
  };

  DegradeSchedulingTest() : device_({FiveScales(16)}) {
    for (uint64_t seed = 900; seed < 910; ++seed) {  // Steps have a cost from now on.
      device_.Submit(seed, 4);
      device_.RunAll();
    }
  }

  Answer Ask(uint64_t seed, absl::Time deadline, OnDeadline on_deadline = OnDeadline::kDegrade) {
    Answer answer{nullptr, deadline, std::make_shared<std::optional<absl::Time>>()};
    Work work = device_.MakeWork(seed);
    answer.listener = std::make_shared<RecordingListener>(
        [this, came = answer.came] { came->emplace(device_.clock().Now()); });
    work.listener = answer.listener;
    work.job.on_deadline = on_deadline;
    work.origin.deadline = work.origin.answer_by = deadline;
    const absl::Status taken = device_.scheduler().Submit(std::move(work)).status();
    EXPECT_TRUE(taken.ok() || on_deadline == OnDeadline::kRefuse) << taken;
    return answer;
  }

  absl::Duration IdleLatency() {
    const absl::Time start = device_.clock().Now();
    device_.Submit(1);
    device_.RunAll();
    return device_.clock().Now() - start;
  }

  // Seconds an image at full load.
  absl::Duration Saturated() {
    const absl::Time start = device_.clock().Now();
    device_.Submit(5000, 200);
    device_.RunAll();
    return (device_.clock().Now() - start) / 200;
  }

  // Poisson arrivals of `images` images, each due `allowed` after it came.
  std::vector<Answer> Arrive(int images, absl::Duration between, absl::Duration allowed,
                             OnDeadline on_deadline = OnDeadline::kDegrade) {
    std::mt19937 random(42);
    std::exponential_distribution<double> gap(1 / absl::ToDoubleSeconds(between));
    std::vector<Answer> answers;
    absl::Time next = device_.clock().Now();
    while (static_cast<int>(answers.size()) < images) {
      const absl::Time now = device_.clock().Now();
      for (; next <= now && static_cast<int>(answers.size()) < images;
           next += absl::Seconds(gap(random))) {
        answers.push_back(Ask(answers.size(), next + allowed, on_deadline));
      }
      if (!device_.RunOne()) device_.clock().Advance(next - now);
    }
    device_.RunAll();
    return answers;
  }

  PuppetDevice device_;
};

TEST_F(DegradeSchedulingTest, WhoHasTimeGetsTheWholeImage) {
  const Answer answer = Ask(1, device_.clock().Now() + 2 * IdleLatency());
  device_.RunAll();
  ASSERT_TRUE(answer.in_time());
  EXPECT_FALSE(answer.degraded());
  const EngineInfo& info = device_.engine().info();
  EXPECT_EQ(answer.listener->images().at(0).picture.rgb, FakePicture(info, FakeTask(info, 1)).rgb);
}

TEST_F(DegradeSchedulingTest, MaskPassesGoFirstThenScales) {
  const absl::Duration idle = IdleLatency();
  uint32_t scales_before = 0;
  for (const double share : {0.1, 0.2, 0.4, 0.6, 0.8}) {
    const Answer answer = Ask(1, device_.clock().Now() + share * idle);
    device_.RunAll();
    ASSERT_TRUE(answer.in_time()) << share;
    ASSERT_TRUE(answer.degraded()) << share;
    const FinishedImage image = answer.listener->images().at(0);
    EXPECT_EQ(image.scales.size(), image.tokens.size());
    EXPECT_GE(image.tokens.size(), scales_before);
    scales_before = image.tokens.size();
    // What it is said to be made with is what it took.
    const EngineInfo& info = device_.engine().info();
    ImageTask as_run = FakeTask(info, 1);
    as_run.sampling = *image.degraded;
    uint32_t passes = 0;
    for (const ScaleCost& scale : image.scales) passes += scale.passes;
    EXPECT_EQ(PlanPasses(info.config, as_run).size(), passes);
  }
  EXPECT_EQ(scales_before, 5u);
}

// At so many times what the device can make, and with the scales that an image has on the average.
TEST_F(DegradeSchedulingTest, ManyMoreThanItCanMakeArriveInTimeAllTheSame) {
  const absl::Duration idle = IdleLatency(), saturated = Saturated();
  for (const auto& [overload, least_scales] : {std::pair(2.0, 4.8), std::pair(4.0, 4.0)}) {
    SCOPED_TRACE(overload);
    const std::vector<Answer> answers = Arrive(1000, saturated / overload, 4 * idle);
    int in_time = 0, degraded = 0;
    double scales = 0;
    for (const Answer& answer : answers) {
      if (!answer.in_time()) continue;
      ++in_time;
      degraded += answer.degraded();
      scales += static_cast<double>(answer.listener->images().at(0).tokens.size());
    }
    EXPECT_GE(in_time, 990);
    EXPECT_GE(degraded, 500);
    EXPECT_GE(scales / in_time, least_scales);
    EXPECT_TRUE(device_.Idle());
  }
}

// Where a picture costs as much as many passes, ending early is no remedy: images end late then,
// with all the scales for which there is time, and still in time.
TEST_F(DegradeSchedulingTest, PicturesThatCostMuchDoNotMakeImagesPoor) {
  PuppetCosts costs;
  costs.row = absl::Microseconds(200);
  costs.picture = absl::Milliseconds(20);
  device_.SetCosts(costs);
  const absl::Duration saturated = Saturated(), idle = IdleLatency();
  const std::vector<Answer> answers = Arrive(1000, saturated / 1.5, 3 * idle);
  int in_time = 0;
  double scales = 0;
  for (const Answer& answer : answers) {
    if (!answer.in_time()) continue;
    ++in_time;
    scales += static_cast<double>(answer.listener->images().at(0).tokens.size());
  }
  EXPECT_GE(in_time, 950);
  EXPECT_GE(scales / in_time, 4.5);
}

// With more than there is time for even if all images end at once, some are in time: not all of
// them late by a little.
TEST_F(DegradeSchedulingTest, NoLoadMakesEverybodyLate) {
  PuppetCosts costs;
  costs.picture = absl::Milliseconds(100);
  device_.SetCosts(costs);
  const absl::Duration idle = IdleLatency();
  const std::vector<Answer> answers = Arrive(2000, absl::Milliseconds(50), idle);
  const auto in_time =
      std::count_if(answers.begin(), answers.end(), [](const Answer& a) { return a.in_time(); });
  EXPECT_GE(in_time, 500);  // At most a thousand pictures fit.
  EXPECT_TRUE(device_.Idle());
}

// Who asked to be refused is, later too: so that its time goes to those that can still be done.
TEST_F(DegradeSchedulingTest, WhoWillBeLateLeavesForThoseWhoWillNot) {
  const absl::Duration idle = IdleLatency(), saturated = Saturated();
  const auto in_time = [&](OnDeadline on_deadline) {
    const std::vector<Answer> answers = Arrive(600, saturated / 2, 6 * idle, on_deadline);
    EXPECT_TRUE(device_.Idle());
    return std::count_if(answers.begin(), answers.end(),
                         [](const Answer& a) { return a.in_time(); });
  };
  const auto refused = in_time(OnDeadline::kRefuse);
  EXPECT_GE(refused, 200);
  EXPECT_GE(refused, 2 * in_time(OnDeadline::kFail));
}

// However long answers seem to take on their way: else nobody would ever find out that they do not
// any more.
TEST_F(DegradeSchedulingTest, WhoIsAloneIsNeitherRefusedNorFailedByAnEstimate) {
  for (int i = 0; i < 100; ++i) device_.scheduler().ObserveDelivery(absl::Hours(1));
  const Answer alone = Ask(1, device_.clock().Now() + 2 * IdleLatency(), OnDeadline::kRefuse);
  Work second = device_.MakeWork(2);
  second.job.on_deadline = OnDeadline::kRefuse;
  second.origin.deadline = second.origin.answer_by = alone.deadline;
  EXPECT_TRUE(absl::IsDeadlineExceeded(device_.scheduler().Submit(std::move(second)).status()));
  device_.RunAll();
  EXPECT_TRUE(alone.in_time());
}

TEST_F(DegradeSchedulingTest, EstimatesNeverFailAllOfAStep) {
  for (int i = 0; i < 100; ++i) device_.scheduler().ObserveDelivery(absl::Hours(1));
  std::vector<Answer> answers;
  const absl::Time deadline = device_.clock().Now() + 2 * IdleLatency();
  for (uint64_t seed = 0; seed < 8; ++seed) {
    answers.push_back(Ask(seed, deadline + seed * absl::Milliseconds(1)));
  }
  device_.RunAll();
  EXPECT_TRUE(answers.back().in_time());  // It had the most time.
  EXPECT_EQ(
      std::count_if(answers.begin(), answers.end(), [](const Answer& a) { return a.in_time(); }),
      1);
}

TEST_F(DegradeSchedulingTest, AtTwiceTheLoadMostWouldBeLateOtherwise) {
  const absl::Duration idle = IdleLatency(), saturated = Saturated();
  const std::vector<Answer> answers = Arrive(1000, saturated / 2, 4 * idle, OnDeadline::kFail);
  const auto in_time =
      std::count_if(answers.begin(), answers.end(), [](const Answer& a) { return a.in_time(); });
  EXPECT_LE(in_time, 100);
  EXPECT_TRUE(device_.Idle());
}

}  // namespace
}  // namespace hmar
