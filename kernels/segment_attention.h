#ifndef HMAR_KERNELS_SEGMENT_ATTENTION_H_
#define HMAR_KERNELS_SEGMENT_ATTENTION_H_

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <cstdint>

namespace hmar::kernels {

inline constexpr int kAttentionHeadSize = 64;  // D
inline constexpr int kAttentionTileQueries = 64;

// The queries [first_query, first_query + kAttentionTileQueries) of one segment, as far as it goes:
// the work of one block for one head. A segment of n tokens takes ceil(n / kAttentionTileQueries)
// tiles, in any order; long segments first keep the device full to the end.
struct AttentionTile {
  int32_t first_row = 0;    // Of the segment, in the packed matrix.
  int32_t tokens = 0;       // Of the segment, 1 to 4,096.
  int32_t first_query = 0;  // In the segment; a multiple of kAttentionTileQueries.
};

struct SegmentAttentionArgs {
  const __nv_bfloat16* qkv_T3C = nullptr;  // Each row: q, k, v, each (H, D). 16-byte aligned.
  __nv_bfloat16* out_TC = nullptr;  // Each row: (H, D). 16-byte aligned; not an input's memory.
  const AttentionTile* tiles = nullptr;  // (tile_count), on the device.
  int tile_count = 0;                    // 0: nothing to do.
  int heads = 0;                         // H
  // Cosine attention (VAR, arXiv 2404.02905, section 3.3): q and k scaled to length 1 (at least
  // 1e-12 taken as their length), logits times a temperature a head. Null: plain attention, logits
  // times plain_scale.
  const float* head_scale_H = nullptr;  // (H), on the device.
  float plain_scale = 0;
};

// Block-diagonal attention over all segments in one launch: bf16 in and out, fp32 softmax and sums.
// Lengths are taken out of the dot products in fp32, not rounded into q and k; weights are rounded
// to bf16 ahead of both their sums. A row's result depends on its segment alone, to the byte.
// Asynchronous on `stream`; allocates nothing. May start while the kernel ahead in the stream
// drains, and read `tiles` and `head_scale_H` by then: copies write these, not kernels.
cudaError_t SegmentAttention(const SegmentAttentionArgs& args, cudaStream_t stream);

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_SEGMENT_ATTENTION_H_
