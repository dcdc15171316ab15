// An engine whose tensors find no memory: wherever a step is then, the step says so,
// no image has advanced, and in the end every byte is as ever. LibTorch takes the memory of its
// tensors from posix_memalign, which is the test's own here.

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <map>
#include <vector>

#include "tests/model/golden.h"
#include "tests/model/seen_images.h"

namespace {

std::atomic<int64_t> allocations_left = -1;  // Before one fails; negative: none will.

}  // namespace

extern "C" int posix_memalign(void** memory, size_t alignment, size_t bytes) noexcept {
  using Real = int (*)(void**, size_t, size_t);
  static const auto real = reinterpret_cast<Real>(dlsym(RTLD_NEXT, "posix_memalign"));
  if (allocations_left >= 0 && allocations_left-- == 0) return ENOMEM;
  return real(memory, alignment, bytes);
}

namespace hmar {
namespace {

constexpr int64_t kMostAllocations = 100'000;

// A step's first allocations, then ever fewer of them: it has thousands.
int64_t NextToFail(int64_t allocation) { return 2 * allocation + 1; }

class NoMemoryTest : public testing::Test {
 protected:
  NoMemoryTest()
      : engine_(LoadEngine(Golden("tiny-256").model_folder(), /*fast_previews=*/true,
                           /*max_images=*/2, /*threads=*/1)) {}

  ImageTask Task(uint64_t seed, PreviewMode mode) const {
    ImageTask task;
    task.seed = seed;
    const ModelConfig& config = engine_->info().config;
    task.sampling = config.sampling;
    task.sampling.mask_schedule = PresetSchedule(SchedulePreset::kNone, config);
    task.preview_mode = mode;
    task.preview_scales.assign(config.num_scales(), false);
    task.preview_scales[2] = true;
    return task;
  }

  // Runs images 1 and 2 to their ends. `step` takes them one step further.
  template <typename Step>
  std::map<ImageId, Seen> RunBoth(Step step) {
    EXPECT_TRUE(engine_->Admit(1, Task(5, PreviewMode::kFull)).ok());
    EXPECT_TRUE(engine_->Admit(2, Task(6, PreviewMode::kFast)).ok());
    std::map<ImageId, Seen> seen;
    for (std::vector<ImageId> ids = {1, 2}; !ids.empty() && !HasFailure();) {
      const StepReport report = step(ids);
      for (const ImageReport& image : report.images) std::erase(ids, image.id);
      Record(report, &seen);
    }
    return seen;
  }

  const std::unique_ptr<Engine> engine_;
  int64_t failures_ = 0;
};

TEST_F(NoMemoryTest, AStepThatFindsNoneIsRepeatedAndNothingShows) {
  const auto undisturbed = RunBoth([&](const std::vector<ImageId>& ids) {
    auto report = engine_->Step(ids);
    EXPECT_TRUE(report.ok()) << report.status();
    return *std::move(report);
  });
  const auto disturbed = RunBoth([&](const std::vector<ImageId>& ids) {
    for (int64_t allocation = 0; allocation < kMostAllocations;
         allocation = NextToFail(allocation)) {
      allocations_left = allocation;
      auto report = engine_->Step(ids);
      allocations_left = -1;
      if (report.ok()) return *std::move(report);
      ++failures_;
      EXPECT_TRUE(absl::IsResourceExhausted(report.status())) << report.status();
      if (HasFailure()) break;
    }
    ADD_FAILURE() << "a step never ends";
    return StepReport();
  });
  EXPECT_GT(failures_, 50);
  for (const ImageId id : {1, 2}) ExpectSame(disturbed.at(id), undisturbed.at(id));
}

TEST_F(NoMemoryTest, AnEncodingThatFindsNoneIsRepeatedAndNothingShows) {
  const auto S = static_cast<uint32_t>(engine_->info().config.image_size);
  const Picture picture{S, S, std::vector<uint8_t>(size_t{3} * S * S, 90)};
  const Picture* const pictures[] = {&picture};
  const auto undisturbed = engine_->Encode(pictures);
  ASSERT_TRUE(undisturbed.ok()) << undisturbed.status();
  for (int64_t allocation = 0;; allocation = NextToFail(allocation)) {
    ASSERT_LT(allocation, kMostAllocations);
    allocations_left = allocation;
    const auto encoded = engine_->Encode(pictures);
    allocations_left = -1;
    if (encoded.ok()) {
      EXPECT_EQ(*encoded, *undisturbed);
      break;
    }
    ASSERT_TRUE(absl::IsResourceExhausted(encoded.status())) << encoded.status();
    ++failures_;
  }
  EXPECT_GT(failures_, 5);
}

}  // namespace
}  // namespace hmar
