#include "server/wire/scale_validation.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model/sampling_plan.h"

namespace hmar {
namespace {

SchedulePreset ToPreset(v1::MaskSchedule::Preset preset) {
  switch (preset) {
    case v1::MaskSchedule::PRESET_NONE:
      return SchedulePreset::kNone;
    case v1::MaskSchedule::PRESET_QUALITY:
      return SchedulePreset::kQuality;
    default:
      return SchedulePreset::kModel;
  }
}

// A schedule that is spelled out. Where a length is wrong the model's own stands in, so that it is
// reported once.
MaskSchedule ResolveExplicit(const v1::MaskSchedule& given, const ModelConfig& config,
                             Violations* violations) {
  MaskSchedule schedule = config.sampling.mask_schedule;
  if (given.scales_size() != config.num_scales()) {
    violations->Add(Reason::kSamplingInvalid, "sampling.mask_schedule.scales",
                    absl::StrCat("has ", given.scales_size(), " entries; the model has ",
                                 config.num_scales(), " scales"));
    return schedule;
  }
  for (int k = 0; k < given.scales_size(); ++k) {
    const auto& tokens = given.scales(k).tokens();
    if (const int n = config.tokens_of_scale(k); tokens.size() > n) {
      violations->Add(Reason::kSamplingInvalid,
                      absl::StrCat("sampling.mask_schedule.scales[", k, "].tokens"),
                      absl::StrCat("has ", tokens.size(), " passes; scale ", k, " has ", n,
                                   " tokens, and each pass settles at least 1"));
    } else {
      schedule[k].assign(tokens.begin(), tokens.end());
    }
  }
  return schedule;
}

MaskSchedule ResolveSchedule(const v1::MaskSchedule& given, const ModelConfig& config,
                             Violations* violations) {
  if (!v1::MaskSchedule::Preset_IsValid(given.preset())) {
    violations->AddUnknownEnum("sampling.mask_schedule.preset", given.preset());
    return config.sampling.mask_schedule;
  }
  if (given.scales_size() == 0) return PresetSchedule(ToPreset(given.preset()), config);
  if (given.preset() != v1::MaskSchedule::PRESET_UNSPECIFIED) {
    violations->Add(Reason::kFieldConflict, "sampling.mask_schedule",
                    "preset and scales are both set; give one");
  }
  return ResolveExplicit(given, config, violations);
}

void ResolvePrefixScale(const v1::ScaleTokens& given, int k, const ModelConfig& config,
                        TokenPyramid* resolved, Violations* violations) {
  const auto& tokens = given.tokens();
  const std::string field = absl::StrCat("prefix.tokens[", k, "].tokens");
  if (tokens.size() != config.tokens_of_scale(k)) {
    violations->Add(
        Reason::kPrefixInvalid, field,
        absl::StrCat(tokens.size(), " tokens; scale ", k, " has ", config.tokens_of_scale(k)));
    return;
  }
  const auto vocabulary = static_cast<uint32_t>(config.tokenizer.vocab_size);
  const auto outside = std::find_if(tokens.begin(), tokens.end(),
                                    [&](uint32_t token) { return token >= vocabulary; });
  if (outside != tokens.end()) {
    violations->Add(Reason::kPrefixInvalid, absl::StrCat(field, "[", outside - tokens.begin(), "]"),
                    absl::StrCat(*outside, "; the codebook has ", vocabulary, " entries, from 0"));
  }
  resolved->emplace_back(tokens.begin(), tokens.end());
}

// `num_scales`: that the image is to have.
void ResolvePreviewScales(const v1::PreviewOptions& given, const ModelConfig& config,
                          uint32_t num_scales, std::vector<bool>* resolved,
                          Violations* violations) {
  const auto& scales = given.scales();
  resolved->assign(config.num_scales(), false);
  if (scales.empty()) std::fill_n(resolved->begin(), num_scales - 1, true);
  if (static_cast<uint32_t>(scales.size()) > num_scales) {
    violations->Add(Reason::kFieldOutOfRange, "previews.scales",
                    absl::StrCat(scales.size(), " entries; the image has ", num_scales, " scales"));
    return;
  }
  for (int i = 0; i < scales.size(); ++i) {
    const uint32_t scale = scales[i];
    const std::string field = absl::StrCat("previews.scales[", i, "]");
    if (scale >= num_scales) {
      violations->Add(Reason::kFieldOutOfRange, field,
                      absl::StrCat(scale, "; the image has ", num_scales, " scales, from 0"));
    } else if ((*resolved)[scale]) {
      violations->Add(Reason::kFieldConflict, field, absl::StrCat(scale, " is given twice"));
    } else {
      (*resolved)[scale] = true;
    }
  }
}

}  // namespace

SamplingParams ResolveSampling(const v1::SamplingParams& given, const ModelConfig& config,
                               Violations* violations) {
  SamplingParams resolved = config.sampling;
  if (given.has_cfg_scale()) resolved.cfg_scale = given.cfg_scale();
  if (given.has_top_k()) resolved.top_k = given.top_k();
  if (given.has_top_p()) resolved.top_p = given.top_p();
  if (given.has_temperature()) resolved.temperature = given.temperature();
  resolved.mask_schedule = ResolveSchedule(given.mask_schedule(), config, violations);
  resolved.max_scales = given.max_scales();
  for (const SamplingViolation& violation : CheckSampling(resolved, config)) {
    violations->Add(Reason::kSamplingInvalid, "sampling." + violation.field, violation.description);
  }
  // What follows counts scales by it.
  resolved.max_scales = std::min<uint32_t>(resolved.max_scales, config.num_scales());
  return resolved;
}

TokenPyramid ResolvePrefix(const v1::ScalePrefix& given, const ModelConfig& config,
                           const SamplingParams& sampling, Violations* violations) {
  TokenPyramid resolved;
  if (given.tokens_size() > config.num_scales()) {
    violations->Add(Reason::kPrefixInvalid, "prefix.tokens",
                    absl::StrCat(given.tokens_size(), " scales; model ", config.name, " has ",
                                 config.num_scales()));
    return resolved;
  }
  if (given.tokens_size() > NumScales(config, sampling)) {
    violations->Add(Reason::kFieldConflict, "sampling.max_scales",
                    absl::StrCat(sampling.max_scales, "; the prefix has ", given.tokens_size(),
                                 " scales already"));
  }
  for (int k = 0; k < given.tokens_size(); ++k) {
    ResolvePrefixScale(given.tokens(k), k, config, &resolved, violations);
  }
  return resolved;
}

void ResolvePreviews(const v1::PreviewOptions& given, const ModelConfig& config, ImageTask* task,
                     Violations* violations) {
  switch (given.mode()) {
    case v1::PreviewOptions::MODE_UNSPECIFIED:
      if (!given.scales().empty()) {
        violations->Add(Reason::kFieldConflict, "previews.scales",
                        "scales without a mode; set previews.mode");
      }
      return;
    case v1::PreviewOptions::MODE_FAST:
      task->preview_mode = PreviewMode::kFast;
      break;
    case v1::PreviewOptions::MODE_FULL:
      task->preview_mode = PreviewMode::kFull;
      break;
    default:
      violations->AddUnknownEnum("previews.mode", given.mode());
      return;
  }
  ResolvePreviewScales(given, config, NumScales(config, task->sampling), &task->preview_scales,
                       violations);
}

}  // namespace hmar
