#ifndef HMAR_MODEL_INSPECTOR_H_
#define HMAR_MODEL_INSPECTOR_H_

// A model's stages one by one, for parity tests and benchmarks: the CPU engine's against the
// reference, a GPU engine's against the CPU engine's. No torch here.

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "model/engine.h"
#include "model/model_folder.h"

namespace hmar {

// Floats are row-major; shapes in the letters of the reference: Z codebook channels, P last grid, S
// image size, n tokens of the scale, V codebook size. Not thread-safe. REQUIRES of every call:
// sizes as stated, scales in [0, K).
class Inspector {
 public:
  virtual ~Inspector() = default;

  virtual const ModelConfig& config() const = 0;

  // Image (3, S, S) in [-1, 1] -> K token maps.
  virtual std::vector<TokenMap> Encode(const std::vector<float>& image_3SS) = 0;

  // Feature map (Z, P, P) -> image (3, S, S) in [-1, 1].
  virtual std::vector<float> Decode(const std::vector<float>& f_hat_ZPP) = 0;

  // What a scale's tokens add to the feature map: (Z, P, P).
  virtual std::vector<float> Contribution(int scale, const TokenMap& tokens_n) = 0;

  // The packed input rows of the task's next pass, as PassLogits takes it: (rows, C).
  virtual std::vector<float> Embed(const ImageTask& task, uint32_t step, const TokenMap& tokens_n,
                                   const std::vector<uint8_t>& open_n) = 0;

  // Logits (n, V), after guidance, of pass `step` at scale task.prefix.size(), when the scales
  // before it have the prefix's tokens. A mask pass (step > 0) also needs the scale's tokens so far
  // and which of them are open.
  virtual std::vector<float> PassLogits(const ImageTask& task, uint32_t step,
                                        const TokenMap& tokens_n,
                                        const std::vector<uint8_t>& open_n) = 0;
};

// Of the CPU engine, in fp32. Errors: a weight that cannot be read.
absl::StatusOr<std::unique_ptr<Inspector>> MakeCpuInspector(ModelFolder folder);

}  // namespace hmar

#endif  // HMAR_MODEL_INSPECTOR_H_
