#include "server/scheduling/scheduler.h"

#include <algorithm>
#include <limits>
#include <random>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/base/errors.h"
#include "tests/fakes/puppet_device.h"

namespace hmar {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr size_t kPasses = 5;                   // Of a FakeTask.
constexpr uint32_t kRows[] = {1, 8, 18, 9, 9};  // Of those passes; the second and third are guided.
constexpr uint32_t kRowsOfAnImage = 45;

std::vector<size_t> Sizes(const std::vector<PlannedStep>& steps) {
  std::vector<size_t> sizes;
  for (const PlannedStep& step : steps) sizes.push_back(step.ids.size());
  return sizes;
}

bool SamePicture(const Picture& a, const Picture& b) {
  return a.width == b.width && a.height == b.height && a.rgb == b.rgb;
}

// Every image of a request that a fake engine made: what it makes of the task alone.
void ExpectOwnPictures(const EngineInfo& info, const RecordingListener& listener, uint64_t seed,
                       uint32_t images) {
  const auto finished = listener.images();
  ASSERT_THAT(finished, SizeIs(images));
  for (const auto& [index, image] : finished) {
    const ImageTask task = FakeTask(info, seed + index);
    EXPECT_TRUE(SamePicture(image.picture, FakePicture(info, task))) << "image " << index;
    EXPECT_EQ(image.tokens, FakeTokens(info, task)) << "image " << index;
  }
}

TEST(SchedulerTest, AnImageTakesItsPassesAndArrivesOnce) {
  PuppetDevice device;
  auto request = device.Submit(7);
  EXPECT_EQ(device.scheduler().queued_images(), 1u);
  EXPECT_THAT(device.RunAll(), SizeIs(kPasses));
  EXPECT_THAT(request.listener->events(), ElementsAre("image 0"));
  ExpectOwnPictures(device.engine().info(), *request.listener, 7, 1);
  EXPECT_TRUE(device.Idle());
}

TEST(SchedulerTest, NoWorkIsNoStep) {
  PuppetDevice device;
  EXPECT_FALSE(device.scheduler().NextStep().has_value());
}

TEST(SchedulerTest, SeedsOfARequestCountUpAndWrapAround) {
  PuppetDevice device;
  const uint64_t seed = std::numeric_limits<uint64_t>::max();
  auto request = device.Submit(seed, 3);
  device.RunAll();
  EXPECT_THAT(device.engine().steps().front().seeds, ElementsAre(seed, 0, 1));
  ExpectOwnPictures(device.engine().info(), *request.listener, seed, 3);
}

TEST(SchedulerTest, NoOtherStepIsPlannedBeforeFinish) {
  PuppetDevice device;
  device.Submit(1, 2);
  const auto step = device.scheduler().NextStep();
  ASSERT_TRUE(step.has_value());
  device.Submit(2);
  EXPECT_FALSE(device.scheduler().NextStep().has_value());
  device.Execute(*step);
  EXPECT_TRUE(device.scheduler().NextStep().has_value());
}

TEST(SchedulerTest, NewcomersJoinAtTheNextStepAndScalesMix) {
  PuppetDevice device;
  auto first = device.Submit(10);
  device.RunOne();
  device.RunOne();
  auto second = device.Submit(20);
  const auto step = device.RunOne();
  EXPECT_THAT(step->ids, SizeIs(2));
  EXPECT_THAT(step->admitted, SizeIs(1));
  EXPECT_THAT(Sizes(device.RunAll()), ElementsAre(2, 2, 1, 1));
  ExpectOwnPictures(device.engine().info(), *first.listener, 10, 1);
  ExpectOwnPictures(device.engine().info(), *second.listener, 20, 1);
}

TEST(SchedulerTest, MoreImagesThanSlotsWaitForOne) {
  PuppetDevice device({FakeEngineInfo("fake", 2)});
  auto request = device.Submit(0, 5);
  EXPECT_THAT(device.RunOne()->ids, SizeIs(2));
  EXPECT_EQ(device.scheduler().queued_images(), 3u);
  EXPECT_EQ(device.scheduler().running_images(), 2u);
  device.RunAll();
  ExpectOwnPictures(device.engine().info(), *request.listener, 0, 5);
  EXPECT_TRUE(device.Idle());
}

TEST(SchedulerTest, TellsHowManyClientsWait) {
  PuppetDevice device({FakeEngineInfo("fake", 1)});
  auto first = device.Submit(0, 3);
  EXPECT_EQ(device.scheduler().waiting_clients(), 1u);
  Work other = device.MakeWork(7, 2);
  other.origin.client = "other";
  const auto second = device.Submit(std::move(other));
  EXPECT_EQ(device.scheduler().waiting_clients(), 2u);
  device.RunAll();
  EXPECT_EQ(device.scheduler().waiting_clients(), 0u);
}

TEST(SchedulerTest, PreviewsComeInScaleOrderBeforeTheirImage) {
  PuppetDevice device;
  Work work = device.MakeWork(3, 2);
  work.job.prototype.preview_mode = PreviewMode::kFast;
  work.job.prototype.preview_scales = {true, false, true};
  const ImageTask task = work.job.prototype;
  auto request = device.Submit(std::move(work));
  device.RunAll();
  EXPECT_THAT(request.listener->events(), ElementsAre("preview 0.0", "preview 1.0", "preview 0.2",
                                                      "preview 1.2", "image 0", "image 1"));
  EXPECT_TRUE(SamePicture(request.listener->previews()[{0, 2}],
                          FakePreview(device.engine().info(), task, 2)));
}

TEST(SchedulerTest, APrefixOfEveryScaleTakesOneStepWithoutRows) {
  PuppetDevice device;
  Work work = device.MakeWork(4);
  work.job.prototype.prefix = FakeTokens(device.engine().info(), work.job.prototype);
  const ImageTask task = work.job.prototype;
  auto request = device.Submit(std::move(work));
  EXPECT_THAT(Sizes(device.RunAll()), ElementsAre(1));
  const auto images = request.listener->images();
  ASSERT_THAT(images, SizeIs(1));
  EXPECT_TRUE(SamePicture(images.at(0).picture, FakePicture(device.engine().info(), task)));
  EXPECT_THAT(images.at(0).scales, IsEmpty());
  EXPECT_TRUE(device.Idle());
}

TEST(SchedulerTest, AShorterPrefixLeavesTheLaterPasses) {
  PuppetDevice device;
  Work work = device.MakeWork(4);
  work.job.prototype.prefix = FakeTokens(device.engine().info(), work.job.prototype);
  work.job.prototype.prefix.resize(2);
  auto request = device.Submit(std::move(work));
  EXPECT_THAT(device.RunAll(), SizeIs(3));
  EXPECT_THAT(request.listener->images().at(0).scales, SizeIs(1));
}

// Bounds.

TEST(SchedulerTest, TheQueueTakesAllOfARequestOrNothing) {
  SchedulerOptions options;
  options.max_queued_images = 5;
  PuppetDevice device({FakeEngineInfo()}, options);
  device.Submit(1, 3);
  Work work = device.MakeWork(2, 3);
  std::weak_ptr<WorkListener> listener = work.listener;
  const auto refused = device.scheduler().Submit(std::move(work));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.status().message()),
              AllOf(HasSubstr("3 images wait"), HasSubstr("the limit is 5")));
  EXPECT_TRUE(listener.expired());
  EXPECT_EQ(device.scheduler().queued_images(), 3u);
  EXPECT_EQ(device.scheduler().Price(device.MakeWork(2, 3)).status().code(),
            absl::StatusCode::kResourceExhausted);
  device.Submit(3, 2);  // As many as there is room for.
  device.RunOne();      // What runs does not wait.
  device.Submit(4, 5);
}

TEST(SchedulerTest, ALineOfWhatCanWaitTurnsNothingAwayThatGoesBeforeIt) {
  SchedulerOptions options;
  options.max_queued_images = 16;
  PuppetDevice device({FakeEngineInfo()}, options);
  const auto take = [&device](int priority, uint32_t images) {
    Work work = device.MakeWork(1, images);
    work.job.priority = priority;
    return device.scheduler().Submit(std::move(work)).status();
  };
  EXPECT_EQ(ReasonOf(take(-1, 15)), Reason::kFieldOutOfRange);
  EXPECT_TRUE(take(-10, 14).ok());
  EXPECT_THAT(std::string(take(-1, 1).message()), HasSubstr("the limit is 14 at priority -1"));
  EXPECT_EQ(ReasonOf(take(0, 3)), Reason::kQueueFull);
  EXPECT_TRUE(take(0, 2).ok());
  EXPECT_EQ(ReasonOf(take(0, 1)), Reason::kQueueFull);
  EXPECT_TRUE(take(1, 2).ok());
  EXPECT_THAT(std::string(take(10, 1).message()), HasSubstr("the limit is 18 at priority 10"));
}

TEST(SchedulerTest, WhatTheQueueCanNeverHoldIsNotWorthAnotherTry) {
  SchedulerOptions options;
  options.max_queued_images = 5;
  PuppetDevice device({FakeEngineInfo()}, options);
  const absl::Status refused = device.scheduler().Submit(device.MakeWork(1, 6)).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.message()),
              AllOf(HasSubstr("6 images"), HasSubstr("limit is 5")));
  EXPECT_FALSE(RetryDelayOf(refused).has_value());
}

TEST(SchedulerTest, ARefusalSaysHowLongTheBacklogTakesNow) {
  SchedulerOptions options;
  options.max_queued_images = 8;
  PuppetDevice device({FakeEngineInfo("fake", 1)}, options);
  device.Submit(0);
  device.RunAll();  // Steps have a cost from now on.
  auto many = device.Submit(10, 7);
  auto one = device.Submit(20, 1);
  const auto delay = [&] {
    return *RetryDelayOf(device.scheduler().Submit(device.MakeWork(30, 8)).status());
  };
  const absl::Duration all = delay();
  EXPECT_GT(all, absl::ZeroDuration());
  EXPECT_EQ(delay(), all);
  device.RunOne();
  const absl::Duration one_step_later = delay();
  EXPECT_LT(one_step_later, all);
  device.scheduler().Cancel(one.admission.id);
  EXPECT_LT(delay(), one_step_later);
  EXPECT_EQ(delay(), device.scheduler().backlog_time());
}

TEST(SchedulerTest, UntilItIsOpenOnlyProbesAreTaken) {
  SchedulerOptions options;
  options.starts_closed = true;
  PuppetDevice device({FakeEngineInfo()}, options);
  EXPECT_EQ(ReasonOf(device.scheduler().CheckOpen()), Reason::kNotReady);
  for (const absl::Status& early : {device.scheduler().Submit(device.MakeWork(1)).status(),
                                    device.scheduler().Price(device.MakeWork(1)).status()}) {
    EXPECT_EQ(early.code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(ReasonOf(early), Reason::kNotReady);
  }
  Work probe = device.MakeWork(0);
  probe.probe = true;
  device.Submit(std::move(probe));
  device.scheduler().OpenToClients();
  EXPECT_TRUE(device.scheduler().CheckOpen().ok());
  device.Submit(1);
  device.scheduler().BeginDrain();
  EXPECT_EQ(ReasonOf(device.scheduler().CheckOpen()), Reason::kDraining);
}

TEST(SchedulerTest, UnderATightBudgetEveryImageKeepsMoving) {
  SchedulerOptions options;
  options.max_step_rows = 20;
  PuppetDevice device({FakeEngineInfo("fake", 4)}, options);
  auto request = device.Submit(0, 12);
  std::map<ImageId, size_t> last_seen;
  size_t number = 0;
  while (auto step = device.RunOne()) {
    ++number;
    for (ImageId id : step->ids) {
      if (last_seen.contains(id)) {
        EXPECT_LE(number - last_seen[id], 4u) << "image " << id;
      }
      last_seen[id] = number;
    }
  }
  ExpectOwnPictures(device.engine().info(), *request.listener, 0, 12);
}

TEST(SchedulerTest, StepsKeepWithinTheBudgetUnlessAnImageIsLargerThanIt) {
  SchedulerOptions options;
  options.max_step_rows = 12;
  PuppetDevice device({FakeEngineInfo()}, options);
  device.Submit(0, 6);
  std::map<ImageId, size_t> passes;
  while (auto step = device.RunOne()) {
    uint32_t rows = 0;
    for (ImageId id : step->ids) rows += kRows[passes[id]++];
    if (step->ids.size() > 1) {
      EXPECT_LE(rows, 12u);
    }
  }
  EXPECT_THAT(passes, SizeIs(6));
}

// Cancellation.

TEST(SchedulerTest, ACancelledRequestThatWaitsNeverRuns) {
  PuppetDevice device;
  auto request = device.Submit(1, 2);
  device.scheduler().Cancel(request.admission.id);
  EXPECT_EQ(device.scheduler().queued_images(), 0u);
  EXPECT_FALSE(device.RunOne().has_value());
  EXPECT_THAT(device.engine().calls(), IsEmpty());
  EXPECT_THAT(request.listener->events(), IsEmpty());
}

TEST(SchedulerTest, ACancelledRequestThatRunsLeavesBeforeTheNextStep) {
  PuppetDevice device;
  auto gone = device.Submit(1, 2);
  auto stays = device.Submit(50);
  const auto first = device.RunOne();
  device.scheduler().Cancel(gone.admission.id);
  EXPECT_EQ(device.scheduler().running_images(), 1u);
  const auto next = device.RunOne();
  EXPECT_THAT(next->cancelled, ElementsAre(std::pair<size_t, ImageId>(0, first->ids[0]),
                                           std::pair<size_t, ImageId>(0, first->ids[1])));
  EXPECT_THAT(next->ids, ElementsAre(first->ids[2]));
  device.RunAll();
  EXPECT_THAT(gone.listener->events(), IsEmpty());
  ExpectOwnPictures(device.engine().info(), *stays.listener, 50, 1);
  EXPECT_TRUE(device.Idle());
}

TEST(SchedulerTest, TheSlotOfACancelledImageServesTheSameStep) {
  PuppetDevice device({FakeEngineInfo("fake", 1)});
  auto gone = device.Submit(1);
  device.Submit(2);
  device.RunOne();
  device.scheduler().Cancel(gone.admission.id);
  const auto step = device.RunOne();
  EXPECT_THAT(step->cancelled, SizeIs(1));
  EXPECT_THAT(step->admitted, SizeIs(1));
}

TEST(SchedulerTest, WithNothingElseToDoThereIsAStepOfCancellationsOnly) {
  PuppetDevice device;
  auto request = device.Submit(1);
  device.RunOne();
  device.scheduler().Cancel(request.admission.id);
  const auto step = device.RunOne();
  EXPECT_THAT(step->cancelled, SizeIs(1));
  EXPECT_THAT(step->ids, IsEmpty());
  EXPECT_FALSE(step->await_pictures);
  EXPECT_FALSE(device.RunOne().has_value());
  EXPECT_TRUE(device.Idle());
}

TEST(SchedulerTest, ARequestCancelledDuringItsLastStepHearsNothing) {
  PuppetDevice device;
  auto request = device.Submit(1);
  for (size_t i = 0; i + 1 < kPasses; ++i) device.RunOne();
  const auto last = device.scheduler().NextStep();
  device.scheduler().Cancel(request.admission.id);
  device.Execute(*last);
  EXPECT_THAT(request.listener->events(), IsEmpty());
  device.RunAll();
  EXPECT_TRUE(device.Idle());
}

TEST(SchedulerTest, UnknownAndFinishedRequestsCanBeCancelled) {
  PuppetDevice device;
  auto request = device.Submit(1);
  device.RunAll();
  device.scheduler().Cancel(request.admission.id);
  device.scheduler().Cancel(4711);
  EXPECT_THAT(request.listener->events(), ElementsAre("image 0"));
  EXPECT_FALSE(device.RunOne().has_value());
}

TEST(SchedulerTest, AListenerMayCancelAnotherRequestWhosePictureIsInTheSameReport) {
  PuppetDevice device;
  WorkId second_id = 0;
  Work first = device.MakeWork(1);
  first.listener =
      std::make_shared<RecordingListener>([&] { device.scheduler().Cancel(second_id); });
  auto killer = device.Submit(std::move(first));
  auto victim = device.Submit(2);
  second_id = victim.admission.id;
  device.RunAll();
  EXPECT_THAT(killer.listener->events(), ElementsAre("image 0"));
  EXPECT_THAT(victim.listener->events(), IsEmpty());
}

TEST(SchedulerTest, AListenerMayCancelItsOwnRequestAndSubmitAnother) {
  PuppetDevice device;
  WorkId own = 0;
  std::optional<PuppetDevice::Submitted> other;
  Work work = device.MakeWork(1, 3);
  work.listener = std::make_shared<RecordingListener>([&] {
    device.scheduler().Cancel(own);
    other = device.Submit(9);
  });
  auto request = device.Submit(std::move(work));
  own = request.admission.id;
  device.RunAll();
  EXPECT_THAT(request.listener->events(), ElementsAre("image 0"));
  ExpectOwnPictures(device.engine().info(), *other->listener, 9, 1);
}

TEST(SchedulerTest, ListenersAreLetGoOnceHeardOutOrCancelled) {
  PuppetDevice device;
  auto done = device.Submit(1);
  auto cancelled = device.Submit(2, 20);
  device.RunOne();
  device.scheduler().Cancel(cancelled.admission.id);
  device.RunAll();
  EXPECT_EQ(done.listener.use_count(), 1);
  EXPECT_EQ(cancelled.listener.use_count(), 1);
}

// Failures.

TEST(SchedulerTest, AStepThatFailsIsHalvedUntilTheGuiltyIsAlone) {
  PuppetDevice device;
  device.engine().SetFaults({.step_fails_seeds = {3}});
  std::vector<PuppetDevice::Submitted> requests;
  for (uint64_t seed = 0; seed < 8; ++seed) requests.push_back(device.Submit(seed));
  device.RunOne();
  EXPECT_EQ(device.scheduler().running_images(), 8u);
  device.Submit(100);  // Must not get between the halves.
  std::vector<std::vector<uint64_t>> seeds;
  for (int i = 0; i < 6; ++i) device.RunOne();
  for (const FakeEngine::Call& step : device.engine().steps()) seeds.push_back(step.seeds);
  using Seeds = std::vector<uint64_t>;
  EXPECT_THAT(seeds, ElementsAre(Seeds{0, 1, 2, 3, 4, 5, 6, 7}, Seeds{0, 1, 2, 3}, Seeds{0, 1},
                                 Seeds{2, 3}, Seeds{2}, Seeds{3}, Seeds{4, 5, 6, 7}));
  device.RunAll();
  for (uint64_t seed = 0; seed < 8; ++seed) {
    if (seed == 3) {
      EXPECT_EQ(requests[seed].listener->status().code(), absl::StatusCode::kInternal);
      EXPECT_THAT(requests[seed].listener->events(), ElementsAre("failed"));
    } else {
      ExpectOwnPictures(device.engine().info(), *requests[seed].listener, seed, 1);
    }
  }
  EXPECT_TRUE(device.Idle());
}

TEST(SchedulerTest, OutOfMemoryShrinksTheStepAndNobodyFails) {
  PuppetDevice device;
  device.engine().SetFaults({.max_step_images = 2});
  auto request = device.Submit(0, 8);
  device.RunAll();
  EXPECT_TRUE(request.listener->status().ok());
  ExpectOwnPictures(device.engine().info(), *request.listener, 0, 8);
}

TEST(SchedulerTest, AnImageThatFailsAloneTakesItsRequestWithIt) {
  PuppetDevice device({FakeEngineInfo("fake", 4)});
  device.engine().SetFaults({.step_fails_seeds = {1}});
  auto guilty = device.Submit(0, 10);
  auto other = device.Submit(50, 2);
  device.RunAll();
  EXPECT_THAT(guilty.listener->events(), ElementsAre("failed"));
  EXPECT_THAT(std::string(guilty.listener->status().message()), HasSubstr("seed 1"));
  ExpectOwnPictures(device.engine().info(), *other.listener, 50, 2);
  EXPECT_TRUE(device.Idle());
}

TEST(SchedulerTest, AHalfWhoseImagesWereCancelledIsSkipped) {
  PuppetDevice device;
  device.engine().SetFaults({.step_fails_seeds = {0}});
  auto guilty = device.Submit(0);
  auto other = device.Submit(1);
  device.RunOne();
  device.scheduler().Cancel(guilty.admission.id);
  device.RunAll();
  ExpectOwnPictures(device.engine().info(), *other.listener, 1, 1);
  EXPECT_TRUE(device.Idle());
}

TEST(SchedulerTest, AReportedFailureFailsItsRequestOnly) {
  PuppetDevice device;
  device.engine().SetFaults({.non_finite_seeds = {1}});
  auto guilty = device.Submit(0, 3);
  auto other = device.Submit(50, 2);
  device.RunAll();
  EXPECT_THAT(guilty.listener->events(), ElementsAre("failed"));
  EXPECT_THAT(std::string(guilty.listener->status().message()), HasSubstr("not finite"));
  ExpectOwnPictures(device.engine().info(), *other.listener, 50, 2);
  EXPECT_TRUE(device.Idle());
}

// Deadlines.

TEST(SchedulerTest, WhatPassesItsDeadlineLeavesBeforeTheNextStep) {
  PuppetDevice device({FakeEngineInfo("fake", 2)});
  Work work = device.MakeWork(1, 3);
  work.origin.deadline = device.clock().Now() + absl::Seconds(1);
  auto late = device.Submit(std::move(work));
  auto patient = device.Submit(50);
  device.RunOne();
  device.clock().Advance(absl::Seconds(1));
  const auto step = device.RunOne();
  EXPECT_THAT(step->cancelled, SizeIs(2));
  EXPECT_THAT(step->ids, SizeIs(1));
  EXPECT_THAT(late.listener->events(), ElementsAre("failed"));
  EXPECT_EQ(late.listener->status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(late.listener->status().message()), HasSubstr("3 of 3"));
  device.RunAll();
  ExpectOwnPictures(device.engine().info(), *patient.listener, 50, 1);
  EXPECT_TRUE(device.Idle());
}

// Several models.

TEST(SchedulerTest, ModelsWithWorkAlternate) {
  PuppetDevice device({FakeEngineInfo("a"), FakeEngineInfo("b")});
  auto a = device.Submit(1, 4, 0);
  auto b = device.Submit(1, 4, 1);
  std::vector<size_t> models;
  for (const PlannedStep& step : device.RunAll()) models.push_back(step.model);
  EXPECT_THAT(models, ElementsAre(0, 1, 0, 1, 0, 1, 0, 1, 0, 1));
  ExpectOwnPictures(device.engine(0).info(), *a.listener, 1, 4);
  ExpectOwnPictures(device.engine(1).info(), *b.listener, 1, 4);
}

TEST(SchedulerTest, ImageIdsAreUniqueOverModels) {
  PuppetDevice device({FakeEngineInfo("a"), FakeEngineInfo("b")});
  device.Submit(1, 4, 0);
  device.Submit(1, 4, 1);
  std::set<ImageId> ids;
  for (const PlannedStep& step : device.RunAll()) {
    for (const auto& image : step.admitted) EXPECT_TRUE(ids.insert(image.id).second);
  }
  EXPECT_THAT(ids, SizeIs(8));
}

// Pictures that come after the last pass.

TEST(SchedulerTest, DuePicturesHoldTheirSlotsAndAreWaitedForWhenNothingRuns) {
  PuppetDevice device({FakeEngineInfo("fake", 2)});
  device.engine().SetFaults({.picture_delay_steps = 100});
  auto request = device.Submit(0, 3);
  std::vector<PlannedStep> steps = device.RunAll();
  // Two images run; their pictures are due, so the third has no slot until one has come.
  EXPECT_THAT(Sizes(steps), ElementsAre(2, 2, 2, 2, 2, 0, 1, 1, 1, 1, 1, 0, 0));
  for (const PlannedStep& step : steps) EXPECT_EQ(step.await_pictures, step.ids.empty());
  ExpectOwnPictures(device.engine().info(), *request.listener, 0, 3);
  EXPECT_TRUE(device.Idle());
}

TEST(SchedulerTest, DuePicturesCanBeCancelled) {
  PuppetDevice device;
  device.engine().SetFaults({.picture_delay_steps = 100});
  auto request = device.Submit(0);
  for (size_t i = 0; i < kPasses; ++i) device.RunOne();
  EXPECT_EQ(device.scheduler().running_images(), 1u);
  device.scheduler().Cancel(request.admission.id);
  EXPECT_THAT(device.RunAll(), SizeIs(1));
  EXPECT_THAT(request.listener->events(), IsEmpty());
  EXPECT_TRUE(device.Idle());
}

TEST(SchedulerTest, AnotherModelsWorkDoesNotHoldBackDuePictures) {
  PuppetDevice device({FakeEngineInfo("a"), FakeEngineInfo("b", 1)});
  device.engine(0).SetFaults({.picture_delay_steps = 100});
  auto due = device.Submit(1, 1, 0);
  auto busy = device.Submit(1, 50, 1);
  for (int i = 0; i < 30; ++i) device.RunOne();
  ExpectOwnPictures(device.engine(0).info(), *due.listener, 1, 1);
  EXPECT_LT(busy.listener->images().size(), 50u);
  device.RunAll();
}

TEST(SchedulerTest, AnErrorWhileWaitingForPicturesFailsThoseThatAreDue) {
  PuppetDevice device;
  device.engine().SetFaults({.picture_delay_steps = 100});
  auto request = device.Submit(0);
  for (size_t i = 0; i < kPasses; ++i) device.RunOne();
  const auto wait = device.scheduler().NextStep();
  ASSERT_TRUE(wait->await_pictures);
  device.scheduler().Finish(*wait, absl::InternalError("device lost"), absl::ZeroDuration());
  EXPECT_THAT(request.listener->events(), ElementsAre("failed"));
  device.RunAll();
  EXPECT_TRUE(device.Idle());
}

// Prices.

TEST(SchedulerTest, BeforeAnyStepEstimatesAreZero) {
  PuppetDevice device;
  const auto first = device.Submit(0, 3);
  EXPECT_EQ(first.admission.images_ahead, 0u);
  EXPECT_EQ(first.admission.estimated_time, absl::ZeroDuration());
  const auto second = device.Submit(0, 2);
  EXPECT_EQ(second.admission.images_ahead, 3u);
  EXPECT_NE(second.admission.id, first.admission.id);
  EXPECT_EQ(device.scheduler().backlog_time(), absl::ZeroDuration());
}

TEST(SchedulerTest, EstimatesComeCloseToWhatHappens) {
  PuppetDevice device;
  device.Submit(0, 2);
  device.RunAll();
  for (uint32_t images : {1, 4, 8, 40}) {
    auto ahead = device.Submit(100, images);
    auto request = device.Submit(200, images);
    EXPECT_EQ(request.admission.images_ahead, images);
    const absl::Time start = device.clock().Now();
    EXPECT_EQ(device.scheduler().backlog_time(), request.admission.estimated_time);
    device.RunAll();
    const double took = absl::ToDoubleSeconds(device.clock().Now() - start);
    EXPECT_NEAR(absl::ToDoubleSeconds(request.admission.estimated_time), took, 0.1 * took);
    EXPECT_NEAR(request.admission.estimated_device_seconds, took / 2, 0.1 * took);
  }
}

TEST(SchedulerTest, PriceSaysWhatSubmitWouldAndTakesNothing) {
  PuppetDevice device;
  device.Submit(0, 2);
  device.RunAll();
  device.Submit(1, 5);
  const Work work = device.MakeWork(7, 3);
  const auto price = device.scheduler().Price(work);
  ASSERT_TRUE(price.ok());
  EXPECT_EQ(price->id, 0u);
  EXPECT_EQ(device.scheduler().queued_images(), 5u);
  const auto submitted = device.Submit(Work(work));
  EXPECT_EQ(price->images_ahead, submitted.admission.images_ahead);
  EXPECT_EQ(price->estimated_time, submitted.admission.estimated_time);
  EXPECT_EQ(price->estimated_device_seconds, submitted.admission.estimated_device_seconds);
}

TEST(SchedulerTest, TheReceiptSaysWhatEachScaleCost) {
  PuppetDevice device;
  auto first = device.Submit(1);
  device.RunOne();  // Scale 0, alone: 10 ms + 1 row.
  device.clock().Advance(absl::Seconds(2));
  auto second = device.Submit(2);
  device.clock().Advance(absl::Seconds(3));
  device.RunAll();
  const FinishedImage a = first.listener->images().at(0);
  const FinishedImage b = second.listener->images().at(0);
  ASSERT_THAT(a.scales, SizeIs(3));
  ASSERT_THAT(b.scales, SizeIs(3));
  EXPECT_EQ(a.scales[0].passes, 1u);
  EXPECT_EQ(a.scales[0].max_batch_images, 1u);
  EXPECT_NEAR(a.scales[0].device_seconds, 0.011, 1e-9);
  // Scale 1 of the first shares its step (19 ms) with scale 0 of the second, 8 rows to 1.
  EXPECT_EQ(a.scales[1].max_batch_images, 2u);
  EXPECT_NEAR(a.scales[1].device_seconds, 0.019 * 8 / 9, 1e-9);
  EXPECT_NEAR(b.scales[0].device_seconds, 0.019 * 1 / 9, 1e-9);
  EXPECT_EQ(a.scales[2].scale, 2u);
  EXPECT_EQ(a.scales[2].passes, 3u);
  EXPECT_EQ(b.queued, absl::Seconds(3));
  double shares = 0;
  for (const FinishedImage* image : {&a, &b}) {
    for (const ScaleCost& scale : image->scales) shares += scale.device_seconds;
  }
  // Six steps at 10 ms and two images' rows at 1 ms.
  EXPECT_NEAR(shares, 0.060 + 2 * kRowsOfAnImage * 0.001, 1e-9);
  EXPECT_EQ(b.ran, absl::Milliseconds(50 + (8 + 1) + (18 + 8) + (9 + 18) + (9 + 9) + 9));
}

// Drain and stop.

TEST(SchedulerTest, DrainFinishesWhatWasAcceptedAndRefusesTheRest) {
  PuppetDevice device({FakeEngineInfo("fake", 2)});
  auto request = device.Submit(0, 5);
  device.RunOne();
  device.scheduler().BeginDrain();
  EXPECT_EQ(device.scheduler().Submit(device.MakeWork(9)).status().code(),
            absl::StatusCode::kUnavailable);
  while (auto step = device.scheduler().AwaitStep()) device.Execute(*step);
  ExpectOwnPictures(device.engine().info(), *request.listener, 0, 5);
  EXPECT_TRUE(device.Idle());
}

TEST(SchedulerTest, DrainWithoutWorkEndsAtOnce) {
  PuppetDevice device;
  device.scheduler().BeginDrain();
  EXPECT_FALSE(device.scheduler().AwaitStep().has_value());
}

TEST(SchedulerTest, StopFailsEverythingAndEndsTheLoop) {
  PuppetDevice device({FakeEngineInfo("fake", 2)});
  auto runs = device.Submit(0, 2);
  auto waits = device.Submit(10, 2);
  device.RunOne();
  const auto under_way = device.scheduler().NextStep();
  device.scheduler().Stop(absl::UnavailableError("going down"));
  device.scheduler().Stop(absl::InternalError("again"));
  for (const auto* request : {&runs, &waits}) {
    EXPECT_THAT(request->listener->events(), ElementsAre("failed"));
    EXPECT_EQ(request->listener->status(), absl::UnavailableError("going down"));
  }
  device.Execute(*under_way);
  EXPECT_FALSE(device.scheduler().AwaitStep().has_value());
  EXPECT_FALSE(device.scheduler().NextStep().has_value());
  EXPECT_EQ(device.scheduler().Submit(device.MakeWork(1)).status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(device.scheduler().queued_images() + device.scheduler().running_images(), 0u);
}

// Books that balance.

TEST(SchedulerTest, CancelsAmongManyLeaveTheOthersByteIdentical) {
  PuppetDevice device({FakeEngineInfo("fake", 16)});
  std::vector<PuppetDevice::Submitted> requests;
  for (uint64_t seed = 0; seed < 30; ++seed) requests.push_back(device.Submit(100 * seed, 2));
  for (size_t victim = 0; victim < 30; victim += 3) {
    device.RunOne();
    device.scheduler().Cancel(requests[victim].admission.id);
  }
  device.RunAll();
  for (uint64_t seed = 0; seed < 30; ++seed) {
    if (seed % 3 == 0) continue;
    ExpectOwnPictures(device.engine().info(), *requests[seed].listener, 100 * seed, 2);
  }
  EXPECT_TRUE(device.Idle());
}

// What a random crowd needs to remember of one of its requests.
struct Crowd {
  PuppetDevice::Submitted request;
  size_t model;
  uint64_t seed;
  uint32_t images;
  bool cancelled = false;
};

TEST(SchedulerTest, TwoThousandImagesWithCancelsAndFaultsLeaveNothingBehind) {
  const auto metrics =
      Metrics::Create({{"a", "d", "fp32", 3}, {"b", "d", "fp32", 3}}, {{"cpu", {}}}, "test");
  ASSERT_TRUE(metrics.ok());
  SchedulerOptions options;
  options.max_step_rows = 60;
  options.max_queued_images = 2100;
  PuppetDevice device({FakeEngineInfo("a", 6), FakeEngineInfo("b", 3)}, options, metrics->get());
  std::mt19937 random(1);
  const auto pick = [&random](uint32_t below) { return static_cast<uint32_t>(random() % below); };
  FakeFaults faults{.max_step_images = 5, .picture_delay_steps = 2};
  for (uint64_t i = 0; i < 500; ++i) faults.step_fails_seeds.insert(100 * i + 17);
  for (uint64_t i = 0; i < 500; ++i) faults.non_finite_seeds.insert(100 * i + 51);
  for (size_t model : {0, 1}) device.engine(model).SetFaults(faults);

  std::vector<Crowd> crowd;
  uint32_t submitted = 0;
  while (submitted < 2000 || !device.Idle()) {
    if (submitted < 2000 && pick(3) == 0) {
      Crowd one{{}, pick(2), pick(50'000), 1 + pick(8)};
      one.request = device.Submit(one.seed, one.images, one.model);
      submitted += one.images;
      crowd.push_back(std::move(one));
    }
    if (!crowd.empty() && pick(10) == 0) {
      Crowd& victim = crowd[crowd.size() - 1 - pick(std::min<uint32_t>(crowd.size(), 20))];
      if (victim.request.listener->events().empty()) {
        victim.cancelled = true;
        device.scheduler().Cancel(victim.request.admission.id);
      }
    }
    device.RunOne();
  }

  uint32_t finished = 0;
  uint32_t failed = 0;
  for (const Crowd& one : crowd) {
    const RecordingListener& listener = *one.request.listener;
    EXPECT_EQ(one.request.listener.use_count(), 1);
    if (one.cancelled) {
      EXPECT_THAT(listener.events(), IsEmpty());
    } else if (listener.status().ok()) {
      ++finished;
      ExpectOwnPictures(device.engine(one.model).info(), listener, one.seed, one.images);
    } else {
      ++failed;
    }
  }
  EXPECT_GT(finished, 100u);
  EXPECT_GT(failed, 10u);
  EXPECT_FALSE(device.RunOne().has_value());
  EXPECT_EQ(device.scheduler().backlog_time(), absl::ZeroDuration());
  const std::string text = (*metrics)->Text();
  for (const char* line :
       {"hmar_queue_images{model=\"a\"} 0\n", "hmar_queue_images{model=\"b\"} 0\n",
        "hmar_running_images{device=\"cpu\",model=\"a\"} 0\n",
        "hmar_running_images{device=\"cpu\",model=\"b\"} 0\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line;
  }
}

}  // namespace
}  // namespace hmar
