#ifndef HMAR_TESTS_FAKES_PUPPET_DEVICE_H_
#define HMAR_TESTS_FAKES_PUPPET_DEVICE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/metrics.h"
#include "server/scheduler.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_engine.h"
#include "tests/fakes/recording_listener.h"

namespace hmar {

// A scheduler and its engines, moved step by step by the test on its own thread, on a clock that
// only steps move: a step takes 10 ms and 1 ms a row.
class PuppetDevice {
 public:
  // One engine a name; `options` without models.
  explicit PuppetDevice(std::vector<EngineInfo> models = {FakeEngineInfo()},
                        SchedulerOptions options = {}, Metrics* metrics = nullptr) {
    for (const EngineInfo& info : models) engines_.push_back(std::make_unique<FakeEngine>(info));
    options.models = std::move(models);
    scheduler_ = std::make_unique<Scheduler>(std::move(options), &clock_, metrics);
  }

  Scheduler& scheduler() { return *scheduler_; }
  FakeEngine& engine(size_t model = 0) { return *engines_[model]; }
  FakeClock& clock() { return clock_; }

  // A valid request.
  Work MakeWork(uint64_t seed, uint32_t images = 1, size_t model = 0) {
    Work work;
    work.model = model;
    work.images = images;
    work.prototype = FakeTask(engines_[model]->info(), seed);
    work.listener = std::make_shared<RecordingListener>();
    return work;
  }

  // Submits; the test fails if that is refused.
  struct Submitted {
    Admission admission;
    std::shared_ptr<RecordingListener> listener;
  };
  Submitted Submit(Work work) {
    auto listener = std::static_pointer_cast<RecordingListener>(work.listener);
    absl::StatusOr<Admission> admission = scheduler_->Submit(std::move(work));
    EXPECT_TRUE(admission.ok()) << admission.status();
    return {admission.value_or(Admission()), std::move(listener)};
  }
  Submitted Submit(uint64_t seed, uint32_t images = 1, size_t model = 0) {
    return Submit(MakeWork(seed, images, model));
  }

  // Does what a planned step says and reports it.
  void Execute(const PlannedStep& step) {
    for (const auto& [model, id] : step.cancelled) engines_[model]->Cancel(id);
    FakeEngine& engine = *engines_[step.model];
    for (const PlannedStep::NewImage& image : step.admitted) {
      EXPECT_TRUE(engine.Admit(image.id, image.task).ok());
    }
    absl::StatusOr<StepReport> report = StepReport();
    absl::Duration took;
    if (!step.ids.empty() || step.await_pictures) {
      report = engine.Step(step.ids);
      took = absl::Milliseconds(10 + (report.ok() ? report->rows : 0));
      clock_.Advance(took);
    }
    scheduler_->Finish(step, std::move(report), took);
  }

  // Plans one step and runs it. Nothing: there was none.
  std::optional<PlannedStep> RunOne() {
    std::optional<PlannedStep> step = scheduler_->NextStep();
    if (step) Execute(*step);
    return step;
  }

  // Runs until there is no step left; the test fails if that takes more than `most` steps.
  std::vector<PlannedStep> RunAll(size_t most = 100'000) {
    std::vector<PlannedStep> steps;
    while (steps.size() < most) {
      std::optional<PlannedStep> step = RunOne();
      if (!step) return steps;
      steps.push_back(*std::move(step));
    }
    ADD_FAILURE() << "work is left after " << most << " steps";
    return steps;
  }

  // Nothing waits, runs, or holds a slot, in the scheduler and in the engines.
  bool Idle() {
    for (const auto& engine : engines_) {
      if (engine->images_held() > 0) return false;
    }
    return scheduler_->queued_images() == 0 && scheduler_->running_images() == 0;
  }

 private:
  FakeClock clock_;
  std::vector<std::unique_ptr<FakeEngine>> engines_;
  std::unique_ptr<Scheduler> scheduler_;
};

}  // namespace hmar

#endif  // HMAR_TESTS_FAKES_PUPPET_DEVICE_H_
