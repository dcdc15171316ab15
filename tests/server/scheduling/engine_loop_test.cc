#include "server/scheduling/engine_loop.h"

#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/operations/metrics.h"
#include "server/scheduling/probe.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_engine.h"
#include "tests/fakes/recording_listener.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr absl::Duration kPatience = absl::Seconds(30);

// A device with its thread, and one model.
class EngineLoopTest : public ::testing::Test {
 protected:
  ~EngineLoopTest() override {
    engine_->OpenGate();
    scheduler_.Stop(absl::UnavailableError("test over"));
    loop_.Join();
  }

  struct Submitted {
    WorkId id;
    std::shared_ptr<RecordingListener> listener;
  };
  Submitted Submit(uint64_t seed, uint32_t images = 1, std::function<void()> on_event = nullptr) {
    Work work;
    work.job.images = images;
    work.job.prototype = FakeTask(info_, seed);
    auto listener = std::make_shared<RecordingListener>(std::move(on_event));
    work.listener = listener;
    const absl::StatusOr<Admission> admission = scheduler_.Submit(std::move(work));
    EXPECT_TRUE(admission.ok()) << admission.status();
    return {admission.value_or(Admission()).id, std::move(listener)};
  }

  // An edit of a picture of one shade that keeps the 1 x 1 scale.
  Submitted SubmitEdit(uint64_t seed, uint8_t shade, uint32_t images = 1) {
    Work work;
    work.job.images = images;
    work.job.prototype = FakeTask(info_, seed);
    work.job.prototype.keep = std::make_shared<std::vector<KeepMap>>(
        std::vector<KeepMap>{{1}, KeepMap(4, 0), KeepMap(9, 0)});
    work.picture = std::make_shared<EditPicture>(
        EditPicture{{12, 12, std::vector<uint8_t>(12 * 12 * 3, shade)}, std::string(1, shade)});
    auto listener = std::make_shared<RecordingListener>();
    work.listener = listener;
    const absl::StatusOr<Admission> admission = scheduler_.Submit(std::move(work));
    EXPECT_TRUE(admission.ok()) << admission.status();
    return {admission.value_or(Admission()).id, std::move(listener)};
  }

  void ExpectPicture(const Submitted& request, uint64_t seed, uint32_t index = 0) {
    const auto images = request.listener->images();
    ASSERT_TRUE(images.contains(index));
    EXPECT_EQ(images.at(index).picture.rgb, FakePicture(info_, FakeTask(info_, seed + index)).rgb);
  }

  const EngineInfo info_ = FakeEngineInfo();
  FakeClock clock_;
  std::unique_ptr<Metrics> metrics_ =
      *Metrics::Create({{"fake", "digest", "fp32", 3}}, {{"cpu", {}}}, "test");
  Scheduler scheduler_{{.devices = {{info_}}}, &clock_, metrics_.get()};
  FakeEngine* const engine_ = new FakeEngine(info_);  // Owned by loop_.
  EngineLoop loop_{&scheduler_, 0, Engines(), metrics_.get()};

 private:
  std::vector<std::unique_ptr<Engine>> Engines() {
    std::vector<std::unique_ptr<Engine>> engines;
    engines.emplace_back(engine_);
    return engines;
  }
};

TEST_F(EngineLoopTest, MakesWhatIsSubmitted) {
  loop_.Start();
  const Submitted request = Submit(5, 3);
  ASSERT_TRUE(request.listener->AwaitEnd(3));
  for (uint32_t index = 0; index < 3; ++index) ExpectPicture(request, 5, index);
}

TEST_F(EngineLoopTest, WorkThatArrivesDuringAStepJoinsTheNext) {
  engine_->CloseGate();
  loop_.Start();
  const Submitted first = Submit(1);
  ASSERT_TRUE(engine_->AwaitStepAtGate());
  const Submitted second = Submit(2);
  engine_->OpenGate();
  ASSERT_TRUE(first.listener->AwaitEnd(1));
  ASSERT_TRUE(second.listener->AwaitEnd(1));
  const auto steps = engine_->steps();
  EXPECT_THAT(steps[0].seeds, ElementsAre(1));
  EXPECT_THAT(steps[1].seeds, ElementsAre(1, 2));
}

TEST_F(EngineLoopTest, ACancelDuringAStepReachesTheEngineBeforeTheNext) {
  engine_->CloseGate();
  loop_.Start();
  const Submitted gone = Submit(1);
  ASSERT_TRUE(engine_->AwaitStepAtGate());
  scheduler_.Cancel(gone.id);
  const Submitted stays = Submit(2);
  engine_->OpenGate();
  ASSERT_TRUE(stays.listener->AwaitEnd(1));
  const auto calls = engine_->calls();
  EXPECT_EQ(calls[2].kind, FakeEngine::Call::kCancel);
  EXPECT_THAT(calls[2].seeds, ElementsAre(1));
  EXPECT_THAT(gone.listener->events(), IsEmpty());
}

TEST_F(EngineLoopTest, CancellationsAloneDoNotStepTheEngine) {
  const Submitted request = Submit(1);
  loop_.RunStep(*scheduler_.NextStep());
  scheduler_.Cancel(request.id);
  loop_.RunStep(*scheduler_.NextStep());
  EXPECT_THAT(engine_->steps(), SizeIs(1));
  EXPECT_EQ(engine_->images_held(), 0u);
  EXPECT_THAT((*metrics_).Text(),
              HasSubstr("hmar_cancel_release_seconds_count{model=\"fake\"} 1\n"));
}

TEST_F(EngineLoopTest, PicturesThatComeLateAreWaitedFor) {
  engine_->SetFaults({.picture_delay_steps = 100});
  loop_.Start();
  const Submitted request = Submit(5, 2);
  ASSERT_TRUE(request.listener->AwaitEnd(2));
  ExpectPicture(request, 5, 1);
}

TEST_F(EngineLoopTest, AnImageThatTheEngineRefusesFailsItsRequestAlone) {
  engine_->SetFaults({.refuse_seeds = {1}});
  const Submitted guilty = Submit(1);
  const Submitted other = Submit(2);
  loop_.Start();
  ASSERT_TRUE(guilty.listener->AwaitEnd(1));
  ASSERT_TRUE(other.listener->AwaitEnd(1));
  EXPECT_EQ(guilty.listener->status(), absl::InternalError("refused by the test"));
  ExpectPicture(other, 2);
}

TEST_F(EngineLoopTest, ARefusedImageIsReportedEvenIfItsFirstStepFailsForAnother) {
  engine_->SetFaults({.refuse_seeds = {1}, .step_fails_seeds = {2}});
  const Submitted refused = Submit(1);
  const Submitted guilty = Submit(2);
  const Submitted other = Submit(3);
  loop_.Start();
  for (const Submitted* request : {&refused, &guilty, &other}) {
    ASSERT_TRUE(request->listener->AwaitEnd(1));
  }
  EXPECT_EQ(refused.listener->status(), absl::InternalError("refused by the test"));
  EXPECT_THAT(std::string(guilty.listener->status().message()), HasSubstr("seed 2"));
  ExpectPicture(other, 3);
}

TEST_F(EngineLoopTest, EncodesAPictureOnceForAllOfAStepBeforeItAdmitsThem) {
  const Submitted three = SubmitEdit(1, 10, 3), same = SubmitEdit(5, 10), other = SubmitEdit(6, 20);
  loop_.RunStep(*scheduler_.NextStep());
  const auto calls = engine_->calls();
  EXPECT_EQ(calls[0].kind, FakeEngine::Call::kEncode);
  EXPECT_EQ(calls[0].pictures, 2u);
  EXPECT_EQ(calls[1].kind, FakeEngine::Call::kAdmit);
  EXPECT_THAT(engine_->steps()[0].seeds, ElementsAre(1, 2, 3, 5, 6));
  EXPECT_THAT((*metrics_).Text(), HasSubstr("hmar_upload_encode_duration_seconds_count{device="
                                            "\"cpu\",model=\"fake\"} 1\n"));
}

TEST_F(EngineLoopTest, APictureThatCannotBeEncodedFailsItsRequestsAlone) {
  engine_->SetFaults({.encode_fails_bytes = {10}});
  const Submitted guilty = SubmitEdit(1, 10, 2), same = SubmitEdit(4, 10),
                  innocent = SubmitEdit(5, 20), plain = Submit(6);
  loop_.Start();
  for (const Submitted* request : {&guilty, &same, &innocent, &plain}) {
    ASSERT_TRUE(request->listener->AwaitEnd(1));
  }
  EXPECT_EQ(guilty.listener->status(), absl::InternalError("the test fails this picture"));
  EXPECT_EQ(same.listener->status(), absl::InternalError("the test fails this picture"));
  EXPECT_TRUE(innocent.listener->status().ok());
  ExpectPicture(plain, 6);
}

TEST_F(EngineLoopTest, PicturesThatDoNotFitTheEncoderTogetherGoOneByOne) {
  engine_->SetFaults({.max_encode_pictures = 1});
  const Submitted one = SubmitEdit(1, 10), two = SubmitEdit(2, 20);
  loop_.Start();
  ASSERT_TRUE(one.listener->AwaitEnd(1));
  ASSERT_TRUE(two.listener->AwaitEnd(1));
  EXPECT_TRUE(one.listener->status().ok()) << one.listener->status();
  EXPECT_TRUE(two.listener->status().ok()) << two.listener->status();
}

TEST_F(EngineLoopTest, ADeviceThatIsLostWhileItEncodesIsNoticed) {
  engine_->SetFaults({.lost_after_steps = 0});
  const Submitted request = SubmitEdit(1, 10);
  loop_.RunStep(*scheduler_.NextStep());
  EXPECT_EQ(request.listener->status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(engine_->steps(), IsEmpty());
}

TEST_F(EngineLoopTest, ALostDeviceEndsTheThreadAndIsAskedForNothingMore) {
  engine_->SetFaults({.lost_after_steps = 2});
  const Submitted request = Submit(1, 20);
  loop_.Start();
  ASSERT_TRUE(request.listener->AwaitEnd(20));
  EXPECT_EQ(request.listener->status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(request.listener->status().message()), HasSubstr("719"));
  loop_.Join();
  EXPECT_THAT(engine_->steps(), SizeIs(3));
}

TEST_F(EngineLoopTest, ALostDeviceIsNoticedWhenItTakesNoImageIn) {
  engine_->SetFaults({.lost_after_steps = 0});
  const Submitted request = Submit(1);
  loop_.RunStep(*scheduler_.NextStep());
  EXPECT_EQ(request.listener->status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(engine_->steps(), IsEmpty());
  Work late;
  late.job.prototype = FakeTask(info_);
  EXPECT_EQ(scheduler_.Price(late).status(), request.listener->status());
}

TEST_F(EngineLoopTest, DrainEndsTheThreadAfterTheLastImage) {
  loop_.Start();
  const Submitted request = Submit(1, 20);
  scheduler_.BeginDrain();
  loop_.Join();
  EXPECT_THAT(request.listener->images(), SizeIs(20));
  EXPECT_EQ(engine_->images_held(), 0u);
}

TEST_F(EngineLoopTest, StopEndsTheThreadAfterTheStepUnderWay) {
  engine_->CloseGate();
  loop_.Start();
  const Submitted request = Submit(1, 20);
  ASSERT_TRUE(engine_->AwaitStepAtGate());
  scheduler_.Stop(absl::UnavailableError("stopped"));
  EXPECT_THAT(request.listener->events(), ElementsAre("failed"));
  engine_->OpenGate();
  loop_.Join();
  EXPECT_THAT(engine_->steps(), SizeIs(1));
}

TEST_F(EngineLoopTest, JoinWithoutStartReturns) { loop_.Join(); }

// Stop comes while the loop's thread is inside this request's first OnImage, with seven more in
// line and two images that have no slot yet.
TEST_F(EngineLoopTest, StopDuringACallIsHeardAfterWhatWasInLine) {
  absl::Notification inside;
  absl::Notification release;
  const Submitted request = Submit(1, 10, [&] {
    if (!inside.HasBeenNotified()) {
      inside.Notify();
      release.WaitForNotificationWithTimeout(kPatience);
    }
  });
  loop_.Start();
  ASSERT_TRUE(inside.WaitForNotificationWithTimeout(kPatience));
  scheduler_.Stop(absl::UnavailableError("stopped"));
  EXPECT_THAT(request.listener->events(), ElementsAre("image 0"));
  release.Notify();
  loop_.Join();
  const auto events = request.listener->events();
  EXPECT_THAT(events, SizeIs(9));
  EXPECT_EQ(events.back(), "failed");
}

TEST_F(EngineLoopTest, ManyThreadsSubmitAndCancelAtOnce) {
  engine_->SetFaults({.max_step_images = 6, .picture_delay_steps = 1});
  loop_.Start();
  constexpr int kThreads = 6;
  constexpr int kRequests = 40;
  std::vector<std::thread> clients;
  for (int t = 0; t < kThreads; ++t) {
    clients.emplace_back([this, t] {
      for (int i = 0; i < kRequests; ++i) {
        const uint64_t seed = 1000 * t + 10 * i;
        const Submitted request = Submit(seed, 1 + i % 3);
        const bool cancel = i % 4 == t % 4;
        if (cancel) scheduler_.Cancel(request.id);
        const size_t heard = request.listener->events().size();
        // Later steps prove that a cancelled request stays silent; one call may have been under
        // way.
        const Submitted next = Submit(seed + 5);
        EXPECT_TRUE(next.listener->AwaitEnd(1));
        ExpectPicture(next, seed + 5);
        if (cancel) {
          EXPECT_LE(request.listener->events().size(), heard + 1);
        } else {
          EXPECT_TRUE(request.listener->AwaitEnd(1 + i % 3));
          ExpectPicture(request, seed, i % 3);
        }
      }
    });
  }
  for (std::thread& client : clients) client.join();
  scheduler_.BeginDrain();
  loop_.Join();
  EXPECT_EQ(engine_->images_held(), 0u);
  EXPECT_EQ(scheduler_.queued_images() + scheduler_.running_images(), 0u);
}

TEST_F(EngineLoopTest, CountsItsSteps) {
  Submit(1, 2);
  while (auto step = scheduler_.NextStep()) loop_.RunStep(*std::move(step));
  const std::string text = metrics_->Text();
  const std::string labels = "{device=\"cpu\",model=\"fake\"}";
  EXPECT_THAT(text, HasSubstr("hmar_step_duration_seconds_count" + labels + " 5\n"));
  EXPECT_THAT(text, HasSubstr("hmar_step_images_sum" + labels + " 10\n"));
  EXPECT_THAT(text, HasSubstr("hmar_step_tokens_sum" + labels + " 90\n"));
  EXPECT_THAT(text, HasSubstr("hmar_images_total{model=\"fake\",outcome=\"done\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("hmar_queue_duration_seconds_count{model=\"fake\"} 2\n"));
}

TEST_F(EngineLoopTest, AProbeMakesAPicture) {
  loop_.Start();
  EXPECT_EQ(Probe(&scheduler_, 0, 0, info_.config, kPatience), absl::OkStatus());
  EXPECT_THAT(engine_->steps(), SizeIs(5));
}

// What is counted for clients; the time of its steps is the device's all the same.
TEST_F(EngineLoopTest, AProbeCountsForNobody) {
  loop_.Start();
  ASSERT_EQ(Probe(&scheduler_, 0, 0, info_.config, kPatience), absl::OkStatus());
  engine_->SetFaults({.non_finite_seeds = {0}});
  ASSERT_FALSE(Probe(&scheduler_, 0, 0, info_.config, kPatience).ok());
  scheduler_.BeginDrain();
  ASSERT_FALSE(Probe(&scheduler_, 0, 0, info_.config, kPatience).ok());
  const std::string text = metrics_->Text();
  for (const char* outcome : {"done", "failed"}) {
    EXPECT_THAT(text, HasSubstr(absl::StrCat("hmar_images_total{model=\"fake\",outcome=\"", outcome,
                                             "\"} 0\n")));
  }
  EXPECT_THAT(text, HasSubstr("hmar_queue_duration_seconds_count{model=\"fake\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("hmar_admission_rejected_total{reason=\"DRAINING\"} 0\n"));
  EXPECT_THAT(text, Not(HasSubstr("hmar_step_images_count{model=\"fake\",device=\"cpu\"} 0\n")));
}

TEST_F(EngineLoopTest, AProbeThatFailsSaysWhy) {
  engine_->SetFaults({.non_finite_seeds = {0}});
  loop_.Start();
  const absl::Status status = Probe(&scheduler_, 0, 0, info_.config, kPatience);
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(status.message(), "probe image of model fake: logits are not finite");
}

TEST_F(EngineLoopTest, AProbeChecksTheSizeOfThePicture) {
  ModelConfig larger = info_.config;
  larger.image_size = 24;
  loop_.Start();
  const absl::Status status = Probe(&scheduler_, 0, 0, larger, kPatience);
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()), HasSubstr("12 x 12"));
}

TEST_F(EngineLoopTest, AProbeGivesUpAndLeavesNothingBehind) {
  engine_->CloseGate();
  loop_.Start();
  const absl::Status status = Probe(&scheduler_, 0, 0, info_.config, absl::Milliseconds(1));
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(scheduler_.queued_images() + scheduler_.running_images(), 0u);
}

}  // namespace
}  // namespace hmar
