#include "server/scheduling/engine_loop.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "model/status_macros.h"
#include "server/base/exceptions.h"
#include "server/operations/metrics.h"
#include "server/scheduling/checked_engine.h"
#include "server/scheduling/hang_watcher.h"

namespace hmar {

EngineLoop::EngineLoop(Scheduler* scheduler, size_t device,
                       std::vector<std::unique_ptr<Engine>> engines, Metrics* metrics,
                       EngineLoopHooks hooks)
    : scheduler_(scheduler), device_(device), metrics_(metrics), hooks_(std::move(hooks)) {
  for (std::unique_ptr<Engine>& engine : engines) {
    engines_.push_back(std::make_unique<CheckedEngine>(std::move(engine), hooks_.on_fault));
  }
}

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
  absl::Duration took;
  absl::StatusOr<StepReport> report = Run(step, &took);
  if (absl::IsUnavailable(report.status())) {
    if (hooks_.on_lost) return hooks_.on_lost(report.status());
    return scheduler_->Stop(report.status());
  }
  if (metrics_ != nullptr && report.ok() && !report->passes.empty()) {
    metrics_->StepDone(device_, step.model, report->rows,
                       static_cast<uint32_t>(report->passes.size()), took, report->decode_seconds);
  }
  scheduler_->Finish(step, std::move(report), took);
}

absl::StatusOr<StepReport> EngineLoop::Run(PlannedStep& step, absl::Duration* took) {
  const bool tokenizes =
      std::any_of(step.admitted.begin(), step.admitted.end(),
                  [](const PlannedStep::NewImage& image) { return image.picture != nullptr; });
  Busy(tokenizes ? absl::ZeroDuration() : step.expected);
  absl::StatusOr<StepReport> report = StepReport();
  try {
    const absl::Status prepared = Prepare(step);
    if (tokenizes) Busy(step.expected);
    // Not the scheduler's clock: that one follows the wall and may be set back.
    const auto start = std::chrono::steady_clock::now();
    report = prepared.ok() ? Execute(step) : prepared;
    *took = absl::FromChrono(std::chrono::steady_clock::now() - start);
  } catch (...) {  // The loop's own lists, most likely: no memory.
    report = StatusOfException("a step of the server");
  }
  if (hooks_.hang_watcher != nullptr) hooks_.hang_watcher->End(device_);
  return report;
}

void EngineLoop::Busy(absl::Duration expected) {
  if (hooks_.hang_watcher != nullptr) hooks_.hang_watcher->Begin(device_, expected);
}

absl::Status EngineLoop::Prepare(PlannedStep& step) {
  for (const auto& [model, id] : step.cancelled) {
    engines_[model]->Cancel(id);
    refused_.erase(id);
  }
  Engine& engine = *engines_[step.model];
  HMAR_RETURN_IF_ERROR(TokenizePictures(engine, step));
  HMAR_RETURN_IF_ERROR(Admit(engine, step));
  return Truncate(engine, step);
}

absl::Status EngineLoop::TokenizePictures(Engine& engine, PlannedStep& step) {
  std::map<std::string, const EditPicture*> wanted;  // By digest.
  for (const PlannedStep::NewImage& image : step.admitted) {
    if (image.picture != nullptr) wanted.emplace(image.picture->digest, image.picture.get());
  }
  if (wanted.empty()) return absl::OkStatus();
  std::vector<const Picture*> pictures;
  pictures.reserve(wanted.size());
  for (const auto& [digest, picture] : wanted) pictures.push_back(&picture->picture);
  std::vector<absl::StatusOr<TokenPyramid>> tokens =
      Tokenize(engine, step.model, pictures, &step.tokenizing);
  auto next = tokens.begin();
  for (const auto& [digest, picture] : wanted) {
    absl::StatusOr<TokenPyramid>& found = *next++;
    absl::Status status = found.status();
    if (absl::IsUnavailable(status)) return status;
    std::shared_ptr<const TokenPyramid> given;
    if (status.ok()) {
      given = std::make_shared<const TokenPyramid>(*std::move(found));
      step.tokenized.push_back({digest, given});
    }
    for (PlannedStep::NewImage& image : step.admitted) {
      if (image.picture == nullptr || image.picture->digest != digest) continue;
      image.task.given = given;
      if (!status.ok()) refused_.emplace(image.id, status);
    }
  }
  return absl::OkStatus();
}

std::vector<absl::StatusOr<TokenPyramid>> EngineLoop::Tokenize(
    Engine& engine, size_t model, absl::Span<const Picture* const> pictures, absl::Duration* took) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<absl::StatusOr<TokenPyramid>> each;
  absl::StatusOr<std::vector<TokenPyramid>> all = engine.Encode(pictures);
  if (all.ok()) {
    for (TokenPyramid& tokens : *all) each.push_back(std::move(tokens));
  } else if (pictures.size() == 1 || absl::IsUnavailable(all.status())) {
    each.assign(pictures.size(), all.status());
  } else {  // One by one: so that only what cannot be encoded fails.
    for (const Picture* const& picture : pictures) {
      all = engine.Encode({&picture, 1});
      each.push_back(all.ok() ? absl::StatusOr<TokenPyramid>(std::move(all->front()))
                              : all.status());
    }
  }
  *took = absl::FromChrono(std::chrono::steady_clock::now() - start);
  if (metrics_ != nullptr) metrics_->UploadsEncoded(device_, model, *took);
  return each;
}

absl::StatusOr<StepReport> EngineLoop::Execute(const PlannedStep& step) {
  Engine& engine = *engines_[step.model];
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

// What is truncated in the books is so in the engine, or ends here.
absl::Status EngineLoop::Truncate(Engine& engine, const PlannedStep& step) {
  for (const auto& [id, scales] : step.truncated) {
    if (refused_.contains(id)) continue;
    absl::Status status = engine.Truncate(id, scales);
    if (absl::IsUnavailable(status)) return status;
    if (status.ok()) continue;
    engine.Cancel(id);
    refused_.emplace(id, std::move(status));
  }
  return absl::OkStatus();
}

absl::Status EngineLoop::Admit(Engine& engine, PlannedStep& step) {
  for (PlannedStep::NewImage& image : step.admitted) {
    if (refused_.contains(image.id)) continue;  // Its picture could not be encoded.
    absl::Status status = engine.Admit(image.id, std::move(image.task));
    if (absl::IsUnavailable(status)) return status;
    if (!status.ok()) refused_.emplace(image.id, std::move(status));
  }
  return absl::OkStatus();
}

}  // namespace hmar
