// What engines throw and what they report wrongly: an engine loop survives it, and fails no image
// but those it is about.

#include <functional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/scheduling/engine_loop.h"
#include "server/scheduling/hang_watcher.h"
#include "server/scheduling/report_check.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_engine.h"
#include "tests/fakes/recording_listener.h"

namespace hmar {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr uint64_t kGuilty = 1;
constexpr uint64_t kInnocent = 2;
constexpr uint8_t kBadShade = 10;
constexpr uint8_t kGoodShade = 20;

// A loop without a thread: RunAll is its thread's work.
class EngineFaultsTest : public ::testing::Test {
 protected:
  std::shared_ptr<RecordingListener> Submit(Work work) {
    auto listener = std::make_shared<RecordingListener>();
    work.listener = listener;
    const auto admission = scheduler_.Submit(std::move(work));
    EXPECT_TRUE(admission.ok()) << admission.status();
    return listener;
  }

  Work MakeWork(uint64_t seed) {
    Work work;
    work.job.images = 1;
    work.job.prototype = FakeTask(info_, seed);
    return work;
  }

  std::shared_ptr<RecordingListener> Submit(uint64_t seed) { return Submit(MakeWork(seed)); }

  std::shared_ptr<RecordingListener> SubmitEdit(uint64_t seed, uint8_t shade) {
    Work work = MakeWork(seed);
    work.job.prototype.keep = std::make_shared<std::vector<KeepMap>>(
        std::vector<KeepMap>{{1}, KeepMap(4, 0), KeepMap(9, 0)});
    work.picture = std::make_shared<EditPicture>(
        EditPicture{{12, 12, std::vector<uint8_t>(12 * 12 * 3, shade)}, std::string(1, shade)});
    return Submit(std::move(work));
  }

  // The test fails if work is left after so many steps.
  void RunAll(int most = 100) {
    for (int i = 0; i < most; ++i) {
      std::optional<PlannedStep> step = scheduler_.NextStep();
      if (!step.has_value()) return;
      loop_.RunStep(*std::move(step));
    }
    ADD_FAILURE() << "work is left";
  }

  void ExpectPicture(const RecordingListener& listener, uint64_t seed) {
    ASSERT_TRUE(listener.images().contains(0)) << listener.status();
    EXPECT_EQ(listener.images().at(0).picture.rgb, FakePicture(info_, FakeTask(info_, seed)).rgb);
  }

  void ExpectNothingLeft() {
    EXPECT_EQ(engine_->images_held(), 0u);
    EXPECT_EQ(scheduler_.queued_images() + scheduler_.running_images(), 0u);
    const auto after = Submit(77);
    RunAll();
    ExpectPicture(*after, 77);
  }

  const EngineInfo info_ = FakeEngineInfo();
  FakeClock clock_;
  Scheduler scheduler_{{.devices = {{info_}}}, &clock_, nullptr};
  FakeEngine* const engine_ = new FakeEngine(info_);  // Owned by loop_.
  std::vector<std::string> told_;                     // on_fault's lines.
  EngineLoop loop_{
      &scheduler_, 0, Engines(), nullptr, {.on_fault = [this](const std::string& line) {
        told_.push_back(line);
      }}};

 private:
  std::vector<std::unique_ptr<Engine>> Engines() {
    std::vector<std::unique_ptr<Engine>> engines;
    engines.emplace_back(engine_);
    return engines;
  }
};

TEST_F(EngineFaultsTest, AdmitThatThrowsFailsItsImageAlone) {
  engine_->SetFaults({.admit_throws = {{kGuilty, FakeThrow::kRuntimeError}}});
  const auto guilty = Submit(kGuilty), innocent = Submit(kInnocent);
  RunAll();
  EXPECT_EQ(guilty->status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(guilty->status().message()),
              AllOf(HasSubstr("Admit"), HasSubstr("thrown by the test")));
  ExpectPicture(*innocent, kInnocent);
  EXPECT_THAT(told_, ElementsAre(AllOf(HasSubstr("model fake"), HasSubstr("Admit"))));
  ExpectNothingLeft();
}

TEST_F(EngineFaultsTest, StepThatThrowsIsSplitUntilTheImageAtFaultIsAlone) {
  engine_->SetFaults({.step_throws = {{kGuilty, FakeThrow::kRuntimeError}}});
  const auto guilty = Submit(kGuilty), innocent = Submit(kInnocent), other = Submit(3);
  RunAll();
  EXPECT_EQ(guilty->status().code(), absl::StatusCode::kInternal);
  ExpectPicture(*innocent, kInnocent);
  ExpectPicture(*other, 3);
  EXPECT_THAT(told_, Each(HasSubstr("the engine threw in Step: thrown by the test")));
  ExpectNothingLeft();
}

TEST_F(EngineFaultsTest, NoMemoryIsNoMemoryWhereverItIsThrown) {
  engine_->SetFaults({.admit_throws = {{1, FakeThrow::kBadAlloc}},
                      .step_throws = {{2, FakeThrow::kBadAlloc}},
                      .encode_throws = {{kBadShade, FakeThrow::kBadAlloc}}});
  const auto admitted = Submit(1), stepped = Submit(2), encoded = SubmitEdit(3, kBadShade),
             innocent = Submit(4), edit = SubmitEdit(5, kGoodShade);
  RunAll();
  for (const auto& listener : {admitted, stepped, encoded}) {
    EXPECT_EQ(listener->status().code(), absl::StatusCode::kResourceExhausted)
        << listener->status();
  }
  ExpectPicture(*innocent, 4);
  EXPECT_TRUE(edit->status().ok()) << edit->status();
  ExpectNothingLeft();
}

TEST_F(EngineFaultsTest, EncodeThatThrowsFailsThatPictureAlone) {
  engine_->SetFaults({.encode_throws = {{kBadShade, FakeThrow::kRuntimeError}}});
  const auto guilty = SubmitEdit(1, kBadShade), innocent = SubmitEdit(2, kGoodShade);
  RunAll();
  EXPECT_EQ(guilty->status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(innocent->images(), SizeIs(1));
  ExpectNothingLeft();
}

TEST_F(EngineFaultsTest, EncodeThatMakesNoPyramidOfAPictureFailsThatPictureAlone) {
  for (const FakeFaults& faults : {FakeFaults{.encode_omits_bytes = {kBadShade}},
                                   FakeFaults{.encode_cuts_bytes = {kBadShade}}}) {
    engine_->SetFaults(faults);
    const auto guilty = SubmitEdit(1, kBadShade), innocent = SubmitEdit(2, kGoodShade);
    RunAll();
    EXPECT_EQ(guilty->status().code(), absl::StatusCode::kInternal) << guilty->status();
    EXPECT_THAT(innocent->images(), SizeIs(1));
    EXPECT_THAT(told_, Not(IsEmpty()));
    engine_->SetFaults({});
    ExpectNothingLeft();
  }
}

class EngineLieTest : public EngineFaultsTest, public ::testing::WithParamInterface<EngineLie> {};

TEST_P(EngineLieTest, FailsItsImageAlone) {
  engine_->SetFaults({.lies = {{kGuilty, GetParam()}}});
  Work work = MakeWork(kGuilty);
  if (GetParam() == EngineLie::kPreviewOfOtherSize) {
    work.job.prototype.preview_mode = PreviewMode::kFast;
    work.job.prototype.preview_scales = {true, true, true};
  }
  const auto guilty = Submit(std::move(work)), innocent = Submit(kInnocent);
  RunAll();
  ExpectPicture(*innocent, kInnocent);
  ASSERT_THAT(told_, Not(IsEmpty()));
  EXPECT_THAT(told_[0], AllOf(HasSubstr("model fake"), HasSubstr("wrong report")));
  if (GetParam() == EngineLie::kStrangers) {  // It is about nobody.
    ExpectPicture(*guilty, kGuilty);
  } else {
    EXPECT_THAT(guilty->events(), ElementsAre("failed"));
    EXPECT_EQ(guilty->status().code(), absl::StatusCode::kInternal);
    EXPECT_THAT(std::string(guilty->status().message()), HasSubstr("misreported"));
    EXPECT_THAT(told_, SizeIs(1));
  }
  engine_->SetFaults({});
  ExpectNothingLeft();
}

INSTANTIATE_TEST_SUITE_P(All, EngineLieTest, ::testing::ValuesIn(kAllEngineLies));

// Others keep the engine busy, so that it is never asked to wait for the picture.
TEST_F(EngineFaultsTest, APictureThatNeverComesIsGivenUpWhileOthersRun) {
  engine_->SetFaults({.lies = {{kGuilty, EngineLie::kNoPicture}}});
  const auto guilty = Submit(kGuilty);
  for (uint64_t step = 0; guilty->status().ok(); ++step) {
    ASSERT_LT(step, 2 * ReportCheck::kMaxLateSteps);
    if (scheduler_.queued_images() == 0) Submit(100 + step);
    loop_.RunStep(*scheduler_.NextStep());
  }
  EXPECT_THAT(std::string(guilty->status().message()), HasSubstr("no picture within 1000 steps"));
  RunAll(1000);
  ExpectNothingLeft();
}

// A step that takes its time but ends within the limit is slow, not hung; then one that hangs.
TEST_F(EngineFaultsTest, ASlowStepIsNotOneThatHangs) {
  std::vector<OverdueStep> hung;
  HangWatcher watcher({absl::Seconds(30), absl::Seconds(30)}, 1, &clock_,
                      [&](const OverdueStep& step) { hung.push_back(step); });
  std::vector<std::unique_ptr<Engine>> engines;
  auto* engine = new FakeEngine(info_);
  engines.emplace_back(engine);
  EngineLoop loop(&scheduler_, 0, std::move(engines), nullptr, {.hang_watcher = &watcher});
  absl::Duration takes = absl::Seconds(29);
  engine->SetFaults({.during_step = [&] {
    clock_.Advance(takes);
    watcher.Look();
  }});
  const auto slow = Submit(kInnocent);
  while (auto step = scheduler_.NextStep()) loop.RunStep(*std::move(step));
  ExpectPicture(*slow, kInnocent);
  EXPECT_THAT(hung, IsEmpty());
  clock_.Advance(absl::Hours(1));  // Nothing runs: nothing hangs.
  watcher.Look();
  EXPECT_THAT(hung, IsEmpty());
  takes = absl::Seconds(31);
  Submit(3);
  loop.RunStep(*scheduler_.NextStep());
  EXPECT_THAT(hung, SizeIs(1));
}

}  // namespace
}  // namespace hmar
