#ifndef HMAR_SERVER_SCHEDULING_CHECKED_ENGINE_H_
#define HMAR_SERVER_SCHEDULING_CHECKED_ENGINE_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/engine.h"
#include "server/scheduling/report_check.h"

namespace hmar {

// An engine that keeps engine.h's promises, made of one that may not: exceptions become statuses
// (std::bad_alloc: RESOURCE_EXHAUSTED, others: INTERNAL), and an image about which the engine tells
// what cannot be (report_check.h) leaves it with an INTERNAL failure, alone. What an exception left
// behind in the engine shows in its later reports, if at all. Threads: as Engine.
class CheckedEngine final : public Engine {
 public:
  // Hears of each exception and each report that was wrong: one line for the log, naming the model.
  // Called on the engine's thread. May be null.
  using FaultCallback = std::function<void(const std::string&)>;

  CheckedEngine(std::unique_ptr<Engine> engine, FaultCallback on_fault);

  const EngineInfo& info() const override { return engine_->info(); }
  absl::Status Admit(ImageId id, ImageTask task) override;
  void Cancel(ImageId id) override;
  absl::Status Truncate(ImageId id, uint32_t scales) override;
  absl::StatusOr<StepReport> Step(absl::Span<const ImageId> ids) override;
  // INTERNAL also for what is no pyramid of the model's.
  absl::StatusOr<std::vector<TokenPyramid>> Encode(
      absl::Span<const Picture* const> pictures) override;

 private:
  // Of the exception that is being handled; it is told.
  absl::Status Caught(const char* call);
  void Tell(const std::string& what) const;
  void Tell(const ReportCheck::Findings& findings) const;

  const std::unique_ptr<Engine> engine_;
  const FaultCallback on_fault_;
  ReportCheck check_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULING_CHECKED_ENGINE_H_
