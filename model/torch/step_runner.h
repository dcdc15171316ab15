#ifndef HMAR_MODEL_TORCH_STEP_RUNNER_H_
#define HMAR_MODEL_TORCH_STEP_RUNNER_H_

// One step as a function: from slots as they are to what each becomes. It changes no slot, so that
// a step that fails half-way (out of memory) leaves every image where it was.

#include <vector>

#include "absl/types/span.h"
#include "model/torch/packed_batch.h"
#include "model/torch/slot.h"
#include "model/torch/tokenizer.h"
#include "model/torch/transformer.h"

namespace hmar {

// What a pass made of a slot.
struct PassOutcome {
  bool finite = true;             // False: the logits were not finite; nothing below holds.
  TokenMap tokens;                // The scale's tokens after the pass, (n).
  std::vector<float> confidence;  // (n)
  std::vector<uint8_t>
      open;              // (n): what the next mask pass redraws; all 0 when the scale is settled.
  at::Tensor f_hat_ZPP;  // Defined when the scale is settled: the new feature map.
};

// Not thread-safe; needs an InferenceMode guard on the calling thread.
class StepRunner {
 public:
  // All outlive the runner.
  StepRunner(const ModelConfig* config, const Tokenizer* tokenizer, Transformer* transformer)
      : config_(config), tokenizer_(tokenizer), transformer_(transformer) {}

  // Runs the next pass of each slot in one packed forward. Outcomes in the order of the slots.
  // `rows`, if given, receives the forward's rows. REQUIRES: as PackBatch.
  std::vector<PassOutcome> Run(absl::Span<const Slot* const> slots, uint32_t* rows = nullptr);

  // The logits (n, V) that one slot's next pass draws from, after guidance. For parity tests.
  at::Tensor GuidedLogits(const Slot& slot);

 private:
  struct DrawJob;

  void DrawRange(Transformer::Head head, const PackedBatch& batch, const RowRange& range,
                 const std::vector<PassOutcome*>& outcomes);
  void DrawChunk(const at::Tensor& logits, int64_t first_row, absl::Span<const SlotRows> slots,
                 absl::Span<PassOutcome* const> outcomes);
  void ChooseReopened(const Slot& slot, PassOutcome* outcome) const;
  void Settle(absl::Span<const Slot* const> slots, std::vector<PassOutcome>* outcomes) const;

  const ModelConfig* config_;
  const Tokenizer* tokenizer_;
  Transformer* transformer_;
  Activations activations_;
};

}  // namespace hmar

#endif  // HMAR_MODEL_TORCH_STEP_RUNNER_H_
