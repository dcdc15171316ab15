#ifndef HMAR_MODEL_SAMPLING_PLAN_H_
#define HMAR_MODEL_SAMPLING_PLAN_H_

// Pure functions from a request's parameters to the passes its image takes. No torch, no state: the
// scheduler prices with them, the engine follows them.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "model/config.h"
#include "model/edit.h"

namespace hmar {

// Beyond these, guided logits over the temperature may leave fp32's range.
inline constexpr float kMaxCfgScale = 1000;
inline constexpr float kMinTemperature = 1e-6f;

enum class SchedulePreset {
  kModel,  // The model's own schedule.
  kNone,   // One pass a scale: fastest.

  // More passes where they are cheap and decide the most. A scale of side p, up to half the last
  // grid's, settles in min(p, 8) passes that grow: after pass i of m, i^2 / m^2 of its tokens are
  // settled, so 4 x 4 takes 1, 3, 5, 7. Scales to which the model itself gives as many passes or
  // more, and finer ones, keep the model's own.
  kQuality,
};

// The preset's schedule for a model, spelled out. Always valid for that model.
MaskSchedule PresetSchedule(SchedulePreset preset, const ModelConfig& config);

// One violated rule of a request; `field` is the path inside SamplingParams ("top_p",
// "mask_schedule.scales[2].tokens").
struct SamplingViolation {
  std::string field;
  std::string description;  // Names the value and the limit.
};

// Every rule that `sampling` breaks for this model, in field order; empty: valid. Valid is:
// cfg_scale in [0, kMaxCfgScale], top_k in [0, vocab_size], top_p in (0, 1], temperature finite and
// at least kMinTemperature, a schedule of K entries of positive numbers that sum to the scale's
// tokens, and max_scales in [0, K]. NaN and infinities are violations.
std::vector<SamplingViolation> CheckSampling(const SamplingParams& sampling,
                                             const ModelConfig& config);

// The scales that an image is to have. REQUIRES: max_scales <= K.
int NumScales(const ModelConfig& config, const SamplingParams& sampling);

// One forward pass of one image.
struct Pass {
  uint16_t scale = 0;
  uint16_t step = 0;           // 0: next-scale pass; 1, 2, ...: mask passes.
  bool guided = false;         // Has an unconditional half.
  bool settles_scale = false;  // The last pass of its scale.
  uint32_t tokens = 0;         // n of the scale.
  uint32_t reopened = 0;  // Tokens this pass redraws: in a next-scale pass all that are not kept.

  uint32_t rows() const { return guided ? 2 * tokens : tokens; }
};

// The passes of an image in order, after the scales of its prefix. Guidance is left out where it
// changes nothing: at scale 0, without a class, with cfg 0, and in mask passes. `keep` is an
// edit's, K maps, or empty: a scale at which everything is kept has no pass, nor has a mask pass
// that would redraw nothing. Scales without a pass are laid from the prefix or the source image;
// with every scale laid the plan is empty. REQUIRES: CheckSampling(sampling, config) is empty;
// prefix_scales <= NumScales(config, sampling).
std::vector<Pass> PlanPasses(const ModelConfig& config, const SamplingParams& sampling,
                             bool has_class, int prefix_scales,
                             absl::Span<const KeepMap> keep = {});

// The plan of an image that is to end early, after `scales` scales: from pass `next_pass` on every
// pass settles its scale, so there are no more mask passes, and later scales have no pass. What the
// next pass draws stays as it was, since the pass before chose it. The image is the same as one
// whose schedule settles these scales with as many passes. REQUIRES: next_pass < plan.size();
// `scales` is above the next pass's scale.
std::vector<Pass> TruncatePlan(absl::Span<const Pass> plan, size_t next_pass, int scales);

// The sampling whose plan a truncated one is: with max_scales, and where a scale lost passes, its
// last one settling what they would have. `plan` is `sampling`'s own; edits may share it.
SamplingParams TruncatedSampling(const ModelConfig& config, SamplingParams sampling,
                                 absl::Span<const Pass> plan, absl::Span<const Pass> truncated,
                                 int scales);

// The scale of pass `index` of a plan for K = num_scales scales; K past the last pass. When that
// pass is next, every scale before it is settled or, without a pass of its own, laid.
int ScaleOfPass(absl::Span<const Pass> plan, size_t index, int num_scales);

// Guidance weight t at scale k of K: (1 + t) cond - t uncond, t = cfg * k / (K - 1), in fp32
// (VAR, section 3.3).
float GuidanceWeight(float cfg_scale, int scale, int num_scales);

// How many tokens a mask pass redraws: the schedule's `left` of n, in proportion where an edit
// generates only `generated` of them, rounded half up. REQUIRES: n > 0; left, generated <= n.
uint32_t Reopened(uint32_t left, uint32_t n, uint32_t generated);

}  // namespace hmar

#endif  // HMAR_MODEL_SAMPLING_PLAN_H_
