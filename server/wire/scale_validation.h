#ifndef HMAR_SERVER_WIRE_SCALE_VALIDATION_H_
#define HMAR_SERVER_WIRE_SCALE_VALIDATION_H_

// The lists of a request that follow a model's scales: mask schedule, prefix, previews. Each list's
// length is held against the model before anything in it is looked at or copied, so what is wrong
// with a list costs one violation an entry that the model has, whatever was sent.

#include "hmar/v1/image_generation.pb.h"
#include "model/engine.h"
#include "server/wire/violations.h"

namespace hmar {

// The sampling of a request: what it gives in place of the model's own, with the mask schedule
// spelled out and max_scales at most K. Adds every broken rule.
SamplingParams ResolveSampling(const v1::SamplingParams& given, const ModelConfig& config,
                               Violations* violations);

// The tokens of the first scales of an image sampled so. Adds every broken rule; then the result is
// of no use.
TokenPyramid ResolvePrefix(const v1::ScalePrefix& given, const ModelConfig& config,
                           const SamplingParams& sampling, Violations* violations);

// Sets preview_mode and preview_scales of `task`, which has its sampling. Adds every broken rule.
void ResolvePreviews(const v1::PreviewOptions& given, const ModelConfig& config, ImageTask* task,
                     Violations* violations);

}  // namespace hmar

#endif  // HMAR_SERVER_WIRE_SCALE_VALIDATION_H_
