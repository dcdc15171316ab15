// A generation among fakes: the test is its engine, and holds its encoder, its readers and its
// clock.

#include "server/calls/generation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "server/base/errors.h"
#include "tests/fakes/fake_engine.h"
#include "tests/server/calls/rejections.h"
#include "tests/server/uploads/png_maker.h"

namespace hmar {
namespace {

using ::testing::HasSubstr;

constexpr uint32_t kSide = 12;  // Of the fake model's images.

// What a call's client would get. Thread-safe.
class RecordingSink final : public EventSink {
 public:
  void OnAccepted(v1::Accepted) override { Note(&accepted_); }
  void OnPreview(v1::Preview, uint32_t) override {}
  void OnImage(v1::Image) override { Note(&images_); }
  void OnCompleted(v1::Completed) override {}
  void OnFailed(const absl::Status& status) override {
    absl::MutexLock lock(&mutex_);
    EXPECT_FALSE(failure_.has_value()) << "failed twice";
    failure_ = status;
  }

  absl::Status AwaitFailure() {
    const auto failed = [this]()
                            ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return failure_.has_value(); };
    absl::MutexLock lock(&mutex_, absl::Condition(&failed));
    return *failure_;
  }
  void AwaitAccepted() {
    const auto accepted = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return accepted_ > 0; };
    absl::MutexLock lock(&mutex_, absl::Condition(&accepted));
  }
  // Accepted, images and failures so far.
  int events() const {
    absl::MutexLock lock(&mutex_);
    return accepted_ + images_ + (failure_.has_value() ? 1 : 0);
  }

 private:
  void Note(int* counter) {
    absl::MutexLock lock(&mutex_);
    ++*counter;
  }

  mutable absl::Mutex mutex_;
  int accepted_ ABSL_GUARDED_BY(mutex_) = 0;
  int images_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<absl::Status> failure_ ABSL_GUARDED_BY(mutex_);
};

// A clock whose reader may be held up: a reader of uploads looks at it just before it decodes.
class HookedClock final : public Clock {
 public:
  absl::Time Now() const override {
    absl::AnyInvocable<void()> hook;
    {
      absl::MutexLock lock(&mutex_);
      if (test_thread_ != std::this_thread::get_id()) std::swap(hook, hook_);
    }
    if (hook) hook();
    return absl::FromUnixSeconds(1'700'000'000);
  }
  // Runs once, on the first other thread that looks.
  void SetHook(absl::AnyInvocable<void()> hook) {
    absl::MutexLock lock(&mutex_);
    hook_ = std::move(hook);
  }

 private:
  const std::thread::id test_thread_ = std::this_thread::get_id();
  mutable absl::Mutex mutex_;
  mutable absl::AnyInvocable<void()> hook_ ABSL_GUARDED_BY(mutex_);
};

// A thread of the encoder or the readers that is busy until the end of the test, or Release.
struct Hold {
  absl::Notification running;
  absl::Notification released;
};

void ExpectRetryAfter(absl::Duration expected, const absl::Status& status) {
  EXPECT_GT(expected, absl::Milliseconds(1));
  EXPECT_NEAR(absl::ToDoubleSeconds(RetryDelayOf(status).value_or(absl::ZeroDuration())),
              absl::ToDoubleSeconds(expected), 1e-5);
}

class GenerationTest : public ::testing::Test {
 protected:
  GenerationTest() {
    context_.catalog = &catalog_;
    context_.scheduler = &scheduler_;
    context_.encoder = &encoder_;
    context_.upload_readers = &readers_;
    context_.admission = &admission_;
    context_.clock = &clock_;
    context_.random = &random_;
    context_.metrics = metrics_.get();
  }

  ~GenerationTest() override {
    for (const auto& hold : holds_) Release(hold);
  }

  static void Release(const std::shared_ptr<Hold>& hold) {
    if (!hold->released.HasBeenNotified()) hold->released.Notify();
  }

  // The encoder's one thread, with pictures of so many bytes.
  std::shared_ptr<Hold> HoldEncoder(size_t bytes) {
    auto hold = std::make_shared<Hold>();
    encoder_.PostFinal(encoder_.NewStrand(), bytes, [hold] {
      hold->running.Notify();
      hold->released.WaitForNotification();
    });
    hold->running.WaitForNotification();
    holds_.push_back(hold);
    return hold;
  }

  // The readers' one thread.
  std::shared_ptr<Hold> HoldReaders(size_t bytes = 1) {
    auto hold = std::make_shared<Hold>();
    readers_.Post({"another", bytes, [hold] {
                     hold->running.Notify();
                     hold->released.WaitForNotification();
                     return true;
                   }});
    hold->running.WaitForNotification();
    holds_.push_back(hold);
    return hold;
  }

  static ResolvedRequest PlainRequest() {
    ResolvedRequest request;
    request.job.prototype = FakeTask(FakeEngineInfo());
    return request;
  }

  static ResolvedRequest EditRequest(size_t extra_bytes = 0) {
    ResolvedRequest request = PlainRequest();
    auto chunks =
        SplitChunks(MakePng({.width = kSide, .height = kSide}, std::vector<uint16_t>(432, 7)));
    chunks.insert(chunks.end() - 1, {"quUx", std::string(extra_bytes, 'q')});
    request.edit.emplace();
    request.edit->upload = {JoinChunks(chunks), GenerateBox{{0, 0, 6, 12}}};
    return request;
  }

  std::shared_ptr<Generation> Make(ResolvedRequest request) {
    CallOrigin origin;
    origin.client = "client";
    return std::make_shared<Generation>(&context_, std::move(request), std::move(origin), sink_);
  }

  static SchedulerOptions OneDevice() {
    SchedulerOptions options;
    options.devices = {{FakeEngineInfo()}};
    return options;
  }

  const std::unique_ptr<Metrics> metrics_ = *Metrics::Create({{"fake", "", "", 3}}, {}, "");
  const ModelCatalog catalog_{{FakeEngineInfo()}, {"cpu"}};
  HookedClock clock_;
  DeviceSeededRandom random_;
  Scheduler scheduler_{OneDevice(), &clock_, nullptr};
  ServiceContext context_;
  const std::shared_ptr<RecordingSink> sink_ = std::make_shared<RecordingSink>();
  std::vector<std::shared_ptr<Hold>> holds_;
  Deliveries deliveries_{{1000, 750, 500, absl::Seconds(20)}, &clock_};
  CallAdmission admission_{{{8, 8}, {20'000, 20'000}, {1000, 1000}},
                           &readers_,
                           &encoder_,
                           &deliveries_,
                           &clock_,
                           metrics_.get()};
  EncoderPool encoder_{{1, 1 << 20}};  // The first to end, as the readers: they hold tickets.
  UploadReaders readers_{{1, 1600 << 10}};
};

TEST_F(GenerationTest, ABusyEncoderRefusesNewRequestsAndSaysWhenToComeBack) {
  const Quota::Ticket all = admission_.HoldPicture("another", 1000);
  EXPECT_TRUE(Make(PlainRequest())->Start().ok());  // All that may wait.
  const Quota::Ticket more = admission_.HoldPicture("another", 50'000'000);
  const absl::Status status = Make(PlainRequest())->Start();
  EXPECT_EQ(ReasonName(status), "ENCODER_BACKLOG");
  EXPECT_EQ(status.message(), "50001000 bytes of pictures wait for the encoder; at most 1000");
  ExpectRetryAfter(encoder_.TimeFor(50'000'000), status);
  EXPECT_EQ(Rejections(*metrics_, "ENCODER_BACKLOG"), 1);
  ResolvedRequest price = PlainRequest();
  price.validate_only = true;
  EXPECT_TRUE(Make(std::move(price))->Start().ok());
}

TEST_F(GenerationTest, APictureCountsForTheEncoderUntilItIsEncoded) {
  const auto hold = HoldEncoder(0);
  const auto generation = Make(PlainRequest());
  ASSERT_TRUE(generation->Start().ok());
  FinishedImage image;
  image.picture = {kSide, kSide, std::vector<uint8_t>(size_t{3} * kSide * kSide)};
  generation->OnImage(0, std::move(image));
  EXPECT_EQ(admission_.picture_bytes(), size_t{3} * kSide * kSide);
  Release(hold);
  HoldEncoder(0);  // Its one thread is through with it.
  EXPECT_EQ(admission_.picture_bytes(), 0u);
}

TEST_F(GenerationTest, WhoseClientDoesNotReadGetsNoMoreIn) {
  Deliveries::Account unread(&deliveries_);
  unread.Open({}, "client");
  unread.Hold(Deliveries::Holding::kRest, 500);
  const absl::Status status = Make(PlainRequest())->Start();
  EXPECT_EQ(ReasonName(status), "DELIVERY_BACKLOG");
  EXPECT_EQ(status.message(),
            "500 bytes of pictures of this client wait to be read; new requests are taken below "
            "500");
  EXPECT_TRUE(RetryDelayOf(status).has_value());
  EXPECT_EQ(Rejections(*metrics_, "DELIVERY_BACKLOG"), 1);
  EXPECT_EQ(scheduler_.queued_images(), 0u);
}

TEST_F(GenerationTest, APictureThatCannotBeAPngFailsItsCallAlone) {
  const auto generation = Make(PlainRequest());
  ASSERT_TRUE(generation->Start().ok());
  generation->OnImage(0, FinishedImage{});  // 0 x 0 pixels.
  const absl::Status status = sink_->AwaitFailure();
  EXPECT_EQ(ReasonName(status), "ENCODING_FAILED");
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(scheduler_.queued_images(), 0u);
}

TEST_F(GenerationTest, AnUploadThatNoWaitingWouldFitIsTheClientsFault) {
  ResolvedRequest request = EditRequest(30'000);
  request.field_prefix = "request.";
  const absl::Status status = Make(std::move(request))->Start();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonName(status), "IMAGE_INVALID");
  EXPECT_THAT(std::string(status.message()), HasSubstr("request.edit.image"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("at most 20000"));
  EXPECT_EQ(RetryDelayOf(status), std::nullopt);
  EXPECT_EQ(admission_.upload_bytes(), 0u);
}

TEST_F(GenerationTest, UploadsThatWaitToBeReadSayWhenRoomWillBe) {
  HoldReaders(1200 << 10);
  const auto waiting = Make(EditRequest(10'000));
  ASSERT_TRUE(waiting->Start().ok());
  const absl::Status status = Make(EditRequest(10'000))->Start();
  EXPECT_EQ(ReasonName(status), "UPLOAD_BACKLOG");
  ExpectRetryAfter(readers_.backlog_time(), status);
  EXPECT_EQ(Rejections(*metrics_, "UPLOAD_BACKLOG"), 1);
  waiting->Cancel();
}

TEST_F(GenerationTest, ItsShareIsTheUploadUntilThatIsReadThenWhatIsKept) {
  const auto hold = HoldReaders();
  auto generation = Make(EditRequest(10'000));
  ASSERT_TRUE(generation->Start().ok());
  EXPECT_GT(admission_.upload_bytes(), 10'000u);
  Release(hold);
  sink_->AwaitAccepted();
  EXPECT_LT(admission_.upload_bytes(), 10'000u);
  EXPECT_GT(admission_.upload_bytes(), size_t{kSide} * kSide * 3);
  HoldReaders();  // Their thread has let go of it.
  generation->Cancel();
  generation.reset();
  EXPECT_EQ(admission_.upload_bytes(), 0u);
}

TEST_F(GenerationTest, CancelledWhileItsUploadWaitsItHoldsNothing) {
  HoldReaders();
  const auto generation = Make(EditRequest());
  ASSERT_TRUE(generation->Start().ok());
  EXPECT_GT(admission_.upload_bytes(), 0u);
  generation->Cancel();
  EXPECT_EQ(admission_.upload_bytes(), 0u);
  EXPECT_EQ(sink_->events(), 0);
}

TEST_F(GenerationTest, CancelledWhileItsUploadIsReadItReachesNoScheduler) {
  absl::Notification decoding, cancelled;
  clock_.SetHook([&] {
    decoding.Notify();
    cancelled.WaitForNotification();
  });
  auto generation = Make(EditRequest());
  ASSERT_TRUE(generation->Start().ok());
  decoding.WaitForNotification();
  generation->Cancel();
  cancelled.Notify();
  HoldReaders();  // The one thread is through with it.
  EXPECT_EQ(sink_->events(), 0);
  EXPECT_EQ(scheduler_.queued_images(), 0u);
  EXPECT_EQ(admission_.upload_bytes(), 0u);
  EXPECT_THAT(metrics_->Text(), HasSubstr("hmar_upload_read_duration_seconds_count 0"));
}

TEST_F(GenerationTest, ADrainEndsUploadsThatAreRead) {
  absl::Notification decoding, draining;
  clock_.SetHook([&] {
    decoding.Notify();
    draining.WaitForNotification();
  });
  const auto generation = Make(EditRequest());
  ASSERT_TRUE(generation->Start().ok());
  decoding.WaitForNotification();
  readers_.Stop();
  draining.Notify();
  const absl::Status status = sink_->AwaitFailure();
  EXPECT_EQ(ReasonName(status), "DRAINING");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(metrics_->Text(), HasSubstr("hmar_upload_read_duration_seconds_count 0"));
}

TEST_F(GenerationTest, ADrainEndsUploadsThatWait) {
  HoldReaders();
  const auto generation = Make(EditRequest());
  ASSERT_TRUE(generation->Start().ok());
  readers_.Stop();
  Release(holds_.back());
  EXPECT_EQ(ReasonName(sink_->AwaitFailure()), "DRAINING");
  EXPECT_EQ(admission_.upload_bytes(), 0u);
}

}  // namespace
}  // namespace hmar
