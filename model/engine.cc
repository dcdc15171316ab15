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

absl::Status TruncateImage(ImageId id, uint32_t scales, size_t next_pass, std::vector<Pass>* plan,
                           int* num_scales) {
  if (next_pass >= plan->size()) {
    return absl::InvalidArgumentError(absl::StrCat("image ", id, " has no pass left to end at"));
  }
  const uint32_t fewest = (*plan)[next_pass].scale + 1u;
  if (scales < fewest || scales > static_cast<uint32_t>(*num_scales)) {
    return absl::InvalidArgumentError(absl::StrCat("image ", id, " cannot end after ", scales,
                                                   " scales; only after ", fewest, " to ",
                                                   *num_scales));
  }
  *num_scales = static_cast<int>(scales);
  *plan = TruncatePlan(*plan, next_pass, *num_scales);
  return absl::OkStatus();
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
