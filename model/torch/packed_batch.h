#ifndef HMAR_MODEL_TORCH_PACKED_BATCH_H_
#define HMAR_MODEL_TORCH_PACKED_BATCH_H_

// One step's rows. A segment is what attention may see as one: the n tokens of one image (or of its
// unconditional half) at one scale. Rows lie as [next-scale rows | mask rows]; inside a
// range segments of equal length lie together, so that attention runs once a length.

#include <vector>

#include "absl/types/span.h"
#include "model/torch/aten.h"
#include "model/torch/slot.h"
#include "model/torch/tokenizer.h"

namespace hmar {

class Transformer;

// Equally long segments that lie side by side.
struct SegmentGroup {
  int64_t first_row = 0;
  int64_t segments = 0;
  int64_t tokens = 0;  // n of each.

  int64_t rows() const { return segments * tokens; }
};

// Where a slot's rows lie: n of them, and where its pass is guided the unconditional half's n right
// behind.
struct SlotRows {
  const Slot* slot = nullptr;
  int64_t first_row = 0;
};

// The rows of one head: next-scale rows or mask rows. Rows count from the start of the batch.
struct RowRange {
  int64_t first_row = 0;
  int64_t rows = 0;                  // With padding, which lies at the end.
  std::vector<SegmentGroup> groups;  // By rising scale.
  std::vector<SlotRows> slots;       // By rising scale.
};

// Every entry of by_row points to the AdaLN vectors of the row's class.
struct PackedBatch {
  at::Tensor x_TC;  // Embeddings in, features out.
  RowRange ns;
  RowRange mask;
  std::vector<const float*> by_row;  // (T)

  int64_t rows() const { return ns.rows + mask.rows; }  // T
};

// Lays out the next pass of each slot and embeds it. REQUIRES: none of the slots is done, all have
// their f_hat.
PackedBatch PackBatch(absl::Span<const Slot* const> slots, const ModelConfig& config,
                      const Tokenizer& tokenizer, Transformer* transformer);

}  // namespace hmar

#endif  // HMAR_MODEL_TORCH_PACKED_BATCH_H_
