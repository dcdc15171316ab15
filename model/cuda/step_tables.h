#ifndef HMAR_MODEL_CUDA_STEP_TABLES_H_
#define HMAR_MODEL_CUDA_STEP_TABLES_H_

// What a step does, as tables that kernels read. Filled on the host in one piece of memory, so that
// one copy brings them to the device. Plain C++, no CUDA calls.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "kernels/draw.h"
#include "kernels/f_hat.h"
#include "kernels/packed_rows.h"
#include "kernels/segment_attention.h"
#include "model/sampling_plan.h"

namespace hmar {

// One image's part in a step.
struct ImageStep {
  int32_t slot = 0;
  int32_t class_row = 0;  // The class, or the row of "no class".
  Pass pass;
  uint32_t reopen =
      0;  // Tokens that the next mask pass of the scale redraws; 0: the scale settles.
  // (n), on the device: the tokens that the pass draws, 1 each; null: all.
  const uint8_t* open = nullptr;
  uint64_t seed = 0;
  float guidance = 0;  // GuidanceWeight of the pass's scale.
  float temperature = 1;
  uint32_t top_k = 0;
  float drop_mass = -1;
};

// How much a step does. Steps of equal sizes have equal tables but for their contents, launch the
// same kernels with the same arguments, and can share a CUDA graph.
struct StepSizes {
  int64_t ns_rows = 0;
  int64_t mask_rows = 0;
  int ns_tiles = 0;
  int mask_tiles = 0;
  int segments = 0;
  int images = 0;
  int drawn_tokens = 0;  // Tokens of all passes, open or not.
  int own_maps = 0;      // Mask passes: their tokens' contributions are needed for the embedding.
  int settled_maps = 0;
  int reopened = 0;

  int64_t rows() const { return ns_rows + mask_rows; }
  friend auto operator<=>(const StepSizes&, const StepSizes&) = default;
};

// Where the tables lie in a piece of memory, on the host or on the device. Row order: next-scale
// passes, then mask passes; in each, images in the order given; of an image its conditional rows,
// then the unconditional ones.
struct StepTables {
  kernels::Segment* segments;
  int32_t* segment_of_row;
  int32_t* class_of_row;
  kernels::AttentionTile* tiles;  // Next-scale rows' first; in each, long segments first.
  kernels::DrawImage* draws;
  int32_t* image_of_token;  // Index into draws and of the failed flags.
  kernels::TokenMapJob* own_maps;
  kernels::TokenMapJob* settled_maps;
  kernels::ReopenJob* reopened;
  size_t bytes;

  StepTables(const StepSizes& sizes, void* memory);
};

StepSizes MeasureStep(absl::Span<const ImageStep> images);

// Fills tables of MeasureStep's sizes. Draw `i` is image `i`. null_class_row: of the unconditional
// halves.
void FillStep(absl::Span<const ImageStep> images, int32_t null_class_row, const StepTables& tables);

// The most bytes that a step of up to max_rows rows and max_images images takes.
size_t MostStepBytes(int64_t max_rows, int64_t max_images);

}  // namespace hmar

#endif  // HMAR_MODEL_CUDA_STEP_TABLES_H_
