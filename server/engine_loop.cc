#include "server/engine_loop.h"

#include <chrono>
#include <utility>

#include "absl/time/time.h"
#include "model/status_macros.h"
#include "server/metrics.h"

namespace hmar {

EngineLoop::EngineLoop(Scheduler* scheduler, size_t device,
                       std::vector<std::unique_ptr<Engine>> engines, Metrics* metrics,
                       LostCallback on_lost)
    : scheduler_(scheduler),
      device_(device),
      metrics_(metrics),
      on_lost_(on_lost ? std::move(on_lost)
                       : [scheduler](const absl::Status& status) { scheduler->Stop(status); }),
      engines_(std::move(engines)) {}

EngineLoop::~EngineLoop() { Join(); }

void EngineLoop::Start() {
  thread_ = std::thread([this] {
    while (std::optional<PlannedStep> step = scheduler_->AwaitStep(device_)) {
      RunStep(*std::move(step));
    }
  });
}

void EngineLoop::Join() {
  if (thread_.joinable()) thread_.join();
}

void EngineLoop::RunStep(PlannedStep step) {
  // Not the scheduler's clock: that one follows the wall and may be set back.
  const auto start = std::chrono::steady_clock::now();
  absl::StatusOr<StepReport> report = Execute(step);
  const absl::Duration took = absl::FromChrono(std::chrono::steady_clock::now() - start);
  if (absl::IsUnavailable(report.status())) {
    on_lost_(report.status());
    return;
  }
  if (metrics_ != nullptr && report.ok() && !report->passes.empty()) {
    metrics_->StepDone(device_, step.model, report->rows,
                       static_cast<uint32_t>(report->passes.size()), took, report->decode_seconds);
  }
  scheduler_->Finish(step, std::move(report), took);
}

absl::StatusOr<StepReport> EngineLoop::Execute(PlannedStep& step) {
  for (const auto& [model, id] : step.cancelled) {
    engines_[model]->Cancel(id);
    refused_.erase(id);
  }
  Engine& engine = *engines_[step.model];
  HMAR_RETURN_IF_ERROR(Admit(engine, step));
  std::vector<ImageId> held;
  std::vector<FailureReport> refused;
  for (ImageId id : step.ids) {
    auto found = refused_.find(id);
    if (found == refused_.end()) {
      held.push_back(id);
    } else {
      refused.push_back({id, found->second});
    }
  }
  StepReport report;
  if (!held.empty() || step.await_pictures) {
    absl::StatusOr<StepReport> stepped = engine.Step(held);
    // The refused stay in refused_: the scheduler names them again, in a smaller step.
    if (!stepped.ok()) return stepped;
    report = *std::move(stepped);
  }
  for (FailureReport& failure : refused) {
    refused_.erase(failure.id);
    report.failures.push_back(std::move(failure));
  }
  return report;
}

absl::Status EngineLoop::Admit(Engine& engine, PlannedStep& step) {
  for (PlannedStep::NewImage& image : step.admitted) {
    absl::Status status = engine.Admit(image.id, std::move(image.task));
    if (absl::IsUnavailable(status)) return status;
    if (!status.ok()) refused_.emplace(image.id, std::move(status));
  }
  return absl::OkStatus();
}

}  // namespace hmar
