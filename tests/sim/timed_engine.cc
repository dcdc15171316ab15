#include "tests/sim/timed_engine.h"

#include <cmath>
#include <numbers>

#include "absl/strings/str_cat.h"

namespace hmar::sim {

absl::Status TimedEngine::Admit(ImageId id, ImageTask task) {
  if (held_.contains(id)) return absl::AlreadyExistsError(absl::StrCat("image ", id, " is held"));
  if (held_.size() >= info_.max_images) return absl::ResourceExhaustedError("no slot is free");
  Held held;
  held.passes = PlanPasses(info_.config, task);
  held.scales = NumScales(info_.config, task.sampling);
  held.task = std::move(task);
  held_.emplace(id, std::move(held));
  return absl::OkStatus();
}

absl::Status TimedEngine::Truncate(ImageId id, uint32_t scales) {
  const auto found = held_.find(id);
  if (found == held_.end()) return absl::InvalidArgumentError(absl::StrCat("no image ", id));
  Held& held = found->second;
  return TruncateImage(id, scales, held.next_pass, &held.passes, &held.scales);
}

absl::StatusOr<StepReport> TimedEngine::Step(absl::Span<const ImageId> ids) {
  StepReport report;
  report.passes.reserve(ids.size());
  for (const ImageId id : ids) {
    const auto found = held_.find(id);
    if (found == held_.end()) return absl::InvalidArgumentError(absl::StrCat("no image ", id));
    Advance(id, found->second, report);
  }
  for (const ImageReport& image : report.images) held_.erase(image.id);
  if (report.decode_seconds > 0) report.decode_seconds += profile_.decoder_seconds;
  return report;
}

void TimedEngine::Advance(ImageId id, Held& held, StepReport& report) const {
  const Pass& pass = held.passes[held.next_pass++];
  const bool last = held.next_pass == held.passes.size();
  report.passes.push_back({id, pass.scale, pass.step, pass.rows(), pass.settles_scale, last});
  report.rows += pass.rows();
  if (pass.settles_scale && WantsPreview(held.task, pass.scale)) {
    report.previews.push_back({id, pass.scale, Picture()});
    if (held.task.preview_mode == PreviewMode::kFull) {
      report.decode_seconds += profile_.picture_seconds;
    }
  }
  if (!last) return;
  report.images.push_back({id, Picture(), {}});
  report.decode_seconds += profile_.picture_seconds;
}

absl::StatusOr<std::vector<TokenPyramid>> TimedEngine::Encode(absl::Span<const Picture* const>) {
  return absl::UnimplementedError("edits are not simulated");
}

double TimedEngine::SecondsOf(const StepReport& report, double rest_seconds) {
  const double mean = profile_.ForwardSeconds(report.rows, report.passes.size()) +
                      report.decode_seconds + profile_.AfterRestSeconds(rest_seconds);
  return profile_.jitter == 0 ? mean : mean * Jitter();
}

// Log-normal, of mean 1 and the profile's deviation (Box and Muller, 1958).
double TimedEngine::Jitter() {
  const double variance = std::log1p(profile_.jitter * profile_.jitter);
  const double radius = std::sqrt(-2 * std::log1p(-random_.NextUnit()));
  const double normal = radius * std::cos(2 * std::numbers::pi * random_.NextUnit());
  return std::exp(std::sqrt(variance) * normal - variance / 2);
}

}  // namespace hmar::sim
