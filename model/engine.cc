#include "model/engine.h"

#include "absl/strings/str_cat.h"

namespace hmar {

absl::Status CheckPictures(absl::Span<const Picture* const> pictures, const ModelConfig& config) {
  const auto S = static_cast<uint32_t>(config.image_size);
  for (const Picture* picture : pictures) {
    if (picture->width != S || picture->height != S) {
      return absl::InvalidArgumentError(
          absl::StrCat("a picture of ", picture->width, " x ", picture->height,
                       " pixels; the model's images are ", S, " x ", S));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckTruncation(ImageId id, absl::Span<const Pass> plan, size_t next_pass,
                             uint32_t scales, int had) {
  if (next_pass >= plan.size()) {
    return absl::InvalidArgumentError(absl::StrCat("image ", id, " has no pass left to end at"));
  }
  const uint32_t fewest = plan[next_pass].scale + 1u;
  if (scales >= fewest && scales <= static_cast<uint32_t>(had)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("image ", id, " cannot end after ", scales,
                                                 " scales; only after ", fewest, " to ", had));
}

const TokenMap& KnownTokens(const ImageTask& task, int scale) {
  const auto k = static_cast<size_t>(scale);
  return k < task.prefix.size() ? task.prefix[k] : (*task.given)[k];
}

bool WantsPreview(const ImageTask& task, int scale) {
  return task.preview_mode != PreviewMode::kNone && task.preview_scales[scale];
}

std::vector<Pass> PlanPasses(const ModelConfig& config, const ImageTask& task) {
  return PlanPasses(config, task.sampling, task.class_id.has_value(),
                    static_cast<int>(task.prefix.size()),
                    task.keep == nullptr ? absl::Span<const KeepMap>() : *task.keep);
}

}  // namespace hmar
