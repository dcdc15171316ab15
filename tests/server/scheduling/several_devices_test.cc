// One scheduler, several devices: who takes what, and what follows from it.

#include <map>
#include <random>
#include <set>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/scheduling/engine_loop.h"
#include "tests/fakes/puppet_device.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Devices whose costs are known: each has made an image.
class SeveralDevicesTest : public ::testing::Test {
 protected:
  explicit SeveralDevicesTest(size_t devices = 2)
      : puppet_({FakeEngineInfo("fake", 8)}, {}, nullptr, devices) {}

  void Measure() {
    for (size_t device : {0, 1}) {
      Work work = puppet_.MakeWork(999);
      work.device = device;
      puppet_.Submit(std::move(work));
    }
    puppet_.RunAll();
  }

  // Images that the device's next step admits and does not, without running it.
  size_t Admitted(size_t device) {
    const auto step = puppet_.scheduler().NextStep(device);
    if (!step) return 0;
    under_way_[device] = *step;
    return step->admitted.size();
  }

  void ExpectPictures(const PuppetDevice::Submitted& request, uint64_t seed, uint32_t images) {
    const auto finished = request.listener->images();
    ASSERT_THAT(finished, SizeIs(images));
    const EngineInfo& info = puppet_.engine().info();
    for (const auto& [index, image] : finished) {
      const ImageTask task = FakeTask(info, seed + index);
      EXPECT_EQ(image.picture.rgb, FakePicture(info, task).rgb) << "image " << index;
      EXPECT_EQ(image.tokens, FakeTokens(info, task)) << "image " << index;
    }
  }

  PuppetDevice puppet_;
  std::map<size_t, PlannedStep> under_way_;
};

TEST_F(SeveralDevicesTest, ABurstIsSharedEvenlyWhoeverPlansFirst) {
  for (bool measured : {false, true}) {
    if (measured) Measure();
    for (size_t first : {0, 1}) {
      const auto request = puppet_.Submit(10, 12);
      EXPECT_EQ(Admitted(first), 6u);
      EXPECT_EQ(Admitted(1 - first), 6u);
      for (const auto& [device, step] : under_way_) puppet_.Execute(step);
      puppet_.RunAll();
      ExpectPictures(request, 10, 12);
    }
  }
  EXPECT_TRUE(puppet_.Idle());
}

TEST_F(SeveralDevicesTest, ALoneImageIsLeftToTheIdleDevice) {
  Measure();
  auto busy = puppet_.Submit(1, 2);
  EXPECT_EQ(Admitted(0), 1u);
  EXPECT_EQ(Admitted(1), 1u);
  puppet_.scheduler().Cancel(busy.admission.id);
  for (const auto& [device, step] : under_way_) puppet_.Execute(step);
  puppet_.RunAll();

  Work pinned = puppet_.MakeWork(2);
  pinned.device = 0;
  puppet_.Submit(std::move(pinned));
  puppet_.RunOne(0);
  const auto lone = puppet_.Submit(3);
  EXPECT_THAT(puppet_.RunOne(0)->admitted, IsEmpty());  // It has room, but device 1 is idle.
  EXPECT_THAT(puppet_.RunOne(1)->admitted, SizeIs(1));
  puppet_.RunAll();
  ExpectPictures(lone, 3, 1);
}

TEST_F(SeveralDevicesTest, AnIdleDeviceLeavesTheImageToAFasterOneThatIsBusy) {
  puppet_.SlowDown(0, 50);
  Measure();
  Work pinned = puppet_.MakeWork(2);
  pinned.device = 1;
  puppet_.Submit(std::move(pinned));
  puppet_.RunOne(1);
  const auto lone = puppet_.Submit(3);
  EXPECT_FALSE(puppet_.RunOne(0).has_value());
  EXPECT_THAT(puppet_.RunOne(1)->admitted, SizeIs(1));
  puppet_.RunAll();
  ExpectPictures(lone, 3, 1);
}

TEST_F(SeveralDevicesTest, ASlowDeviceTakesItsShareOfALongQueueToo) {
  puppet_.SlowDown(0, 3);
  Measure();
  const auto request = puppet_.Submit(10, 100);
  std::map<size_t, size_t> admitted;
  // Device 1 has time for three steps in one of device 0.
  for (int i = 0; request.listener->images().size() < 100 && i < 10'000; ++i) {
    const auto step = puppet_.RunOne(i % 4 == 0 ? 0 : 1);
    if (step) admitted[step->device] += step->admitted.size();
  }
  ExpectPictures(request, 10, 100);
  EXPECT_NEAR(admitted[0], 25, 8);
}

// Were it never tried again, nobody would learn that it is fast.
TEST_F(SeveralDevicesTest, ADeviceThatWasSlowOnceIsTriedAgain) {
  puppet_.SlowDown(1, 100);
  Measure();
  puppet_.SlowDown(1, 1);
  size_t images = 0;
  for (bool tried = false; !tried && images < 5000; ++images) {
    puppet_.Submit(images, 2);
    puppet_.RunOne(0);
    tried = puppet_.RunOne(1).has_value();
    puppet_.RunAll();
  }
  EXPECT_GT(images, 10u);
  EXPECT_LT(images, 1000u);
}

TEST_F(SeveralDevicesTest, ImagesStayWhereTheyStarted) {
  puppet_.Submit(1, 30);
  std::map<ImageId, size_t> place;
  for (const PlannedStep& step : puppet_.RunAll()) {
    for (ImageId id : step.ids)
      EXPECT_EQ(place.emplace(id, step.device).first->second, step.device);
  }
  EXPECT_THAT(place, SizeIs(30));
}

TEST_F(SeveralDevicesTest, ACancelReachesTheDeviceOfEachImage) {
  const auto gone = puppet_.Submit(1, 4);
  const auto first = puppet_.RunOne(0);
  const auto second = puppet_.RunOne(1);
  EXPECT_THAT(first->ids, SizeIs(2));
  EXPECT_THAT(second->ids, SizeIs(2));
  puppet_.scheduler().Cancel(gone.admission.id);
  const auto cancels = puppet_.RunOne(1);
  ASSERT_TRUE(cancels.has_value());
  EXPECT_THAT(cancels->cancelled, ElementsAre(std::pair<size_t, ImageId>(0, second->ids[0]),
                                              std::pair<size_t, ImageId>(0, second->ids[1])));
  EXPECT_EQ(puppet_.engine(0, 1).images_held(), 0u);
  EXPECT_EQ(puppet_.engine(0, 0).images_held(), 2u);
  puppet_.RunAll();
  EXPECT_THAT(gone.listener->events(), IsEmpty());
  EXPECT_TRUE(puppet_.Idle());
}

TEST_F(SeveralDevicesTest, AFailureOnOneDeviceReleasesTheRequestsImagesOnTheOther) {
  puppet_.engine(0, 1).SetFaults({.non_finite_seeds = {11}});
  const auto guilty = puppet_.Submit(10, 2);  // Seed 10 on device 0, seed 11 on device 1.
  for (int i = 0; i < 2; ++i) {
    puppet_.RunOne(0);
    puppet_.RunOne(1);
  }
  EXPECT_THAT(guilty.listener->events(), ElementsAre("failed"));
  EXPECT_THAT(puppet_.RunOne(0)->cancelled, SizeIs(1));
  EXPECT_FALSE(puppet_.RunOne(1).has_value());
  EXPECT_TRUE(puppet_.Idle());
}

TEST_F(SeveralDevicesTest, AFailedStepIsHalvedOnItsOwnDevice) {
  puppet_.engine(0, 1).SetFaults({.max_step_images = 1});
  const auto request = puppet_.Submit(1, 8);
  for (const PlannedStep& step : puppet_.RunAll()) {
    if (step.device == 0) {
      EXPECT_EQ(step.ids.size(), 4u);
    }
  }
  ExpectPictures(request, 1, 8);
}

TEST_F(SeveralDevicesTest, EachDeviceKeepsToItsEnginesStepRows) {
  EngineInfo info = FakeEngineInfo("fake", 8);
  FakeClock clock;
  SchedulerOptions options;
  options.devices = {{info}, {info}};
  options.devices[1][0].max_step_rows = 2;  // Two first passes.
  options.max_step_rows = 100;
  Scheduler scheduler(options, &clock, nullptr);
  Work work;
  work.job.images = 10;
  work.job.prototype = FakeTask(info);
  work.listener = std::make_shared<RecordingListener>();
  ASSERT_TRUE(scheduler.Submit(work).ok());
  EXPECT_THAT(scheduler.NextStep(0)->admitted, SizeIs(5));
  EXPECT_THAT(scheduler.NextStep(1)->admitted, SizeIs(2));
}

// The estimates of two devices that run side by side: half of what one takes.
TEST_F(SeveralDevicesTest, EstimatesAreThoseOfAllDevicesTogether) {
  Measure();
  PuppetDevice alone;
  alone.Submit(999);
  alone.RunAll();
  const auto one = alone.Submit(1, 8);
  const auto two = puppet_.Submit(1, 16);
  const auto near = [](absl::Duration a, absl::Duration b) {
    return absl::AbsDuration(a - b) < absl::Microseconds(1);
  };
  EXPECT_GT(one.admission.estimated_time, absl::Milliseconds(50));
  EXPECT_TRUE(near(two.admission.estimated_time, one.admission.estimated_time));
  EXPECT_NEAR(two.admission.estimated_device_seconds, 2 * one.admission.estimated_device_seconds,
              1e-6);
  EXPECT_TRUE(near(puppet_.scheduler().backlog_time(), alone.scheduler().backlog_time()));
  EXPECT_EQ(puppet_.Submit(2).admission.images_ahead, 16u);
}

// A queue, an interleaving of the devices and cancels at random: everything ends, and nobody sleeps
// while there is work.
TEST_F(SeveralDevicesTest, WhateverTheInterleavingTheBytesAreTheSameAndNothingIsLeft) {
  for (uint32_t seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    SchedulerOptions options;
    options.max_step_rows = 40;
    PuppetDevice device({FakeEngineInfo("a", 3), FakeEngineInfo("b", 2)}, options, nullptr, 3);
    for (uint32_t i = 0; i < 3; ++i) {
      device.SlowDown(i, 1 + random() % 5);
      for (size_t model : {0, 1}) {
        device.engine(model, i).SetFaults({.max_step_images = 2, .picture_delay_steps = i});
      }
    }
    std::vector<PuppetDevice::Submitted> requests;
    for (uint32_t i = 0; i < 30; ++i) {
      requests.push_back(device.Submit(100 * i, 1 + i % 4, i % 2));
      if (i % 7 == 3) device.scheduler().Cancel(requests[random() % requests.size()].admission.id);
      for (uint32_t steps = random() % 6; steps > 0; --steps) device.RunOne(random() % 3);
    }
    device.RunAll();
    EXPECT_TRUE(device.Idle()) << seed;
    for (uint32_t i = 0; i < 30; ++i) {
      const EngineInfo& info = device.engine(i % 2).info();
      for (const auto& [index, image] : requests[i].listener->images()) {
        EXPECT_EQ(image.picture.rgb, FakePicture(info, FakeTask(info, 100 * i + index)).rgb);
      }
    }
  }
}

// The real threads.
TEST(DeviceThreadsTest, TwoLoopsServeOneQueueAndDrainTogether) {
  const EngineInfo info = FakeEngineInfo();
  const RealClock clock;
  Scheduler scheduler({.devices = {{info}, {info}}}, &clock, nullptr);
  std::vector<FakeEngine*> engines;
  std::vector<std::unique_ptr<EngineLoop>> loops;
  for (size_t device : {0, 1}) {
    std::vector<std::unique_ptr<Engine>> owned;
    owned.push_back(std::make_unique<FakeEngine>(info));
    engines.push_back(static_cast<FakeEngine*>(owned.front().get()));
    engines.back()->CloseGate();
    loops.push_back(std::make_unique<EngineLoop>(&scheduler, device, std::move(owned), nullptr));
    loops.back()->Start();
  }
  std::vector<std::shared_ptr<RecordingListener>> listeners;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Work work;
    work.job.images = 3;
    work.job.prototype = FakeTask(info, 100 * seed);
    work.listener = listeners.emplace_back(std::make_shared<RecordingListener>());
    ASSERT_TRUE(scheduler.Submit(std::move(work)).ok());
  }
  for (FakeEngine* engine : engines) EXPECT_TRUE(engine->AwaitStepAtGate());
  scheduler.BeginDrain();
  for (FakeEngine* engine : engines) engine->OpenGate();
  for (const auto& loop : loops) loop->Join();
  for (uint64_t seed = 0; seed < 20; ++seed) {
    ASSERT_THAT(listeners[seed]->images(), SizeIs(3));
    for (const auto& [index, image] : listeners[seed]->images()) {
      EXPECT_EQ(image.picture.rgb, FakePicture(info, FakeTask(info, 100 * seed + index)).rgb);
    }
  }
  EXPECT_EQ(engines[0]->images_held() + engines[1]->images_held(), 0u);
}

}  // namespace
}  // namespace hmar
