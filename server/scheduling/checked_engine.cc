#include "server/scheduling/checked_engine.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/exceptions.h"

namespace hmar {

CheckedEngine::CheckedEngine(std::unique_ptr<Engine> engine, FaultCallback on_fault)
    : engine_(std::move(engine)), on_fault_(std::move(on_fault)), check_(&engine_->info().config) {}

absl::Status CheckedEngine::Admit(ImageId id, ImageTask task) {
  absl::Status status;
  try {
    check_.Admitted(id, task);
    status = engine_->Admit(id, std::move(task));
  } catch (...) {
    status = Caught("Admit");
    Cancel(id);  // Whether it holds the image, nobody knows.
  }
  if (!status.ok()) check_.Left(id);
  return status;
}

void CheckedEngine::Cancel(ImageId id) {
  check_.Left(id);
  try {
    engine_->Cancel(id);
  } catch (...) {
    Caught("Cancel").IgnoreError();
  }
}

absl::Status CheckedEngine::Truncate(ImageId id, uint32_t scales) {
  absl::Status status = check_.Truncated(id, scales);
  if (!status.ok()) return status;
  try {
    status = engine_->Truncate(id, scales);
  } catch (...) {
    status = Caught("Truncate");
  }
  return status;
}

absl::StatusOr<StepReport> CheckedEngine::Step(absl::Span<const ImageId> ids) {
  for (const ImageId id : ids) {
    if (!check_.Holds(id)) {
      return absl::InvalidArgumentError(absl::StrCat("image ", id, " is not in flight"));
    }
  }
  try {
    absl::StatusOr<StepReport> report = engine_->Step(ids);
    if (!report.ok()) return report;
    const ReportCheck::Findings findings = check_.Check(ids, &*report);
    if (!findings.empty()) Tell(findings);
    for (const auto& [id, what] : findings.at_fault) Cancel(id);
    return report;
  } catch (...) {
    return Caught("Step");
  }
}

absl::StatusOr<std::vector<TokenPyramid>> CheckedEngine::Encode(
    absl::Span<const Picture* const> pictures) {
  absl::StatusOr<std::vector<TokenPyramid>> encoded;
  try {
    encoded = engine_->Encode(pictures);
  } catch (...) {
    return Caught("Encode");
  }
  if (!encoded.ok()) return encoded;
  bool right = encoded->size() == pictures.size();
  const ModelConfig& config = info().config;
  for (const TokenPyramid& tokens : *encoded) {
    right = right && IsPyramid(tokens, config, config.num_scales());
  }
  if (right) return encoded;
  const std::string wrong = absl::StrCat("Encode made of ", pictures.size(), " pictures ",
                                         encoded->size(), " pyramids that are not all the model's");
  Tell(wrong);
  return absl::InternalError(wrong);
}

absl::Status CheckedEngine::Caught(const char* call) {
  absl::Status status = StatusOfException(absl::StrCat("the engine threw in ", call));
  Tell(std::string(status.message()));
  return status;
}

void CheckedEngine::Tell(const std::string& what) const {
  if (on_fault_) on_fault_(absl::StrCat("model ", info().config.name, ": ", what));
}

// One line a report, however much of it is wrong.
void CheckedEngine::Tell(const ReportCheck::Findings& findings) const {
  std::string line = "a wrong report of the engine:";
  if (!findings.at_fault.empty()) {
    const auto& [id, what] = *findings.at_fault.begin();
    absl::StrAppend(&line, " ", findings.at_fault.size(), " images at fault, first image ", id,
                    ": ", what, ";");
  }
  absl::StrAppend(&line, " ", findings.strays, " entries of images that it does not hold");
  Tell(line);
}

}  // namespace hmar
