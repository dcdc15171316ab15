// What happens when there is no memory: the program's own operator new fails when it is told to.

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/base/errors.h"
#include "server/calls/generation.h"
#include "server/calls/prepared_edit.h"
#include "tests/fakes/fake_engine.h"
#include "tests/server/grpc_details.h"
#include "tests/server/test_server.h"
#include "tests/server/uploads/png_maker.h"

namespace {

thread_local int64_t allocations_left = -1;     // Of this thread, before one fails; -1: none will.
std::atomic<size_t> failing_bytes = size_t{0};  // The size of the one that fails; 0: none will.

void* Allocate(size_t bytes) {
  if (allocations_left >= 0 && allocations_left-- == 0) throw std::bad_alloc();
  if (size_t failing = failing_bytes; failing == bytes && failing != 0) {
    if (failing_bytes.compare_exchange_strong(failing, 0)) throw std::bad_alloc();
  }
  void* memory = std::malloc(bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(size_t bytes) { return Allocate(bytes); }
void* operator new[](size_t bytes) { return Allocate(bytes); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }

namespace hmar {
namespace {

constexpr uint32_t kSide = 12;

std::string Png() {
  return MakePng({.width = kSide, .height = kSide}, std::vector<uint16_t>(kSide * kSide * 3, 9));
}

v1::GenerateRequest EditRequest() {
  v1::GenerateRequest request = SmallRequest(5);
  request.mutable_edit()->set_image(Png());
  request.mutable_edit()->mutable_box()->set_x1(6);
  request.mutable_edit()->mutable_box()->set_y1(12);
  return request;
}

// Whichever of its allocations fails, the answer is an edit or OUT_OF_MEMORY.
TEST(NoMemoryTest, AnEditIsPreparedWhollyOrNot) {
  const ModelConfig config = FakeEngineInfo().config;
  const EditChoice choice;
  const EditUpload upload{Png(), GenerateMask{Png()}};
  int64_t failed = 0;
  for (int64_t allocation = 0;; ++allocation) {
    ASSERT_LT(allocation, 10'000);
    allocations_left = allocation;
    const auto edit = PrepareEdit(upload, choice, config, UploadLimits{}, "");
    const bool all_had_memory = allocations_left >= 0;
    allocations_left = -1;
    if (all_had_memory) {
      EXPECT_TRUE(edit.ok()) << edit.status();
      break;
    }
    if (edit.ok()) continue;  // It was not needed in the end.
    ++failed;
    EXPECT_EQ(ReasonName(edit.status()), "OUT_OF_MEMORY") << allocation << edit.status();
  }
  EXPECT_GT(failed, 10);  // Picture, region, keep maps, compositor, digest.
}

// A compositor that had no memory for a smaller picture makes it the next time.
TEST(NoMemoryTest, ACompositorIsAsItWas) {
  EditSource source{{kSide, kSide, std::vector<uint8_t>(432, 200)},
                    Region(size_t{kSide} * kSide, 0)};
  const Compositor compositor(source, 0);
  Picture preview{4, 4, std::vector<uint8_t>(48, 1)};
  allocations_left = 3;
  EXPECT_THROW(compositor.Apply(&preview), std::bad_alloc);
  allocations_left = -1;
  compositor.Apply(&preview);
  EXPECT_EQ(preview.rgb, std::vector<uint8_t>(48, 200));
}

void ExpectOutOfMemoryThenFine(size_t bytes, const v1::GenerateRequest& request) {
  TestServer server;
  Generate(server.stub(), request);  // What is allocated once is.
  failing_bytes = bytes;
  const StreamResult result = Generate(server.stub(), request);
  EXPECT_EQ(failing_bytes.exchange(0), 0u) << "nothing took " << bytes << " bytes";
  EXPECT_EQ(result.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ReasonIn(result.status), "OUT_OF_MEMORY");
  EXPECT_TRUE(Generate(server.stub(), request).status.ok());
}

TEST(NoMemoryTest, ACompositorWithoutMemoryEndsItsRequestNotTheServer) {
  ExpectOutOfMemoryThenFine(kSide * kSide * sizeof(float), EditRequest());
}

TEST(NoMemoryTest, AFinishedPictureWithoutMemoryEndsItsRequestNotTheServer) {
  ExpectOutOfMemoryThenFine(kSide * kSide * 3 + 1, EditRequest());  // Its bytes as a string.
}

// 61 images: the list of their strands, which the request takes before it is submitted.
TEST(NoMemoryTest, ARequestThatCannotBeTakenInEndsAlone) {
  ExpectOutOfMemoryThenFine(61 * sizeof(std::shared_ptr<int>), SmallRequest(5, 61));
}

// What a call's client would get. Thread-safe.
class CountingSink final : public EventSink {
 public:
  void OnAccepted(v1::Accepted) override {}
  void OnPreview(v1::Preview, uint32_t) override { Count(&pictures_); }
  void OnImage(v1::Image) override { Count(&pictures_); }
  void OnCompleted(v1::Completed) override {}
  void OnFailed(const absl::Status& status) override {
    absl::MutexLock lock(&mutex_);
    failures_.push_back(ReasonName(status));
  }
  // A picture, or the reasons of the failures.
  std::vector<std::string> Await() {
    const auto any = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return pictures_ > 0 || !failures_.empty();
    };
    absl::MutexLock lock(&mutex_, absl::Condition(&any));
    return failures_;
  }

 private:
  void Count(int* counter) {
    absl::MutexLock lock(&mutex_);
    ++*counter;
  }

  absl::Mutex mutex_;
  int pictures_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::string> failures_ ABSL_GUARDED_BY(mutex_);
};

// A generation whose engine is the test: pictures come on the test's thread, as on a device's.
class PicturePathTest : public ::testing::Test {
 protected:
  PicturePathTest() {
    context_.catalog = &catalog_;
    context_.scheduler = &scheduler_;
    context_.encoder = &encoder_;
    context_.admission = &admission_;
    context_.clock = &clock_;
    context_.random = &random_;
  }

  // Whichever allocation of `deliver` fails on this thread, the picture comes or the call fails.
  void ExpectWhollyOrFailed(const std::function<void(Generation*, FinishedImage)>& deliver) {
    int failed = 0;
    for (int64_t allocation = 0;; ++allocation) {
      ASSERT_LT(allocation, 1000);
      const auto sink = std::make_shared<CountingSink>();
      ResolvedRequest request;
      request.job.prototype = FakeTask(FakeEngineInfo());
      request.output.format = PictureFormat::kRgb8;
      CallOrigin origin;
      origin.client = "client";
      const auto generation =
          std::make_shared<Generation>(&context_, std::move(request), std::move(origin), sink);
      ASSERT_TRUE(generation->Start().ok());
      FinishedImage image;
      image.picture = {kSide, kSide, std::vector<uint8_t>(size_t{3} * kSide * kSide, 7)};
      image.tokens = FakeTokens(FakeEngineInfo(), FakeTask(FakeEngineInfo()));
      allocations_left = allocation;
      deliver(generation.get(), std::move(image));
      const bool all_had_memory = allocations_left >= 0;
      allocations_left = -1;
      const std::vector<std::string> failures = sink->Await();
      generation->Cancel();
      if (all_had_memory) {
        EXPECT_TRUE(failures.empty());
        break;
      }
      if (failures.empty()) continue;  // It was not needed in the end.
      ++failed;
      EXPECT_EQ(failures, std::vector<std::string>{"OUT_OF_MEMORY"});
    }
    EXPECT_GE(failed, 1);
    // Given back after the job.
    while (encoder_.preview_bytes() + admission_.picture_bytes() > 0) std::this_thread::yield();
  }

 private:
  static SchedulerOptions OneDevice() {
    SchedulerOptions options;
    options.devices = {{FakeEngineInfo()}};
    return options;
  }

  const ModelCatalog catalog_{{FakeEngineInfo()}, {"cpu"}};
  RealClock clock_;
  DeviceSeededRandom random_;
  Scheduler scheduler_{OneDevice(), &clock_, nullptr};
  ServiceContext context_;
  UploadReaders readers_{{1, 1600 << 10}};
  Deliveries deliveries_{{}, &clock_};
  CallAdmission admission_{{}, &readers_, &encoder_, &deliveries_, &clock_, nullptr};
  EncoderPool encoder_{{1, 1 << 20}};  // The first to end: its jobs hold tickets.
};

TEST_F(PicturePathTest, APictureIsPostedToTheEncoderOrItsRequestFails) {
  ExpectWhollyOrFailed([](Generation* generation, FinishedImage image) {
    generation->OnImage(0, std::move(image));
  });
}

TEST_F(PicturePathTest, APreviewIsPostedToTheEncoderOrItsRequestFails) {
  ExpectWhollyOrFailed([](Generation* generation, FinishedImage image) {
    generation->OnPreview(0, 1, std::move(image.picture));
  });
}

}  // namespace
}  // namespace hmar
