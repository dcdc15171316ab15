// Who goes first when many ask: shares, priorities, what a request is told of them.

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/base/errors.h"
#include "tests/fakes/puppet_device.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr uint32_t kSlots = 16;

SchedulerOptions WithReserve(uint32_t slots) {
  SchedulerOptions options;
  options.reserved_slots = slots;
  return options;
}

class FairSchedulingTest : public ::testing::Test {
 protected:
  explicit FairSchedulingTest(SchedulerOptions options = WithReserve(2))
      : device_({FakeEngineInfo("fake", kSlots)}, std::move(options)) {
    device_.Submit(999);  // Steps have a cost from now on.
    device_.RunAll();
  }

  Work WorkOf(const std::string& client, uint64_t seed, uint32_t images = 1, int priority = 0) {
    Work work = device_.MakeWork(seed, images);
    work.origin.client = client;
    work.job.priority = priority;
    return work;
  }

  PuppetDevice::Submitted Submit(const std::string& client, uint64_t seed, uint32_t images = 1,
                                 int priority = 0) {
    return device_.Submit(WorkOf(client, seed, images, priority));
  }

  // Runs steps until the request has ended; returns how long that took.
  absl::Duration Until(const RecordingListener& listener) {
    const absl::Time start = device_.clock().Now();
    while (listener.images().empty() && device_.RunOne()) {
    }
    EXPECT_THAT(listener.images(), SizeIs(1));
    return device_.clock().Now() - start;
  }

  void ExpectOwnPicture(const RecordingListener& listener, uint64_t seed) {
    const EngineInfo& info = device_.engine().info();
    EXPECT_EQ(listener.images().at(0).picture.rgb, FakePicture(info, FakeTask(info, seed)).rgb);
  }

  PuppetDevice device_;
};

TEST_F(FairSchedulingTest, OneImageBesideAThousandTakesTwiceAsLongAsAlone) {
  const absl::Duration alone = Until(*Submit("small", 1).listener);
  auto greedy = Submit("greedy", 1000, 1000);
  for (int i = 0; i < 7; ++i) device_.RunOne();
  std::vector<absl::Duration> took;
  for (uint64_t seed = 2; seed < 23; ++seed) {
    auto small = Submit("small", seed);
    took.push_back(Until(*small.listener));
    ExpectOwnPicture(*small.listener, seed);
  }
  std::sort(took.begin(), took.end());
  EXPECT_LE(took[took.size() / 2], 2.5 * alone);
  device_.RunAll();
  EXPECT_THAT(greedy.listener->images(), SizeIs(1000));
  EXPECT_TRUE(device_.Idle());
}

TEST_F(FairSchedulingTest, SeveralWithWorkGetTheSameByTheirWeights) {
  std::map<std::string, PuppetDevice::Submitted> requests;
  requests["a"] = Submit("a", 0, 300);
  requests["b"] = Submit("b", 10'000, 300);
  Work heavy = WorkOf("heavy", 20'000, 300);
  heavy.origin.weight = 2;
  requests["heavy"] = device_.Submit(std::move(heavy));
  while (requests["heavy"].listener->images().size() < 200) device_.RunOne();
  EXPECT_NEAR(requests["a"].listener->images().size(), 100, 16);
  EXPECT_NEAR(requests["b"].listener->images().size(), 100, 16);
  device_.RunAll();
}

SchedulerOptions WithSmallSteps() {
  SchedulerOptions options = WithReserve(2);
  options.max_step_rows = 40;
  return options;
}

// Where steps cannot take all that run.
class BusySchedulingTest : public FairSchedulingTest {
 protected:
  BusySchedulingTest() : FairSchedulingTest(WithSmallSteps()) {}
};

// Shares are of device time, not of images or rows.
TEST_F(BusySchedulingTest, WhoHasMoreDecodedGetsFewerImages) {
  device_.SetCosts({absl::Milliseconds(1), absl::Milliseconds(1), absl::Milliseconds(100),
                    absl::ZeroDuration()});
  device_.Submit(998);
  device_.RunAll();
  const auto plain = Submit("plain", 0, 400);
  Work work = WorkOf("previews", 10'000, 400);
  work.job.prototype.preview_mode = PreviewMode::kFull;
  work.job.prototype.preview_scales = {true, true, true};
  const auto previews = device_.Submit(std::move(work));
  while (plain.listener->images().size() < 200) device_.RunOne();
  // An image takes a picture, about 50 rows and its part of a few steps; with previews 4 pictures.
  EXPECT_NEAR(previews.listener->images().size(), 200 * 160 / 460, 20);
  device_.RunAll();
}

TEST_F(BusySchedulingTest, WhoseUploadsAreTokenizedPaysForThat) {
  device_.SetCosts({absl::Milliseconds(1), absl::Milliseconds(1), absl::ZeroDuration(),
                    absl::Milliseconds(150)});
  const auto plain = Submit("plain", 0, 400);
  std::vector<PuppetDevice::Submitted> edits;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Work work = WorkOf("edits", 10'000 + seed);
    auto picture = std::make_shared<EditPicture>();
    picture->picture = {12, 12, std::vector<uint8_t>(12 * 12 * 3)};
    picture->digest = absl::StrCat(seed);
    work.picture = std::move(picture);
    const ModelConfig& config = device_.engine().info().config;
    work.job.prototype.keep =
        std::make_shared<const std::vector<KeepMap>>(KeepMaps(KeepMap(9, 0), config));
    edits.push_back(device_.Submit(std::move(work)));
  }
  while (plain.listener->images().size() < 200) device_.RunOne();
  size_t edited = 0;
  for (const auto& edit : edits) edited += edit.listener->images().size();
  EXPECT_NEAR(edited, 200 * 55 / 205, 20);  // 50 rows, and for an edit an upload.
  device_.RunAll();
}

TEST_F(FairSchedulingTest, AHigherPriorityHardlyNoticesALowerOnes) {
  const absl::Duration alone = Until(*Submit("x", 1).listener);
  auto batch = Submit("x", 1000, 300);
  for (int i = 0; i < 9; ++i) device_.RunOne();
  auto urgent = Submit("x", 2, 1, /*priority=*/5);
  EXPECT_LE(Until(*urgent.listener), 1.5 * alone);
  ExpectOwnPicture(*urgent.listener, 2);
  device_.RunAll();
  EXPECT_THAT(batch.listener->images(), SizeIs(300));
  EXPECT_TRUE(device_.Idle());
}

// What pauses keeps its slot, loses nothing and goes on.
TEST_F(FairSchedulingTest, PausedImagesComeOutTheSame) {
  auto low = Submit("x", 1, 4, -10);
  device_.RunOne();
  device_.RunOne();
  for (uint64_t seed = 100; seed < 110; ++seed) {
    auto high = Submit("y", seed, 1, 10);
    const auto step = device_.RunOne();
    EXPECT_EQ(std::count_if(step->ids.begin(), step->ids.end(), [](ImageId id) { return id <= 5; }),
              0);
    Until(*high.listener);
  }
  EXPECT_THAT(low.listener->images(), SizeIs(0));
  device_.RunAll();
  for (uint32_t i = 0; i < 4; ++i) {
    const EngineInfo& info = device_.engine().info();
    EXPECT_EQ(low.listener->images().at(i).picture.rgb,
              FakePicture(info, FakeTask(info, 1 + i)).rgb);
  }
}

// However much of the highest priority there is, and it is more than the device can do.
TEST_F(FairSchedulingTest, TheLowestPriorityArrivesWithinItsAging) {
  const absl::Time start = device_.clock().Now();
  auto low = Submit("x", 1, 1, -10);
  uint64_t seed = 1000;
  while (low.listener->images().empty()) {
    while (device_.scheduler().queued_images() < 32) Submit("y", seed++, 8, 10);
    ASSERT_TRUE(device_.RunOne());
    ASSERT_LT(device_.clock().Now() - start, absl::Minutes(22));  // Twenty levels, a minute each.
  }
  EXPECT_GT(device_.clock().Now() - start, absl::Minutes(19));
  device_.RunAll();
}

TEST_F(FairSchedulingTest, OnesOwnDeadlinesAreMetFirstButNothingOfOnesOwnWaitsForEver) {
  auto first = Submit("x", 1, 64);
  Work soon = WorkOf("x", 500);
  soon.origin.deadline = device_.clock().Now() + absl::Seconds(30);
  auto urgent = device_.Submit(std::move(soon));
  device_.RunAll();
  std::vector<std::string> events = first.listener->events();
  EXPECT_THAT(urgent.listener->images(), SizeIs(1));
  EXPECT_LT(urgent.listener->images().at(0).queued, absl::Seconds(1));

  auto patient = Submit("x", 2);
  uint64_t seed = 1000;
  const absl::Time start = device_.clock().Now();
  while (patient.listener->images().empty()) {
    while (device_.scheduler().queued_images() < 40) {
      Work work = WorkOf("x", seed++, 8);
      work.origin.deadline = device_.clock().Now() + absl::Seconds(20);
      device_.Submit(std::move(work));
    }
    ASSERT_TRUE(device_.RunOne());
    ASSERT_LT(device_.clock().Now() - start, absl::Minutes(2));
  }
  device_.RunAll();
}

// A step takes 10 ms and 1 ms a row; half of the budget is 32 rows.
TEST_F(FairSchedulingTest, WhoIsAloneForAMomentTakesShorterSteps) {
  SchedulerOptions options = WithReserve(2);
  options.max_step_rows = 64;
  PuppetDevice device({FakeEngineInfo("fake", kSlots)}, options);
  const auto submit = [&device](const std::string& client, uint64_t seed, uint32_t images) {
    Work work = device.MakeWork(seed, images);
    work.origin.client = client;
    return device.Submit(std::move(work));
  };
  const auto longest_of = [&device](int steps) {
    absl::Duration longest;
    for (int i = 0; i < steps; ++i) longest = std::max(longest, device.RunOne()->expected);
    return longest;
  };
  submit("small", 1, 1);
  device.RunAll();  // Steps have a cost from now on.
  device.clock().Advance(absl::Seconds(2));
  submit("greedy", 100, 500);
  const absl::Duration half = absl::Milliseconds(10 + 32);
  EXPECT_GT(longest_of(20), half);
  auto small = submit("small", 2, 1);
  while (small.listener->images().empty()) ASSERT_TRUE(device.RunOne());
  EXPECT_LE(longest_of(10), half);
  device.clock().Advance(absl::Seconds(2));
  EXPECT_GT(longest_of(20), half);
}

// What a request is told.

TEST_F(FairSchedulingTest, ImagesAheadAreThoseThatItsShareLetsGoFirst) {
  Submit("greedy", 1000, 1000);
  EXPECT_EQ(Submit("small", 1).admission.images_ahead, 1u);
  EXPECT_EQ(Submit("greedy", 5000).admission.images_ahead, 1001u);
  EXPECT_EQ(Submit("urgent", 2, 1, 5).admission.images_ahead, 0u);
  EXPECT_EQ(Submit("small", 3).admission.images_ahead, 4u);  // One of its own, two, one above it.
}

TEST_F(FairSchedulingTest, EstimatesOfASmallClientBesideAGreedyOneComeTrue) {
  Submit("greedy", 1000, 1000);
  for (int i = 0; i < 7; ++i) device_.RunOne();
  for (uint64_t seed = 1; seed < 20; ++seed) {
    auto small = Submit("small", seed);
    const absl::Duration took = Until(*small.listener);
    EXPECT_LE(took, 3 * small.admission.estimated_time);
    EXPECT_GE(took, small.admission.estimated_time / 3);
  }
}

TEST_F(FairSchedulingTest, AClientThatHasTooMuchInLineLeavesRoomForOthers) {
  SchedulerOptions options;
  options.max_queued_images = 20;
  options.max_queued_images_per_client = 10;
  PuppetDevice device({FakeEngineInfo("fake", 1)}, options);
  device.Submit(0);
  device.RunAll();
  const auto of = [&](const std::string& client, uint32_t images) {
    Work work = device.MakeWork(1, images);
    work.origin.client = client;
    return device.scheduler().Submit(std::move(work)).status();
  };
  EXPECT_TRUE(of("greedy", 8).ok());
  const absl::Status refused = of("greedy", 3);
  EXPECT_EQ(ReasonOf(refused), Reason::kClientQueueFull);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("8 images of this client wait"));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("the limit is 10"));
  EXPECT_GT(*RetryDelayOf(refused), absl::ZeroDuration());
  EXPECT_TRUE(of("other", 9).ok());
  EXPECT_LE(*RetryDelayOf(of("greedy", 3)), device.scheduler().backlog_time());
  EXPECT_EQ(ReasonOf(of("third", 9)), Reason::kQueueFull);
  EXPECT_EQ(ReasonOf(of("third", 11)), Reason::kFieldOutOfRange);
  device.RunAll();
  EXPECT_TRUE(of("greedy", 10).ok());
}

TEST_F(FairSchedulingTest, WhoMustMeetADeadlineIsToldAtOnceThatItCannot) {
  Submit("x", 1000, 200);
  Work work = WorkOf("x", 1);
  work.job.on_deadline = OnDeadline::kRefuse;
  work.origin.deadline = work.origin.answer_by = device_.clock().Now() + absl::Seconds(1);
  EXPECT_EQ(ReasonOf(device_.scheduler().Price(work).status()), Reason::kDeadlineUnreachable);
  const absl::Status refused = device_.scheduler().Submit(work).status();
  EXPECT_EQ(ReasonOf(refused), Reason::kDeadlineUnreachable);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("its deadline is in 1s"));
  work.origin.client = "other";  // Its share comes sooner.
  EXPECT_TRUE(device_.scheduler().Submit(work).ok());
  work.origin.client = "x";
  work.job.on_deadline = OnDeadline::kFail;
  EXPECT_TRUE(device_.scheduler().Submit(work).ok());
}

}  // namespace
}  // namespace hmar
