// An engine that works ahead of its device: previews, pictures and failures come in the reports of
// later steps, which the images they are about take no part in.

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fakes/puppet_device.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr size_t kPasses = 5;  // Of a FakeTask.

void ExpectPicture(PuppetDevice& device, const PuppetDevice::Submitted& request, uint64_t seed) {
  const EngineInfo& info = device.engine().info();
  const auto images = request.listener->images();
  ASSERT_THAT(images, SizeIs(1));
  EXPECT_EQ(images.at(0).picture.rgb, FakePicture(info, FakeTask(info, seed)).rgb);
}

TEST(LateReportsTest, APictureComesInTheReportOfAnotherImagesStep) {
  PuppetDevice device;
  device.engine().SetFaults({.picture_delay_steps = 2});
  const auto first = device.Submit(1);
  device.RunOne();
  device.RunOne();
  const auto second = device.Submit(2);
  for (size_t i = 2; i < kPasses; ++i) device.RunOne();
  EXPECT_THAT(first.listener->events(), IsEmpty());
  EXPECT_EQ(device.scheduler().running_images(), 2u);
  EXPECT_THAT(device.RunOne()->ids, SizeIs(1));
  EXPECT_THAT(first.listener->events(), IsEmpty());
  EXPECT_THAT(device.RunOne()->ids, SizeIs(1));
  EXPECT_THAT(first.listener->events(), ElementsAre("image 0"));
  EXPECT_EQ(device.scheduler().running_images(), 1u);
  device.RunAll();
  ExpectPicture(device, first, 1);
  ExpectPicture(device, second, 2);
  EXPECT_TRUE(device.Idle());
}

TEST(LateReportsTest, PreviewsThatComeLateStillComeInOrderBeforeTheirImage) {
  PuppetDevice device;
  device.engine().SetFaults({.picture_delay_steps = 2, .preview_delay_steps = 2});
  Work work = device.MakeWork(3);
  work.job.prototype.preview_mode = PreviewMode::kFast;
  work.job.prototype.preview_scales = {true, true, true};
  const auto request = device.Submit(std::move(work));
  device.RunOne();
  device.RunOne();
  EXPECT_THAT(request.listener->events(), IsEmpty());
  device.RunOne();
  EXPECT_THAT(request.listener->events(), ElementsAre("preview 0.0"));
  device.RunAll();
  EXPECT_THAT(request.listener->events(),
              ElementsAre("preview 0.0", "preview 0.1", "preview 0.2", "image 0"));
}

TEST(LateReportsTest, AFailureThatComesPassesLaterFailsItsRequestAlone) {
  PuppetDevice device;
  device.engine().SetFaults({.non_finite_seeds = {1}, .failure_delay_steps = 1});
  const auto guilty = device.Submit(1);
  const auto other = device.Submit(2);
  device.RunOne();
  device.RunOne();  // It fails here, unseen, and advances.
  EXPECT_THAT(guilty.listener->events(), IsEmpty());
  EXPECT_THAT(device.RunOne()->ids, SizeIs(2));  // Its report says so, and that both advanced.
  EXPECT_THAT(guilty.listener->events(), ElementsAre("failed"));
  EXPECT_THAT(std::string(guilty.listener->status().message()), HasSubstr("not finite"));
  const auto next = device.RunOne();
  EXPECT_THAT(next->ids, SizeIs(1));
  EXPECT_THAT(next->cancelled, IsEmpty());  // The engine has let go of it.
  device.RunAll();
  ExpectPicture(device, other, 2);
  EXPECT_TRUE(device.Idle());
}

TEST(LateReportsTest, AFailureMayComeAfterTheLastPassInAnotherImagesStep) {
  PuppetDevice device;
  device.engine().SetFaults({.non_finite_seeds = {1}, .failure_delay_steps = 5});
  const auto guilty = device.Submit(1);
  device.RunOne();
  device.RunOne();
  const auto other = device.Submit(2);
  for (size_t i = 2; i < kPasses; ++i) device.RunOne();
  EXPECT_THAT(guilty.listener->events(), IsEmpty());
  EXPECT_THAT(device.RunOne()->ids, SizeIs(1));
  device.RunOne();
  EXPECT_THAT(guilty.listener->events(), ElementsAre("failed"));
  device.RunAll();
  ExpectPicture(device, other, 2);
  EXPECT_TRUE(device.Idle());
}

TEST(LateReportsTest, AWaitForPicturesMayBringAFailureInstead) {
  PuppetDevice device;
  device.engine().SetFaults(
      {.non_finite_seeds = {1}, .failure_delay_steps = 100, .picture_delay_steps = 100});
  const auto guilty = device.Submit(1);
  const auto other = device.Submit(2);
  std::vector<PlannedStep> steps = device.RunAll();
  ASSERT_THAT(steps, SizeIs(kPasses + 2));
  EXPECT_TRUE(steps[kPasses].await_pictures && steps[kPasses + 1].await_pictures);
  EXPECT_THAT(guilty.listener->events(), ElementsAre("failed"));
  ExpectPicture(device, other, 2);
  EXPECT_TRUE(device.Idle());
}

TEST(LateReportsTest, NewsOfAnImageThatWasCancelledMeanwhileIsIgnored) {
  PuppetDevice device;
  device.engine().SetFaults({.non_finite_seeds = {1}, .failure_delay_steps = 1});
  const auto guilty = device.Submit(1);
  const auto other = device.Submit(2);
  device.RunOne();
  device.RunOne();
  const auto step = device.scheduler().NextStep();  // In its report the failure will come.
  device.scheduler().Cancel(guilty.admission.id);
  device.Execute(*step);
  EXPECT_THAT(device.RunOne()->cancelled, SizeIs(1));  // The engine does not know it any more.
  device.RunAll();
  EXPECT_THAT(guilty.listener->events(), IsEmpty());
  ExpectPicture(device, other, 2);
  EXPECT_TRUE(device.Idle());
}

// A step that fails while a failed image is not yet known as one: the halves hold what is left.
TEST(LateReportsTest, AHalfLosesTheImageWhoseFailureTheOtherHalfReported) {
  PuppetDevice device;
  device.engine().SetFaults(
      {.non_finite_seeds = {3}, .failure_delay_steps = 2, .max_step_images = 4});
  std::vector<PuppetDevice::Submitted> requests;
  for (uint64_t seed = 0; seed < 4; ++seed) requests.push_back(device.Submit(seed));
  device.RunOne();
  device.RunOne();
  device.engine().SetFaults(
      {.non_finite_seeds = {3}, .failure_delay_steps = 2, .max_step_images = 2});
  device.RunOne();  // Fails: out of memory.
  EXPECT_THAT(device.RunOne()->ids, SizeIs(2));
  EXPECT_THAT(device.RunOne()->ids, SizeIs(2));  // Brings the failure.
  EXPECT_THAT(requests[3].listener->events(), ElementsAre("failed"));
  device.RunAll();
  for (uint64_t seed = 0; seed < 3; ++seed) ExpectPicture(device, requests[seed], seed);
  EXPECT_TRUE(device.Idle());
}

}  // namespace
}  // namespace hmar
