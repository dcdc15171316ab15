#include "model/sampling_plan.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

constexpr int kMaxQualityPasses = 8;

uint64_t Sum(const std::vector<uint32_t>& tokens) {
  return std::accumulate(tokens.begin(), tokens.end(), uint64_t{0});
}

// `passes` positive numbers that sum to n and grow: after pass i, i^2 / passes^2 of the tokens are
// settled (1, 3, 5, ... where passes^2 == n). REQUIRES: passes <= n.
std::vector<uint32_t> GrowingPasses(uint64_t n, uint64_t passes) {
  std::vector<uint32_t> tokens;
  uint64_t settled = 0;
  for (uint64_t i = 1; i <= passes; ++i) {
    const uint64_t next = std::max(settled + 1, n * i * i / (passes * passes));
    tokens.push_back(static_cast<uint32_t>(next - settled));
    settled = next;
  }
  return tokens;
}

MaskSchedule QualitySchedule(const ModelConfig& config) {
  MaskSchedule schedule = config.sampling.mask_schedule;
  for (int k = 0; k < config.num_scales(); ++k) {
    const int side = config.patch_nums[k];
    const int passes = std::min(side, kMaxQualityPasses);
    if (2 * side > config.last_grid() || passes <= static_cast<int>(schedule[k].size())) continue;
    schedule[k] = GrowingPasses(config.tokens_of_scale(k), passes);
  }
  return schedule;
}

class Violations {
 public:
  void AddIf(bool broken, std::string field, std::string description) {
    if (broken) list_.push_back({std::move(field), std::move(description)});
  }
  std::vector<SamplingViolation> Take() { return std::move(list_); }

 private:
  std::vector<SamplingViolation> list_;
};

void CheckScalePasses(const std::vector<uint32_t>& passes, int scale, uint32_t n, Violations* out) {
  const std::string field = absl::StrCat("mask_schedule.scales[", scale, "].tokens");
  const auto zero = std::find(passes.begin(), passes.end(), 0u);
  if (zero != passes.end()) {
    out->AddIf(true, absl::StrCat(field, "[", zero - passes.begin(), "]"),
               "is 0; every pass must settle at least 1 token");
    return;
  }
  const uint64_t sum = Sum(passes);
  out->AddIf(sum != n, field,
             absl::StrCat("sum to ", sum, "; scale ", scale, " has ", n, " tokens"));
}

void CheckSchedule(const MaskSchedule& schedule, const ModelConfig& config, Violations* out) {
  if (schedule.size() != config.patch_nums.size()) {
    out->AddIf(true, "mask_schedule.scales",
               absl::StrCat("has ", schedule.size(), " entries; the model has ",
                            config.num_scales(), " scales"));
    return;
  }
  for (int k = 0; k < config.num_scales(); ++k) {
    CheckScalePasses(schedule[k], k, config.tokens_of_scale(k), out);
  }
}

}  // namespace

MaskSchedule PresetSchedule(SchedulePreset preset, const ModelConfig& config) {
  switch (preset) {
    case SchedulePreset::kModel:
      return config.sampling.mask_schedule;
    case SchedulePreset::kQuality:
      return QualitySchedule(config);
    case SchedulePreset::kNone:
      break;
  }
  MaskSchedule schedule;
  for (int k = 0; k < config.num_scales(); ++k) {
    schedule.push_back({static_cast<uint32_t>(config.tokens_of_scale(k))});
  }
  return schedule;
}

std::vector<SamplingViolation> CheckSampling(const SamplingParams& sampling,
                                             const ModelConfig& config) {
  // Written as "not inside", so that NaN is a violation too.
  Violations out;
  out.AddIf(!(sampling.cfg_scale >= 0 && sampling.cfg_scale <= kMaxCfgScale), "cfg_scale",
            absl::StrCat("is ", sampling.cfg_scale, "; must be 0 to ", kMaxCfgScale));
  const auto vocab_size = static_cast<uint32_t>(config.tokenizer.vocab_size);
  out.AddIf(sampling.top_k > vocab_size, "top_k",
            absl::StrCat("is ", sampling.top_k, "; must be 0 (off) to ", vocab_size));
  out.AddIf(!(sampling.top_p > 0 && sampling.top_p <= 1), "top_p",
            absl::StrCat("is ", sampling.top_p, "; must be above 0 and at most 1 (off)"));
  out.AddIf(
      !(sampling.temperature >= kMinTemperature && std::isfinite(sampling.temperature)),
      "temperature",
      absl::StrCat("is ", sampling.temperature, "; must be finite and at least ", kMinTemperature));
  CheckSchedule(sampling.mask_schedule, config, &out);
  out.AddIf(sampling.max_scales > static_cast<uint32_t>(config.num_scales()), "max_scales",
            absl::StrCat("is ", sampling.max_scales, "; must be 0 (all) to ", config.num_scales()));
  return out.Take();
}

int NumScales(const ModelConfig& config, const SamplingParams& sampling) {
  return sampling.max_scales == 0 ? config.num_scales() : static_cast<int>(sampling.max_scales);
}

std::vector<Pass> PlanPasses(const ModelConfig& config, const SamplingParams& sampling,
                             bool has_class, int prefix_scales, absl::Span<const KeepMap> keep) {
  std::vector<Pass> plan;
  for (int k = prefix_scales; k < NumScales(config, sampling); ++k) {
    const std::vector<uint32_t>& passes = sampling.mask_schedule[k];
    const auto n = static_cast<uint32_t>(config.tokens_of_scale(k));
    const uint32_t generated = keep.empty() ? n : Generated(keep[k]);
    uint32_t left = n, redrawn = generated;
    for (size_t step = 0; step < passes.size() && redrawn > 0; ++step) {
      left -= passes[step];
      const uint32_t next_redrawn = Reopened(left, n, generated);
      plan.push_back({.scale = static_cast<uint16_t>(k),
                      .step = static_cast<uint16_t>(step),
                      .guided = step == 0 && k > 0 && has_class && sampling.cfg_scale != 0,
                      .settles_scale = next_redrawn == 0,
                      .tokens = n,
                      .reopened = redrawn});
      redrawn = next_redrawn;
    }
  }
  return plan;
}

std::vector<Pass> TruncatePlan(absl::Span<const Pass> plan, size_t next_pass, int scales) {
  std::vector<Pass> truncated(plan.begin(), plan.begin() + static_cast<ptrdiff_t>(next_pass));
  for (const Pass& pass : plan.subspan(next_pass)) {
    if (pass.scale >= scales) break;
    if (truncated.size() > next_pass && pass.step > 0) continue;
    truncated.push_back(pass);
    truncated.back().settles_scale = true;
  }
  return truncated;
}

SamplingParams TruncatedSampling(const ModelConfig& config, SamplingParams sampling,
                                 absl::Span<const Pass> plan, absl::Span<const Pass> truncated,
                                 int scales) {
  const auto passes_of = [](absl::Span<const Pass> passes, int scale) {
    return std::count_if(passes.begin(), passes.end(),
                         [scale](const Pass& pass) { return pass.scale == scale; });
  };
  for (int k = 0; k < scales; ++k) {
    const auto passes = passes_of(truncated, k);
    if (passes == passes_of(plan, k)) continue;
    std::vector<uint32_t>& tokens = sampling.mask_schedule[k];
    const auto rest = tokens.begin() + passes - 1;
    *rest = std::accumulate(rest, tokens.end(), uint32_t{0});
    tokens.resize(passes);
  }
  if (scales < config.num_scales()) sampling.max_scales = static_cast<uint32_t>(scales);
  return sampling;
}

int ScaleOfPass(absl::Span<const Pass> plan, size_t index, int num_scales) {
  return index < plan.size() ? plan[index].scale : num_scales;
}

float GuidanceWeight(float cfg_scale, int scale, int num_scales) {
  if (num_scales < 2) return 0;
  return cfg_scale * static_cast<float>(scale) / static_cast<float>(num_scales - 1);
}

uint32_t Reopened(uint32_t left, uint32_t n, uint32_t generated) {
  return static_cast<uint32_t>((uint64_t{2} * left * generated + n) / (uint64_t{2} * n));
}

}  // namespace hmar
