#include "kernels/segment_attention.h"

#include <algorithm>
#include <cmath>

#include "kernels/attention_tile.cuh"

namespace hmar::kernels {
namespace {

using namespace attention;

// A block attends 64 queries of one segment and one head to the segment's keys, 64 at a time, with
// an online softmax (FlashAttention-2, arXiv 2307.08691). Each of its warps owns 16 queries.
constexpr int kWarps = 4;
constexpr int kThreads = 32 * kWarps;
constexpr int kBlocksPerSm = 5;  // 96 registers a thread, 41 KiB of shared memory a block.
static_assert(kAttentionTileQueries == kTileRows && kAttentionHeadSize == D);
static_assert(kWarps * kGroupRows == kTileRows);

constexpr float kLog2E = 1.44269504f;

// What a block does. Kept in shared memory rather than in each thread's registers, which are what
// limits the blocks an SM holds.
struct Task {
  const char* k;  // The segment's first key. Its v lies C elements further.
  char* out;      // Of the first query.
  int tokens;     // Of the segment.
  int queries;    // 1 to 64
  float scale;    // Of the head's logits, times log2(e).
  bool cosine;
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
// are index r = 0, 1; of an accumulator row r has elements 2 r and 2 r + 1.
struct Queries {
  float max[2] = {-INFINITY, -INFINITY};  // Of the logits, the queries' factors left out.
  float sum[2] = {};                      // Of the weights, this lane's keys only.
  float out[D / 8][4] = {};

  // logits[n]: keys 8 n to 8 n + 7. Queries come from shared memory for every tile of keys: kept in
  // registers they would cost a block an SM.
  template <int kGroups>
  __device__ void Dot(float (&logits)[2 * kGroups][4], const Tile& q, const Tile& k) const {
    const uint32_t q_address = RowsFirstAddress(q) + threadIdx.x / 32 * kGroupBytes;
    const uint32_t k_address = ChunksFirstAddress(k);
#pragma unroll
    for (int step = 0; step < D / 16; ++step) {
      uint32_t queries[4];
      LoadMatrices(queries, q_address ^ StepBits(step));
#pragma unroll
      for (int group = 0; group < kGroups; ++group) {
        uint32_t keys[4];
        LoadMatrices(keys, (k_address ^ StepBits(step)) + group * kGroupBytes);
        MultiplyAdd(logits[2 * group], queries, keys[0], keys[1]);
        MultiplyAdd(logits[2 * group + 1], queries, keys[2], keys[3]);
      }
    }
  }

  // Logits to weights exp(logit - max); rescales what was gathered under a smaller maximum.
  template <int kTiles>
  __device__ void Softmax(float (&logits)[kTiles][4], const float (&factors)[2]) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float new_max = max[r];
#pragma unroll
      for (int n = 0; n < kTiles; ++n) {
        new_max = fmaxf(new_max, fmaxf(logits[n][2 * r], logits[n][2 * r + 1]));
      }
      new_max = QuadMax(new_max);
      const float rescale = Exp2((max[r] - new_max) * factors[r]);  // 0 at the first tile.
      const float shift = new_max * factors[r];
      max[r] = new_max;
      sum[r] *= rescale;
#pragma unroll
      for (int n = 0; n < kTiles; ++n) {
#pragma unroll
        for (float* x = &logits[n][2 * r]; x != &logits[n][2 * r] + 2; ++x) {
          *x = Exp2(fmaf(*x, factors[r], -shift));
          sum[r] += *x;
        }
      }
#pragma unroll
      for (int n = 0; n < D / 8; ++n) {
        out[n][2 * r] *= rescale;
        out[n][2 * r + 1] *= rescale;
      }
    }
  }

  // out += weights v. Two accumulators of weights, side by side, are an A operand as they lie.
  template <int kGroups>
  __device__ void Gather(const float (&weights)[2 * kGroups][4], const Tile& v) {
    const uint32_t address = RowsFirstAddress(v);
#pragma unroll
    for (int group = 0; group < kGroups; ++group) {
      const float(&w0)[4] = weights[2 * group];
      const float(&w1)[4] = weights[2 * group + 1];
      const uint32_t p[4] = {PackBf16(w0[0], w0[1]), PackBf16(w0[2], w0[3]), PackBf16(w1[0], w1[1]),
                             PackBf16(w1[2], w1[3])};
#pragma unroll
      for (int step = 0; step < D / 16; ++step) {
        uint32_t values[4];
        LoadMatricesTransposed(values, (address ^ StepBits(step)) + group * kGroupBytes);
        MultiplyAdd(out[2 * step], p, values[0], values[1]);
        MultiplyAdd(out[2 * step + 1], p, values[2], values[3]);
      }
    }
  }

  // Through the warp's own rows of `tile`, so that each lane stores 16 bytes.
  __device__ void Store(Tile& tile, const Task& task, uint32_t row_bytes) const {
    const int lane = threadIdx.x % 32;
    const int first_row = threadIdx.x / 32 * kGroupRows;
    char* const mine = tile.bytes + first_row * kRowBytes;
    const float inverse[2] = {__fdividef(1, QuadSum(sum[0])), __fdividef(1, QuadSum(sum[1]))};
#pragma unroll
    for (int n = 0; n < D / 8; ++n) {
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        char* const pair = mine + ChunkOffset(lane / 4 + 8 * r, n) + lane % 4 * 4;
        *reinterpret_cast<uint32_t*>(pair) =
            PackBf16(out[n][2 * r] * inverse[r], out[n][2 * r + 1] * inverse[r]);
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
template <bool kMasked, int kTiles>
__device__ void ScaleLogits(float (&logits)[kTiles][4], const SharedTiles& shared, int keys) {
  const int first_column = threadIdx.x % 4 * 2;
#pragma unroll
  for (int n = 0; n < kTiles; ++n) {
    const int column = 8 * n + first_column;
    const float2 factor = *reinterpret_cast<const float2*>(&shared.k_factors[column]);
    const bool last_group = n >= kTiles - 2;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      logits[n][2 * r] *= factor.x;
      logits[n][2 * r + 1] *= factor.y;
      if (!kMasked || !last_group) continue;
      if (column >= keys) logits[n][2 * r] = -INFINITY;
      if (column + 1 >= keys) logits[n][2 * r + 1] = -INFINITY;
    }
  }
}

// Tile j of the keys, in groups of 16; some of the last group may be missing. `active`: this warp
// has queries; others still take part in the keys' lengths.
template <int kGroups, bool kMasked>
__device__ void AttendTile(Queries& queries, SharedTiles& shared, int j, bool active) {
  const auto& [k, v] = shared.k_and_v[j % 2];
  const int warp = threadIdx.x / 32;
  if (shared.task.cosine && warp < kGroups) {
    WriteFactors(shared.k_factors, k, warp, shared.task.scale);
  }
  float logits[2 * kGroups][4] = {};
  if (active) queries.Dot<kGroups>(logits, shared.q, k);
  __syncthreads();  // The keys' factors are there.
  if (!active) return;
  ScaleLogits<kMasked>(logits, shared, KeysOfTile(shared.task.tokens, j));
  const int row = kGroupRows * warp + threadIdx.x % 32 / 4;
  const float factors[2] = {shared.q_factors[row], shared.q_factors[row + 8]};
  queries.Softmax(logits, factors);
  queries.Gather<kGroups>(logits, v);
}

// Full tiles run without masks; the last tile of a segment leaves out the groups that it lacks.
__device__ void AttendKeys(Queries& queries, SharedTiles& shared, int j, bool active) {
  const int keys = KeysOfTile(shared.task.tokens, j);
  if (keys == 64) {
    AttendTile<4, false>(queries, shared, j, active);
  } else if (keys > 48) {
    AttendTile<4, true>(queries, shared, j, active);
  } else if (keys > 32) {
    AttendTile<3, true>(queries, shared, j, active);
  } else if (keys > 16) {
    AttendTile<2, true>(queries, shared, j, active);
  } else {
    AttendTile<1, true>(queries, shared, j, active);
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
                     .cosine = cosine};
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
  WaitCopies<1>();
  __syncthreads();
  const Task& task = shared.task;
  const int first_query = threadIdx.x / 32 * kGroupRows;  // This warp's.
  const bool active = first_query < task.queries;
  Queries queries;
  if (task.cosine && active) WriteFactors(shared.q_factors, shared.q, first_query / kGroupRows, 1);
  for (int j = 0; kTileRows * j < task.tokens; ++j) {
    if (j > 0) {
      WaitCopies<0>();
      __syncthreads();  // Tile j is there; nobody reads tile j - 1 any more.
      PrefetchKeys(shared, task, args.heads * kRowBytes, j + 1);
    }
    AttendKeys(queries, shared, j, active);
  }
  if (active) queries.Store(shared.q, task, args.heads * kRowBytes);
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
  AttendSegments<<<grid, kThreads, 0, stream>>>(args);
  return cudaGetLastError();
}

}  // namespace hmar::kernels
