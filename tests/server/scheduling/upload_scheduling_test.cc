// Edits in the scheduler: whose pictures a step encodes, and who shares the result.

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/digest.h"
#include "tests/fakes/puppet_device.h"

namespace hmar {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

std::shared_ptr<const EditPicture> MakeUpload(uint8_t shade) {
  const Picture picture{12, 12, std::vector<uint8_t>(12 * 12 * 3, shade)};
  return std::make_shared<EditPicture>(
      EditPicture{picture, Sha256OfText({picture.rgb.begin(), picture.rgb.end()})});
}

// Keeps the 1 x 1 scale and half of the last.
std::shared_ptr<const std::vector<KeepMap>> HalfKept() {
  return std::make_shared<std::vector<KeepMap>>(
      std::vector<KeepMap>{{1}, {0, 0, 0, 0}, {1, 1, 1, 1, 0, 0, 0, 0, 0}});
}

Work MakeEdit(PuppetDevice& device, uint64_t seed, std::shared_ptr<const EditPicture> upload,
              uint32_t images = 1) {
  Work work = device.MakeWork(seed, images);
  work.job.prototype.keep = HalfKept();
  work.picture = std::move(upload);
  return work;
}

// Pictures in each Encode call of the device.
std::vector<size_t> Encodings(PuppetDevice& device) {
  std::vector<size_t> encodings;
  for (const FakeEngine::Call& call : device.engine().calls()) {
    if (call.kind == FakeEngine::Call::kEncode) encodings.push_back(call.pictures);
  }
  return encodings;
}

// The tokens that an edit of this seed must have.
std::vector<TokenMap> Expected(PuppetDevice& device, uint64_t seed, const EditPicture& upload) {
  const EngineInfo& info = device.engine().info();
  ImageTask task = FakeTask(info, seed);
  task.keep = HalfKept();
  task.given = std::make_shared<TokenPyramid>(FakeEncoding(info, upload.picture));
  return FakeTokens(info, task);
}

TEST(UploadSchedulingTest, AnEditKeepsItsOwnPicturesTokens) {
  PuppetDevice device;
  const auto one = MakeUpload(1), two = MakeUpload(2);
  auto first = device.Submit(MakeEdit(device, 5, one)), second = device.Submit(5),
       third = device.Submit(MakeEdit(device, 5, two));
  device.RunAll();
  EXPECT_EQ(first.listener->images().at(0).tokens, Expected(device, 5, *one));
  EXPECT_EQ(third.listener->images().at(0).tokens, Expected(device, 5, *two));
  EXPECT_EQ(second.listener->images().at(0).tokens,
            FakeTokens(device.engine().info(), FakeTask(device.engine().info(), 5)));
  EXPECT_TRUE(device.Idle());
}

TEST(UploadSchedulingTest, ItsPlanHasNoPassOfAKeptScale) {
  PuppetDevice device;
  device.Submit(MakeEdit(device, 1, MakeUpload(1)));
  const auto steps = device.RunAll();
  EXPECT_THAT(steps, SizeIs(1 + 3));  // Of the 2 x 2 scale, and 3 of the last one.
}

TEST(UploadSchedulingTest, VariationsAndRetriesAreNotEncodedAgain) {
  auto metrics = *Metrics::Create({{"fake", "digest", "fp32", 3}}, {{"cpu", {}}}, "test");
  PuppetDevice device({FakeEngineInfo("fake", 2)}, {}, metrics.get());
  device.Submit(MakeEdit(device, 1, MakeUpload(7), 6));  // Two slots: in three rounds.
  device.RunAll();
  const size_t first = Encodings(device).size();
  device.Submit(MakeEdit(device, 50, MakeUpload(7)));
  device.RunAll();
  EXPECT_EQ(Encodings(device).size(), first);
  EXPECT_THAT(metrics->Text(),
              HasSubstr("hmar_upload_lookups_total{model=\"fake\",outcome=\"hit\"} 6"));
  EXPECT_THAT(metrics->Text(),
              HasSubstr("hmar_upload_lookups_total{model=\"fake\",outcome=\"miss\"} 1"));
}

TEST(UploadSchedulingTest, ARequestKeepsItsTokensEvenIfTheCacheHoldsNothing) {
  SchedulerOptions options;
  options.upload_cache_bytes = 0;
  PuppetDevice device({FakeEngineInfo("fake", 1)}, options);
  const auto upload = MakeUpload(7);
  auto request = device.Submit(MakeEdit(device, 1, upload, 3));
  device.RunAll();
  EXPECT_THAT(Encodings(device), ElementsAre(1));
  for (const auto& [index, image] : request.listener->images()) {
    EXPECT_EQ(image.tokens, Expected(device, 1 + index, *upload));
  }
  device.Submit(MakeEdit(device, 9, upload));
  device.RunAll();
  EXPECT_THAT(Encodings(device), ElementsAre(1, 1));
}

TEST(UploadSchedulingTest, AStepEncodesABoundedNumberOfPictures) {
  PuppetDevice device({FakeEngineInfo("fake", 64)});
  device.Submit(1000, 2);  // Runs all the while.
  for (uint8_t shade = 1; shade <= 11; ++shade) {
    device.Submit(MakeEdit(device, shade, MakeUpload(shade), 2));
  }
  std::vector<size_t> uploads;
  while (device.scheduler().queued_images() > 0) {
    const auto step = device.scheduler().NextStep();
    ASSERT_TRUE(step.has_value());
    std::set<std::string> digests;
    for (const PlannedStep::NewImage& image : step->admitted) {
      if (image.picture != nullptr) digests.insert(image.picture->digest);
    }
    uploads.push_back(digests.size());
    device.Execute(*step);
  }
  EXPECT_THAT(uploads, ElementsAre(4, 4, 3));
  device.RunAll();
  EXPECT_TRUE(device.Idle());
}

TEST(UploadSchedulingTest, AnEditThatKeepsEverythingStillArrives) {
  PuppetDevice device;
  Work work = MakeEdit(device, 3, MakeUpload(4));
  work.job.prototype.keep = std::make_shared<std::vector<KeepMap>>(
      std::vector<KeepMap>{{1}, KeepMap(4, 1), KeepMap(9, 1)});
  auto request = device.Submit(std::move(work));
  device.RunAll();
  EXPECT_EQ(request.listener->images().at(0).tokens,
            FakeEncoding(device.engine().info(), MakeUpload(4)->picture));
  EXPECT_TRUE(device.Idle());
}

TEST(UploadSchedulingTest, ACancelledEditLeavesItsEncodingToOthers) {
  PuppetDevice device;
  const auto upload = MakeUpload(3);
  auto request = device.Submit(MakeEdit(device, 1, upload));
  const auto step = device.scheduler().NextStep();
  device.scheduler().Cancel(request.admission.id);
  device.Execute(*step);
  device.RunAll();
  auto again = device.Submit(MakeEdit(device, 2, upload));
  device.RunAll();
  EXPECT_THAT(Encodings(device), ElementsAre(1));
  EXPECT_EQ(again.listener->images().at(0).tokens, Expected(device, 2, *upload));
}

}  // namespace
}  // namespace hmar
