#ifndef HMAR_KERNELS_EMBED_H_
#define HMAR_KERNELS_EMBED_H_

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/packed_rows.h"

namespace hmar::kernels {

// Weights of the embedding, fp32, 16-byte aligned.
struct EmbedWeights {
  int C = 0;                           // Width, a multiple of 8.
  int Z = 0;                           // Codebook channels, at most 64.
  const float* word_ZC = nullptr;      // word_embed.weight, transposed.
  const float* word_bias_C = nullptr;  // word_embed_bias
  const float* position_LC = nullptr;  // Level + position embedding of every token of the pyramid.
  const float* mask_C = nullptr;       // mask_embed
  const float* class_NC = nullptr;     // class_emb; Segment::class_row names the row.
  const float* pos_start_C = nullptr;  // pos_start
};

// State of the slots, by Segment::slot; 16-byte aligned.
struct EmbedState {
  const float* f_hat_PPZ = nullptr;  // (slots, P * P, Z): sum of the settled scales' contributions.
  const float* own_PPZ =
      nullptr;  // (slots, P * P, Z): contribution of the scale's own tokens; mask passes.
  const uint8_t* open =
      nullptr;  // (slots, Grids::most_tokens): 1: the mask pass redraws the token.
};

// The transformer's input rows (HMAR, arXiv 2506.04421, section 4). With area(m) the average of the
// feature map's cells under a token (PyTorch's adaptive_avg_pool2d to p x p), word(z) = z word_ZC
// and `pos` the token's row of position_LC:
//   next-scale, scale 0:  class_NC[class_row] + pos_start + pos
//   next-scale, others:   word(area(f_hat)) + word_bias + pos
//   mask pass:            word(area(f_hat)) + (open ? mask_C : word(area(own))) + word_bias + pos
// Sums in fp32, rounded once to bf16. Every row by itself. Asynchronous on `stream`; allocates
// nothing. T may be 0.
cudaError_t EmbedRows(const EmbedWeights& weights, const EmbedState& state, const Grids& grids,
                      const Segment* segments, const int32_t* segment_of_row_T, int64_t T,
                      __nv_bfloat16* x_TC, cudaStream_t stream);

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_EMBED_H_
