// How much of an overload is answered in time: the scheduler's policy beside first come, first
// served, behind the same interface, on the real engine and the wall clock. Calls of one image come
// at random (Poisson) at so many times what the engine can make, each to be answered within so many
// times what a lone one takes; what is not is of no use to anybody. Every picture is held against
// what the engine makes of its sampling alone.
//
//   goodput_bench [--device cpu|cuda:N] [--overload 1.5] [--slo 3] [--seconds 20]

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "model/sampling_plan.h"
#include "server/base/clock.h"
#include "server/scheduling/engine_loop.h"
#include "server/scheduling/scheduler.h"
#include "tests/bench/bench_engine.h"
#include "tests/bench/fcfs_policy.h"

namespace hmar {
namespace {

constexpr uint64_t kSeeds = 16;
constexpr int kDegradedChecked = 8;

[[noreturn]] void Fail(const std::string& what) {
  std::fprintf(stderr, "goodput_bench: %s\n", what.c_str());
  std::exit(1);
}

std::unique_ptr<Engine> NewEngine(const BenchEngineOptions& options) {
  auto engine = MakeBenchEngine(options);
  if (!engine.ok()) Fail(std::string(engine.status().message()));
  return *std::move(engine);
}

ImageTask TaskOf(const ModelConfig& config, uint64_t seed) {
  ImageTask task;
  task.seed = seed;
  task.class_id = static_cast<uint32_t>(seed % config.classes.size());
  task.sampling = config.sampling;
  return task;
}

Picture Alone(Engine* engine, const ImageTask& task) {
  if (!engine->Admit(1, task).ok()) Fail("the engine takes no image");
  std::vector<ImageId> ids = {1};
  for (;;) {
    auto report = engine->Step(ids);
    if (!report.ok()) Fail(std::string(report.status().message()));
    for (const PassReport& pass : report->passes) {
      if (pass.last) ids.clear();
    }
    if (!report->images.empty()) return std::move(report->images[0].picture);
  }
}

// One call of one image.
class Call final : public WorkListener {
 public:
  Call(uint64_t seed, absl::Time due) : seed(seed), due(due) {}
  void OnPreview(uint32_t, uint32_t, Picture) override {}
  void OnImage(uint32_t, FinishedImage image) override {
    came = absl::Now();
    finished = std::move(image);
    done = true;
  }
  void OnFailed(const absl::Status&) override { done = true; }

  const uint64_t seed;
  const absl::Time due;
  absl::Time came = absl::InfiniteFuture();
  FinishedImage finished;
  std::atomic<bool> done = false;
};

// A scheduler, and an engine on a thread of its own.
class Served {
 public:
  Served(const BenchEngineOptions& engine, StepPolicy policy) {
    std::vector<std::unique_ptr<Engine>> engines;
    engines.push_back(NewEngine(engine));
    SchedulerOptions options;
    if (engine.device == "cpu") options.max_step_rows = 1024;  // The server's own default.
    options.policy = std::move(policy);
    options.devices = {{engines[0]->info()}};
    config_ = engines[0]->info().config;
    scheduler_ = std::make_unique<Scheduler>(std::move(options), &clock_, nullptr);
    loop_ = std::make_unique<EngineLoop>(scheduler_.get(), 0, std::move(engines), nullptr);
    loop_->Start();
  }
  ~Served() { scheduler_->Stop(absl::CancelledError("over")); }

  std::shared_ptr<Call> Send(uint64_t seed, absl::Time deadline = absl::InfiniteFuture(),
                             OnDeadline on_deadline = OnDeadline::kFail) {
    auto call = std::make_shared<Call>(seed, absl::Now());
    Work work;
    work.job.prototype = TaskOf(config_, seed);
    work.job.on_deadline = on_deadline;
    work.origin.client = "bench";
    work.origin.deadline = work.origin.answer_by = deadline;
    work.listener = call;
    if (!scheduler_->Submit(std::move(work)).ok()) call->done = true;
    return call;
  }

  static void Await(const std::vector<std::shared_ptr<Call>>& calls) {
    for (const auto& call : calls) {
      while (!call->done) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  absl::Duration IdleLatency() {
    std::vector<absl::Duration> took;
    for (uint64_t seed = 0; seed < kSeeds; ++seed) {
      const auto call = Send(seed);
      Await({call});
      took.push_back(call->came - call->due);
    }
    std::nth_element(took.begin(), took.begin() + kSeeds / 2, took.end());
    return took[kSeeds / 2];
  }

  // Images a second with all slots taken.
  double Saturated(absl::Duration time) {
    std::vector<std::shared_ptr<Call>> calls;
    const absl::Time start = absl::Now(), end = start + time;
    uint64_t done = 0;
    while (absl::Now() < end) {
      while (calls.size() < 96) calls.push_back(Send(calls.size() % kSeeds));
      done += std::erase_if(calls, [](const auto& call) { return call->done.load(); });
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    const double rate = static_cast<double>(done) / absl::ToDoubleSeconds(absl::Now() - start);
    Await(calls);
    return rate;
  }

 private:
  const RealClock clock_;
  ModelConfig config_;
  std::unique_ptr<Scheduler> scheduler_;
  std::unique_ptr<EngineLoop> loop_;
};

struct Load {
  double rate = 0;  // Calls a second.
  absl::Duration allowed, time;
};

std::vector<std::shared_ptr<Call>> Run(Served* served, const Load& load, OnDeadline on_deadline) {
  std::mt19937 random(1);
  std::exponential_distribution<double> gap(load.rate);
  std::vector<std::shared_ptr<Call>> calls;
  const absl::Time end = absl::Now() + load.time;
  for (absl::Time next = absl::Now(); next < end; next += absl::Seconds(gap(random))) {
    absl::SleepFor(next - absl::Now());
    calls.push_back(served->Send(calls.size() % kSeeds, next + load.allowed, on_deadline));
  }
  Served::Await(calls);
  return calls;
}

// Ends the program if a picture is not what the engine makes of its sampling alone.
void Check(Engine* engine, const std::vector<std::shared_ptr<Call>>& calls) {
  std::map<uint64_t, Picture> alone;
  int degraded = 0;
  for (const auto& call : calls) {
    if (call->finished.picture.rgb.empty()) continue;
    ImageTask task = TaskOf(engine->info().config, call->seed);
    if (call->finished.degraded) {
      if (++degraded > kDegradedChecked) continue;
      task.sampling = *call->finished.degraded;
      if (Alone(engine, task).rgb != call->finished.picture.rgb) Fail("a degraded picture differs");
    } else {
      if (!alone.contains(call->seed)) alone[call->seed] = Alone(engine, task);
      if (alone[call->seed].rgb != call->finished.picture.rgb) Fail("a picture differs");
    }
  }
}

void Print(const char* name, const std::vector<std::shared_ptr<Call>>& calls, const Load& load) {
  int in_time = 0, degraded = 0;
  double scales = 0;
  for (const auto& call : calls) {
    if (call->came > call->due + load.allowed) continue;
    ++in_time;
    degraded += call->finished.degraded.has_value();
    scales += static_cast<double>(call->finished.tokens.size());
  }
  std::printf("%-28s %6zu %7d %8.1f %6.1f %% %9d %7.2f\n", name, calls.size(), in_time,
              in_time / absl::ToDoubleSeconds(load.time),
              100.0 * in_time / std::max<double>(1, static_cast<double>(calls.size())), degraded,
              in_time == 0 ? 0 : scales / in_time);
}

void Main(const BenchEngineOptions& options, double overload, double slo, double seconds) {
  Load load;
  {
    Served served(options, ChooseStep);
    served.Saturated(absl::Seconds(1));  // Warm-up.
    const absl::Duration idle = served.IdleLatency();
    const double saturated = served.Saturated(absl::Seconds(8));
    std::printf(
        "alone %.1f ms, saturated %.1f images/s; %.2f times that, within %.1f times alone\n",
        absl::ToDoubleMilliseconds(idle), saturated, overload, slo);
    load = {overload * saturated, slo * idle, absl::Seconds(seconds)};
  }
  const std::unique_ptr<Engine> engine = NewEngine(options);
  std::printf("%-28s %6s %7s %8s %8s %9s %7s\n", "policy", "calls", "in time", "a second", "of all",
              "degraded", "scales");
  struct Row {
    const char* name;
    StepPolicy policy;
    OnDeadline on_deadline;
  };
  for (const Row& row : {Row{"first come, first served", FirstComeFirstServed, OnDeadline::kFail},
                         Row{"ours, deadline alone", ChooseStep, OnDeadline::kFail},
                         Row{"ours, ON_DEADLINE_FAIL", ChooseStep, OnDeadline::kRefuse},
                         Row{"ours, ON_DEADLINE_DEGRADE", ChooseStep, OnDeadline::kDegrade}}) {
    Served served(options, row.policy);
    served.Saturated(absl::Seconds(2));  // Steps have a cost then.
    const auto calls = Run(&served, load, row.on_deadline);
    // On a thread of its own, which ends: the CPU engine's workers for this one would take the
    // cores from the rows to come.
    std::thread([&] { Check(engine.get(), calls); }).join();
    Print(row.name, calls, load);
  }
}

}  // namespace
}  // namespace hmar

int main(int argc, char** argv) {
  CLI::App app("Answers in time under overload, by policy.");
  hmar::BenchEngineOptions options;
  double overload = 1.5, slo = 3, seconds = 20;
  app.add_option("--model", options.model, "Folder of the model")->capture_default_str();
  app.add_option("--device", options.device, "cpu or cuda:N")->capture_default_str();
  app.add_option("--overload", overload, "Calls, by what the engine can make")
      ->capture_default_str();
  app.add_option("--slo", slo, "Time of a call, by what a lone one takes")->capture_default_str();
  app.add_option("--seconds", seconds, "Of each load")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  hmar::Main(options, overload, slo, seconds);
}
