#include "kernels/segment_attention.h"

#include <algorithm>
#include <cmath>

#include "kernels/attention_products.cuh"
#include "kernels/attention_tile.cuh"
#include "kernels/dependent_launch.cuh"

namespace hmar::kernels {
namespace {

using namespace attention;

// A block attends 64 queries of one segment and one head to the segment's keys, 64 at a time
// (FlashAttention-2, arXiv 2307.08691). Each of its warps owns 16 queries. While one block waits
// for copies, barriers or products, the others of its SM compute.
constexpr int kWarps = 4;
constexpr int kThreads = 32 * kWarps;
// Of 41 KiB of shared memory and 96 registers a thread on Hopper; sm_80 has room for three.
constexpr int kBlocksPerSm = kWarpsTogether ? 5 : 3;
static_assert(kAttentionTileQueries == kTileRows && kAttentionHeadSize == D);
static_assert(kWarps * kGroupRows == kTileRows);

constexpr float kLog2E = 1.44269504f;

// Cosine logits are at most |head_scale|. Up to this, their exponentials (2^-58 to 2^58) and sums
// of these times values stay well inside fp32 (2^-126 to 2^127) as they are, with no maximum taken
// off.
constexpr float kMostBoundedScale = 40;

// What a block does. Kept in shared memory rather than in each thread's registers, which are what
// limits the blocks an SM holds.
struct Task {
  const char* k;  // The segment's first key. Its v lies C elements further.
  char* out;      // Of the first query.
  int tokens;     // Of the segment.
  int queries;    // 1 to 64
  float scale;    // Of the head's logits, times log2(e).
  bool cosine;
  bool bounded;  // Logits need no maximum taken off. Depends on the head alone.
};

struct SharedTiles {
  Tile q;              // Later the output: a warp reads and writes its own 16 rows alone.
  Tile k_and_v[2][2];  // Double buffer: tile j in [j % 2].
  // A logit is q . k times its query's factor, 1 / |q| or 1, and its key's, scale / |k| or scale.
  float q_factors[kTileRows];
  float k_factors[kTileRows];  // Of the current tile.
  Task task;
};

// Keys of tile j of the segment; not positive: there is no such tile.
__device__ int KeysOfTile(int tokens, int j) { return min(kTileRows, tokens - kTileRows * j); }

// Starts copying tile j of k and v, if there is one, and closes the group of copies. row_bytes: of
// one of the three matrices.
__device__ void PrefetchKeys(SharedTiles& shared, const Task& task, uint32_t row_bytes, int j) {
  const int keys = KeysOfTile(task.tokens, j);
  if (keys > 0) {
    CopyRows<2>(shared.k_and_v[j % 2], task.k, row_bytes, 3 * row_bytes, kTileRows * j, keys);
  }
  CommitCopies();
}

// A warp's 16 queries and what they have seen so far. A lane's two rows, lane / 4 and lane / 4 + 8,
// are index r = 0, 1; elements of results are 4 n + 2 r + c, see attention_products.cuh.
struct Queries {
  float max[2] = {-INFINITY, -INFINITY};  // Of the logits, the queries' factors left out.
  float sum[4] = {};                      // Of the weights; row r's as elements 2 r and 2 r + 1.
  float out[kElements] = {};

  // Takes the logits into row r's maximum, and rescales what was gathered under a smaller one.
  template <int kGroups>
  __device__ void RaiseMax(const float (&logits)[kElements], int r, float factor) {
    float new_max = max[r];
#pragma unroll
    for (int n = 0; n < 2 * kGroups; ++n) {
      new_max = fmaxf(new_max, fmaxf(logits[4 * n + 2 * r], logits[4 * n + 2 * r + 1]));
    }
    new_max = QuadMax(new_max);
    const float rescale = Exp2((max[r] - new_max) * factor);  // 0 at the first tile.
    max[r] = new_max;
    sum[2 * r] *= rescale;
    sum[2 * r + 1] *= rescale;
#pragma unroll
    for (int n = 0; n < D / 8; ++n) {
      out[4 * n + 2 * r] *= rescale;
      out[4 * n + 2 * r + 1] *= rescale;
    }
  }

  // Logits to weights: exp(logit) if bounded, else exp(logit - maximum).
  template <int kGroups, bool kBounded>
  __device__ void Softmax(float (&logits)[kElements], const float (&factors)[2]) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float factor = factors[r];
      if constexpr (!kBounded) RaiseMax<kGroups>(logits, r, factor);
      const float shift = kBounded ? 0 : max[r] * factor;
#pragma unroll
      for (int n = 0; n < 2 * kGroups; ++n) {
#pragma unroll
        for (int c = 0; c < 2; ++c) {
          float& x = logits[4 * n + 2 * r + c];
          x = Exp2(kBounded ? x * factor : fmaf(x, factor, -shift));
        }
      }
    }
  }

  // Through the warp's own rows of `tile`, so that each lane stores 16 bytes.
  __device__ void Store(Tile& tile, const Task& task, uint32_t row_bytes) const {
    const int lane = threadIdx.x % 32;
    const int first_row = threadIdx.x / 32 * kGroupRows;
    char* const mine = tile.bytes + first_row * kRowBytes;
    const float inverse[2] = {__fdividef(1, sum[0]), __fdividef(1, sum[2])};
#pragma unroll
    for (int n = 0; n < D / 8; ++n) {
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        char* const pair = mine + ChunkOffset(lane / 4 + 8 * r, n) + lane % 4 * 4;
        *reinterpret_cast<uint32_t*>(pair) =
            PackBf16(out[4 * n + 2 * r] * inverse[r], out[4 * n + 2 * r + 1] * inverse[r]);
      }
    }
    __syncwarp();
#pragma unroll
    for (int row = lane / 8; row < kGroupRows; row += 4) {
      if (first_row + row >= task.queries) break;
      char* const to = task.out + static_cast<uint64_t>(first_row + row) * row_bytes;
      reinterpret_cast<uint4*>(to)[lane % 8] =
          *reinterpret_cast<const uint4*>(mine + ChunkOffset(row, lane % 8));
    }
  }
};

// Dot products times the keys' factors; minus infinity beyond the last key.
template <int kGroups, bool kMasked>
__device__ void ScaleLogits(float (&logits)[kElements], const SharedTiles& shared, int keys) {
  const int first_column = threadIdx.x % 4 * 2;
#pragma unroll
  for (int n = 0; n < 2 * kGroups; ++n) {
    const int column = 8 * n + first_column;
    const float2 factor = *reinterpret_cast<const float2*>(&shared.k_factors[column]);
    const bool last_group = n >= 2 * kGroups - 2;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float* const pair = &logits[4 * n + 2 * r];
      pair[0] *= factor.x;
      pair[1] *= factor.y;
      if (!kMasked || !last_group) continue;
      if (column >= keys) pair[0] = -INFINITY;
      if (column + 1 >= keys) pair[1] = -INFINITY;
    }
  }
}

// From logits to weights, and these into the sums, over groups of 16 keys; some of the last may be
// missing.
template <int kGroups, bool kMasked, bool kBounded>
__device__ void Weigh(Queries& queries, float (&logits)[kElements], const SharedTiles& shared,
                      int j, bool active) {
  if (active) {
    const int row = threadIdx.x / 32 * kGroupRows + threadIdx.x % 32 / 4;
    const float factors[2] = {shared.q_factors[row], shared.q_factors[row + 8]};
    ScaleLogits<kGroups, kMasked>(logits, shared, KeysOfTile(shared.task.tokens, j));
    queries.Softmax<kGroups, kBounded>(logits, factors);
  }
  __syncwarp();
  if (kWarpsTogether || active)
    Gather<kGroups>(queries.out, queries.sum, logits, shared.k_and_v[j % 2][1]);
}

// Full tiles run without masks; the last tile of a segment leaves out the groups that it lacks.
template <bool kBounded>
__device__ void WeighKeys(Queries& queries, float (&logits)[kElements], const SharedTiles& shared,
                          int j, bool active) {
  const int keys = KeysOfTile(shared.task.tokens, j);
  if (keys >= 64) {
    Weigh<4, false, kBounded>(queries, logits, shared, j, active);
  } else if (keys > 48) {
    Weigh<4, true, kBounded>(queries, logits, shared, j, active);
  } else if (keys > 32) {
    Weigh<3, true, kBounded>(queries, logits, shared, j, active);
  } else if (keys > 16) {
    Weigh<2, true, kBounded>(queries, logits, shared, j, active);
  } else {
    Weigh<1, true, kBounded>(queries, logits, shared, j, active);
  }
}

// Tile j of the keys. `active`: this warp has queries; others still take part in the keys' lengths
// and, where they must, in products.
__device__ void AttendTile(Queries& queries, SharedTiles& shared, int j, bool active) {
  const Tile& k = shared.k_and_v[j % 2][0];
  const int warp = threadIdx.x / 32;
  float logits[kElements];
  if (kWarpsTogether || active) BeginDot(logits, shared.q, k);
  if (shared.task.cosine) {  // Meanwhile.
    if (j == 0 && active) WriteFactors(shared.q_factors, shared.q, warp, 1);
    const int group = warp ^ 2;  // In short segments, of warps that have no queries.
    const bool has_keys = group * kGroupRows < KeysOfTile(shared.task.tokens, j);
    if (has_keys) WriteFactors(shared.k_factors, k, group, shared.task.scale);
  }
  __syncwarp();
  FinishDot(logits);
  __syncthreads();  // The factors are there; after the last tile, q may go.
  if (shared.task.bounded) {
    WeighKeys<true>(queries, logits, shared, j, active);
  } else {
    WeighKeys<false>(queries, logits, shared, j, active);
  }
}

// Starts the first copies (q with the first k) and leaves the block's task in shared memory, to be
// seen after the next barrier.
__device__ void BeginTask(const SegmentAttentionArgs& args, uint32_t tile_index,
                          SharedTiles& shared) {
  const AttentionTile tile = args.tiles[tile_index];
  const bool cosine = args.head_scale_H != nullptr;
  const int head = blockIdx.x;
  const float scale = cosine ? args.head_scale_H[head] : args.plain_scale;
  const uint32_t row_bytes = args.heads * kRowBytes;  // Of out; a row of qkv has three times that.
  const uint32_t first_query = tile.first_row + tile.first_query;
  const char* const q = RowAddress(args.qkv_T3C, tile.first_row, 3 * row_bytes) + head * kRowBytes;
  const char* const out = RowAddress(args.out_TC, first_query, row_bytes) + head * kRowBytes;
  const Task task = {.k = q + row_bytes,
                     .out = const_cast<char*>(out),
                     .tokens = tile.tokens,
                     .queries = min(kTileRows, tile.tokens - tile.first_query),
                     .scale = kLog2E * scale,
                     .cosine = cosine,
                     .bounded = cosine && fabsf(scale) <= kMostBoundedScale};
  AwaitPredecessor();
  CopyRows<1>(&shared.q, q, 0, 3 * row_bytes, tile.first_query, task.queries);
#pragma unroll 1
  for (int j = 0; j < 2; ++j) PrefetchKeys(shared, task, row_bytes, j);
  if (threadIdx.x == 0) shared.task = task;
  if (!cosine && threadIdx.x < kTileRows) {
    shared.q_factors[threadIdx.x] = 1;
    shared.k_factors[threadIdx.x] = task.scale;
  }
}

// Heads vary fastest over blocks: neighbours read neighbouring memory, and tiles run in the order
// given, each over all heads.
__global__ void __launch_bounds__(kThreads, kBlocksPerSm)
    AttendSegments(const SegmentAttentionArgs args) {
  __shared__ SharedTiles shared;
  const uint32_t tile_index = blockIdx.z * gridDim.y + blockIdx.y;
  if (tile_index >= static_cast<uint32_t>(args.tile_count)) return;
  BeginTask(args, tile_index, shared);
  AwaitCopies<1>();
  const Task& task = shared.task;
  const uint32_t row_bytes = args.heads * kRowBytes;
  const bool active = static_cast<int>(threadIdx.x) / 32 * kGroupRows < task.queries;
  Queries queries;
  for (int j = 0; kTileRows * j < task.tokens; ++j) {
    if (j > 0) {
      AwaitCopies<0>();
      PrefetchKeys(shared, task, row_bytes, j + 1);
    }
    AttendTile(queries, shared, j, active);
  }
  if (active) queries.Store(shared.q, task, row_bytes);
}

bool Valid(const SegmentAttentionArgs& args) {
  const auto aligned = [](const void* p) {
    return p != nullptr && reinterpret_cast<uintptr_t>(p) % 16 == 0;
  };
  constexpr int kMostHeads = 65536;  // Keeps the bytes of a row in 32 bits.
  return args.tile_count > 0 && args.heads > 0 && args.heads <= kMostHeads &&
         args.tiles != nullptr && aligned(args.qkv_T3C) && aligned(args.out_TC) &&
         args.out_TC != args.qkv_T3C;
}

}  // namespace

cudaError_t SegmentAttention(const SegmentAttentionArgs& args, cudaStream_t stream) {
  if (args.tile_count == 0) return cudaSuccess;
  if (!Valid(args)) return cudaErrorInvalidValue;
  // As much shared memory as there is: L1 has no use here, and five blocks need most of it.
  const cudaError_t error =
      cudaFuncSetAttribute(AttendSegments, cudaFuncAttributePreferredSharedMemoryCarveout,
                           cudaSharedmemCarveoutMaxShared);
  if (error != cudaSuccess) return error;
  const unsigned y = std::min(args.tile_count, 32768);  // A grid has at most 65,535 in y and z.
  const dim3 grid(args.heads, y, (args.tile_count + y - 1) / y);
  return LaunchDependent(AttendSegments, grid, dim3(kThreads), 0, stream, args);
}

}  // namespace hmar::kernels
