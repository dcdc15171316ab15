#ifndef HMAR_MODEL_SAMPLER_H_
#define HMAR_MODEL_SAMPLER_H_

// Draws tokens from logits. Plain C++ on one row at a time, so that a token depends on nothing but
// its own row: the CPU engine and the GPU kernels' tests use it.

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace hmar {

// Truncation and temperature of one request, ready for use.
struct DrawParams {
  DrawParams(float temperature, uint32_t top_k, float top_p);

  float temperature;
  uint32_t top_k;   // 0: off.
  float drop_mass;  // 1 - top_p: tokens go, least likely first, while their total is at most this.
                    // < 0: off.
};

// Working memory of DrawToken; reuse one a thread.
struct DrawScratch {
  struct Candidate {
    float logit;
    int32_t token;
    float weight;  // exp(logit - largest logit)
  };
  std::vector<float> divided;      // V: logits / temperature.
  std::vector<float> partitioned;  // V: in the order that the search for the k-th largest leaves.
  std::vector<Candidate> candidates;  // What top-k leaves, in codebook order.
  std::vector<Candidate> ranked;      // The same, on its way to ascending order.
};

struct Drawn {
  int32_t token = -1;    // -1: the logits were not finite; nothing was drawn.
  float confidence = 0;  // Probability of `token` after truncation.
};

// Draws one token from its logits (V) by inverse CDF in codebook order: the first token whose
// running sum of probability exceeds uniform * total. Before that the logits are divided by the
// temperature; top-k keeps every logit not below the k-th largest; top-p then removes a token while
// the probability of all tokens ranked at or below it (ascending, ties: lowest index first) is <= 1
// - top_p, and always keeps the largest. uniform in [0, 1).
Drawn DrawToken(absl::Span<const float> logits_V, const DrawParams& params, float uniform,
                DrawScratch* scratch);

// Guidance: out = (1 + t) cond - t uncond, each product rounded on its own. All of one length.
void Guide(absl::Span<const float> cond_V, absl::Span<const float> uncond_V, float t,
           absl::Span<float> out_V);

// The `count` least certain of the open positions, as the new open map: ascending by confidence,
// stable (lowest position first). open (n) of 0 or 1, confidence (n). REQUIRES: count <= number of
// ones in `open`.
std::vector<uint8_t> ReopenLeastCertain(absl::Span<const uint8_t> open,
                                        absl::Span<const float> confidence, uint32_t count);

}  // namespace hmar

#endif  // HMAR_MODEL_SAMPLER_H_
