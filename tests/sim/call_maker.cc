#include "tests/sim/call_maker.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "model/status_macros.h"

namespace hmar::sim {
namespace {

absl::Status CheckSimulated(const load::Kind& kind) {
  const auto cannot = [&kind](const std::string& what) {
    return absl::InvalidArgumentError(
        absl::StrCat("kind ", kind.name, ": ", what, " is not simulated"));
  };
  if (kind.method == "edit") return cannot("method edit");
  if (kind.cancel_after_ms > 0) return cannot("cancel_after_ms");
  if (kind.read_delay_ms > 0) return cannot("read_delay_ms");
  return absl::OkStatus();
}

OnDeadline OnDeadlineOf(const load::Kind& kind) {
  if (kind.on_deadline == "refuse") return OnDeadline::kRefuse;
  return kind.on_deadline == "degrade" ? OnDeadline::kDegrade : OnDeadline::kFail;
}

PreviewMode PreviewsOf(const load::Kind& kind) {
  if (kind.previews == "fast") return PreviewMode::kFast;
  return kind.previews == "full" ? PreviewMode::kFull : PreviewMode::kNone;
}

}  // namespace

absl::StatusOr<CallMaker::Type> CallMaker::TypeOf(const load::Kind& kind,
                                                  const DeviceProfile& profile,
                                                  uint32_t principals) {
  HMAR_RETURN_IF_ERROR(CheckSimulated(kind));
  Type type;
  type.job.images = static_cast<uint32_t>(kind.images);
  type.job.priority = static_cast<int>(kind.priority);
  type.job.on_deadline = OnDeadlineOf(kind);
  ImageTask& task = type.job.prototype;
  task.class_id = 0;
  task.sampling = profile.config.sampling;
  task.preview_mode = PreviewsOf(kind);
  if (task.preview_mode != PreviewMode::kNone) {
    task.preview_scales.assign(profile.config.num_scales(), true);
  }
  type.deadline =
      kind.deadline_ms == 0 ? absl::InfiniteDuration() : absl::Milliseconds(kind.deadline_ms);
  if (!kind.principal.empty()) {
    type.principals = {kind.principal};
  } else {
    for (uint32_t i = 0; i < principals; ++i) {
      type.principals.push_back(absl::StrCat(kind.name, "/", i));
    }
  }
  return type;
}

absl::StatusOr<CallMaker> CallMaker::Make(const std::vector<load::Kind>& kinds,
                                          const DeviceProfile& profile, uint32_t principals) {
  CallMaker maker;
  maker.kinds_ = kinds;
  maker.way_ = absl::Seconds(profile.answer_seconds);
  for (const load::Kind& kind : kinds) {
    HMAR_ASSIGN_OR_RETURN(Type type, TypeOf(kind, profile, principals));
    maker.types_.push_back(std::move(type));
  }
  return maker;
}

Work CallMaker::Make(const Call& call) const {
  const Type& type = types_[call.kind];
  Work work;
  work.job = type.job;
  work.job.prototype.seed = call.seed;
  work.origin.client = type.principals[call.seed % type.principals.size()];
  work.origin.deadline = Deadline(call);
  work.origin.answer_by = work.origin.deadline - way_;
  return work;
}

}  // namespace hmar::sim
