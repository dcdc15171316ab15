#ifndef HMAR_TESTS_FAKES_PUPPET_DEVICE_H_
#define HMAR_TESTS_FAKES_PUPPET_DEVICE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/operations/metrics.h"
#include "server/scheduling/scheduler.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_engine.h"
#include "tests/fakes/recording_listener.h"

namespace hmar {

// What steps of a puppet's devices take.
struct PuppetCosts {
  absl::Duration step = absl::Milliseconds(10);
  absl::Duration row = absl::Milliseconds(1);
  absl::Duration picture;  // Decoded: FULL previews and images.
  absl::Duration upload;   // Tokenized, before the step.
};

// A scheduler and the engines of its devices, moved step by step by the test on its own thread, on
// a clock that only steps move: a step takes 10 ms and 1 ms a row, unless the test says otherwise.
// Most tests have one device, of index 0.
class PuppetDevice {
 public:
  // One engine a model and device; `options` without devices.
  explicit PuppetDevice(std::vector<EngineInfo> models = {FakeEngineInfo()},
                        SchedulerOptions options = {}, Metrics* metrics = nullptr,
                        size_t devices = 1)
      : slowness_(devices, 1) {
    for (size_t device = 0; device < devices; ++device) {
      auto& engines = engines_.emplace_back();
      for (const EngineInfo& info : models) engines.push_back(std::make_unique<FakeEngine>(info));
      options.devices.push_back(models);
    }
    scheduler_ = std::make_unique<Scheduler>(std::move(options), &clock_, metrics);
  }

  Scheduler& scheduler() { return *scheduler_; }
  FakeEngine& engine(size_t model = 0, size_t device = 0) { return *engines_[device][model]; }
  // Steps of the device take this many times as long.
  void SlowDown(size_t device, double times) { slowness_[device] = times; }
  void SetCosts(const PuppetCosts& costs) { costs_ = costs; }
  FakeClock& clock() { return clock_; }

  // A valid request.
  Work MakeWork(uint64_t seed, uint32_t images = 1, size_t model = 0) {
    Work work;
    work.job.model = model;
    work.job.images = images;
    work.job.prototype = FakeTask(engine(model).info(), seed);
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
  void Execute(PlannedStep step) {
    for (const auto& [model, id] : step.cancelled) engine(model, step.device).Cancel(id);
    FakeEngine& engine = this->engine(step.model, step.device);
    for (PlannedStep::NewImage& image : step.admitted) {
      if (image.picture != nullptr) {
        const Picture* const pictures[] = {&image.picture->picture};
        image.task.given = std::make_shared<TokenPyramid>(engine.Encode(pictures)->front());
        step.tokenized.push_back({image.picture->digest, image.task.given});
        step.tokenizing += costs_.upload * slowness_[step.device];
      }
      EXPECT_TRUE(engine.Admit(image.id, image.task).ok());
    }
    for (const auto& [id, scales] : step.truncated) {
      EXPECT_EQ(engine.Truncate(id, scales), absl::OkStatus());
    }
    clock_.Advance(step.tokenizing);
    absl::StatusOr<StepReport> report = StepReport();
    absl::Duration took;
    if (!step.ids.empty() || step.await_pictures) {
      report = engine.Step(step.ids);
      took = (report.ok() ? CostOf(step, &*report) : costs_.step) * slowness_[step.device];
      clock_.Advance(took);
    }
    scheduler_->Finish(step, std::move(report), took);
  }

  // Plans one step of a device and runs it. Nothing: there was none.
  std::optional<PlannedStep> RunOne(size_t device = 0) {
    std::optional<PlannedStep> step = scheduler_->NextStep(device);
    if (step) Execute(*step);
    return step;
  }

  // Runs the devices in turn until none has a step left; the test fails if that takes more than
  // `most` steps.
  std::vector<PlannedStep> RunAll(size_t most = 100'000) {
    std::vector<PlannedStep> steps;
    while (steps.size() < most) {
      const size_t before = steps.size();
      for (size_t device = 0; device < engines_.size(); ++device) {
        std::optional<PlannedStep> step = RunOne(device);
        if (step) steps.push_back(*std::move(step));
      }
      if (steps.size() == before) return steps;
    }
    ADD_FAILURE() << "work is left after " << most << " steps";
    return steps;
  }

  // Nothing waits, runs, or holds a slot, in the scheduler and in the engines.
  bool Idle() {
    for (const auto& engines : engines_) {
      for (const auto& engine : engines) {
        if (engine->images_held() > 0) return false;
      }
    }
    return scheduler_->queued_images() == 0 && scheduler_->running_images() == 0;
  }

 private:
  absl::Duration CostOf(const PlannedStep&, StepReport* report) const {
    size_t pictures = report->images.size();
    for (const PreviewReport& preview : report->previews) {
      const auto size = static_cast<uint32_t>(engines_[0][0]->info().config.image_size);
      pictures += preview.picture.width == size;
    }
    const absl::Duration decoding = costs_.picture * pictures;
    report->decode_seconds = absl::ToDoubleSeconds(decoding);
    return costs_.step + costs_.row * report->rows + decoding;
  }

  FakeClock clock_;
  PuppetCosts costs_;
  std::vector<double> slowness_;                                   // By device.
  std::vector<std::vector<std::unique_ptr<FakeEngine>>> engines_;  // By device and model.
  std::unique_ptr<Scheduler> scheduler_;
};

}  // namespace hmar

#endif  // HMAR_TESTS_FAKES_PUPPET_DEVICE_H_
