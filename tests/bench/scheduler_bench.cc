// What the scheduler itself costs, with a thousand and with a hundred thousand images waiting: a
// step (its plan, its report), a request that comes and is cancelled, a refusal.
//
//   build/tests/bench/scheduler_bench

#include <benchmark/benchmark.h>

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model/sampling_plan.h"
#include "server/scheduling/scheduler.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_engine.h"

namespace hmar {
namespace {

constexpr uint32_t kSlots = 64;
constexpr uint32_t kImagesOfARequest = 10;
constexpr uint32_t kClients = 100;

class Deaf final : public WorkListener {
 public:
  void OnPreview(uint32_t, uint32_t, Picture) override {}
  void OnImage(uint32_t, FinishedImage) override {}
  void OnFailed(const absl::Status&) override {}
};

// A scheduler with `waiting` images, of clients, priorities and deadlines of every kind.
class Crowd {
 public:
  explicit Crowd(uint32_t waiting) : info_(FakeEngineInfo("fake", kSlots)) {
    SchedulerOptions options;
    options.max_queued_images = options.max_queued_images_per_client = waiting + 2 * kSlots;
    options.devices = {{info_}};
    scheduler_ = std::make_unique<Scheduler>(std::move(options), &clock_, nullptr);
    while (scheduler_->queued_images() < waiting + kSlots) (void)Submit();
    RunStep();  // Fills the slots.
  }

  Work NextWork() {
    const uint64_t n = ++works_;
    Work work;
    work.job.images = kImagesOfARequest;
    work.job.prototype = FakeTask(info_, n);
    work.job.priority = n % 10 == 0 ? 5 : 0;
    work.origin.client = absl::StrCat("client ", n % kClients);
    if (n % 3 == 0) work.origin.deadline = clock_.Now() + absl::Hours(1 + n % 7);
    work.listener = listener_;
    return work;
  }

  absl::StatusOr<Admission> Submit() { return scheduler_->Submit(NextWork()); }

  // Plans a step and reports that it was done. Images come anew as others go.
  void RunStep() {
    std::optional<PlannedStep> step = scheduler_->NextStep();
    StepReport report;
    for (const PlannedStep::NewImage& image : step->admitted) {
      passes_[image.id] = {PlanPasses(info_.config, image.task), 0};
    }
    for (ImageId id : step->ids) {
      auto& [passes, next] = passes_.at(id);
      const Pass& pass = passes[next++];
      const bool last = next == passes.size();
      report.passes.push_back({id, pass.scale, pass.step, pass.rows(), pass.settles_scale, last});
      if (!last) continue;
      report.images.push_back({id, Picture(), {}});
      passes_.erase(id);
      ++done_;
    }
    scheduler_->Finish(*step, std::move(report), absl::Milliseconds(10));
    for (; done_ >= kImagesOfARequest; done_ -= kImagesOfARequest) (void)Submit();
  }

  Scheduler& scheduler() { return *scheduler_; }

 private:
  const EngineInfo info_;
  FakeClock clock_;
  std::shared_ptr<Deaf> listener_ = std::make_shared<Deaf>();
  std::unique_ptr<Scheduler> scheduler_;
  std::map<ImageId, std::pair<std::vector<Pass>, size_t>> passes_;
  uint64_t works_ = 0;
  uint32_t done_ = 0;
};

void BM_Step(benchmark::State& state) {
  Crowd crowd(static_cast<uint32_t>(state.range(0)));
  for (auto _ : state) crowd.RunStep();
  if (crowd.scheduler().running_images() == 0) state.SkipWithError("nothing runs");
}

void BM_SubmitAndCancel(benchmark::State& state) {
  Crowd crowd(static_cast<uint32_t>(state.range(0)));
  for (auto _ : state) {
    const absl::StatusOr<Admission> admission = crowd.Submit();
    if (!admission.ok()) state.SkipWithError(admission.status().ToString().c_str());
    crowd.scheduler().Cancel(admission->id);
  }
}

void BM_Refusal(benchmark::State& state) {
  Crowd crowd(static_cast<uint32_t>(state.range(0)));
  while (crowd.Submit().ok()) {
  }
  for (auto _ : state) {
    if (crowd.Submit().ok()) state.SkipWithError("there was room");
  }
}

BENCHMARK(BM_Step)->Arg(1'000)->Arg(100'000)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_SubmitAndCancel)->Arg(1'000)->Arg(100'000)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_Refusal)->Arg(1'000)->Arg(100'000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace hmar

BENCHMARK_MAIN();
