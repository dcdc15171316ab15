// The same request, the same bytes, whatever goes on beside it: the real engine under a scheduler,
// with clients of several principals and priorities that come, make others' images pause, and
// leave. Nothing here depends on time or threads.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/scheduling/engine_loop.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/recording_listener.h"
#include "tests/model/golden.h"
#include "tests/model/seen_images.h"

namespace hmar {
namespace {

constexpr uint32_t kSlots = 8;
constexpr uint64_t kTasks = 4;
constexpr size_t kRequests = 16;

class SameBytesTest : public ::testing::Test {
 protected:
  struct Submitted {
    WorkId id = 0;
    uint64_t seed = 0;
    std::shared_ptr<RecordingListener> listener;
    bool cancelled = false;
  };

  SameBytesTest() {
    auto engine = LoadEngine("deploy/models/hmar-cifar10", /*fast_previews=*/true, kSlots,
                             /*threads=*/1);
    info_ = engine->info();
    for (uint64_t seed = 0; seed < kTasks; ++seed) alone_[seed] = Alone(*engine, seed);
    SchedulerOptions options;
    options.devices = {{info_}};
    options.reserved_slots = 2;
    options.max_step_rows = 256;
    scheduler_ = std::make_unique<Scheduler>(options, &clock_, nullptr);
    std::vector<std::unique_ptr<Engine>> engines;
    engines.push_back(std::move(engine));
    loop_ = std::make_unique<EngineLoop>(scheduler_.get(), 0, std::move(engines), nullptr,
                                         EngineLoopHooks());
  }

  ImageTask Task(uint64_t seed) const {
    const bool quick = seed % 2 != 0;
    ImageTask task =
        VariedTask(info_.config, seed, quick ? PreviewMode::kNone : PreviewMode::kFast);
    if (quick) task.sampling.mask_schedule = PresetSchedule(SchedulePreset::kNone, info_.config);
    return task;
  }

  Seen Alone(Engine& engine, uint64_t seed) const {
    std::map<ImageId, Seen> seen;
    EXPECT_TRUE(engine.Admit(1, Task(seed)).ok());
    while (seen[1].picture.rgb.empty()) {
      const auto report = engine.Step({1});
      if (!report.ok()) break;
      Record(*report, &seen);
    }
    return seen[1];
  }

  void SubmitAny() {
    static constexpr int kPriorities[] = {-5, 0, 0, 5};
    Submitted submitted{0, random_() % kTasks, std::make_shared<RecordingListener>()};
    Work work;
    work.job.prototype = Task(submitted.seed);
    work.job.priority = kPriorities[random_() % 4];
    work.origin.client = absl::StrCat("client ", random_() % 3);
    work.listener = submitted.listener;
    const auto admission = scheduler_->Submit(std::move(work));
    ASSERT_TRUE(admission.ok()) << admission.status();
    submitted.id = admission->id;
    submitted_.push_back(std::move(submitted));
  }

  void CancelAny() {
    Submitted& any = submitted_[random_() % submitted_.size()];
    if (!any.listener->images().empty()) return;
    scheduler_->Cancel(any.id);
    any.cancelled = true;
  }

  // False: there is nothing to do.
  bool RunOne() {
    std::optional<PlannedStep> step = scheduler_->NextStep();
    if (!step.has_value()) return false;
    ++steps_;
    for (const ImageId id : step->ids) {
      const auto [place, is_new] = last_step_.try_emplace(id, steps_);
      if (!is_new && place->second + 1 < steps_) ++pauses_;
      place->second = steps_;
    }
    most_together_ = std::max(most_together_, step->ids.size());
    clock_.Advance(absl::Milliseconds(50));
    loop_->RunStep(*std::move(step));
    return true;
  }

  EngineInfo info_;
  FakeClock clock_;
  std::mt19937 random_{4};
  std::map<uint64_t, Seen> alone_;  // By seed.
  std::unique_ptr<Scheduler> scheduler_;
  std::unique_ptr<EngineLoop> loop_;
  std::vector<Submitted> submitted_;
  int steps_ = 0;
  std::map<ImageId, int> last_step_;  // That an image took part in.
  int pauses_ = 0;
  size_t most_together_ = 0;
};

TEST_F(SameBytesTest, AnImageIsTheSameInAnyCrowd) {
  while (true) {
    const bool comes = submitted_.size() < kRequests;
    if (comes && random_() % 2 == 0) SubmitAny();
    if (comes && random_() % 10 == 0 && !submitted_.empty()) CancelAny();
    if (!RunOne() && !comes) break;
  }
  int cancelled = 0;
  for (const Submitted& submitted : submitted_) {
    cancelled += submitted.cancelled ? 1 : 0;
    if (submitted.cancelled) continue;
    ASSERT_EQ(submitted.listener->images().size(), 1u) << submitted.listener->status();
    const FinishedImage image = submitted.listener->images().at(0);
    Seen seen{image.picture, image.tokens, {}};
    for (const auto& [place, preview] : submitted.listener->previews()) {
      seen.previews.emplace_back(place.second, preview.rgb);
    }
    ExpectSame(seen, alone_.at(submitted.seed));
  }
  // All of it happened.
  EXPECT_GT(pauses_, 5);
  EXPECT_GT(cancelled, 0);
  EXPECT_GT(most_together_, 3u);
}

}  // namespace
}  // namespace hmar
