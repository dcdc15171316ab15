#include "kernels/quantize.h"

#include <cmath>

#include "kernels/dependent_launch.cuh"

// A block finds 8 tokens: it averages their cells, then every thread goes through its share of the
// codebook, each vector against all eight, and the block's best are merged. Coarse scales have few
// blocks, and their time is that of reading the codebook once; fine ones read it from L2.

namespace hmar::kernels {
namespace {

constexpr int kThreads = 512;
constexpr int kWarps = kThreads / 32;
constexpr int kTokens = 8;  // Of a block.
constexpr int kMaxZ = 64;
static_assert(kTokens * kMaxZ <= kThreads);

struct Shared {
  union {
    float part[kTokens][kThreads];  // Of the sums over cells: (parts, Z).
    struct {
      float distance[kWarps][kTokens];
      int32_t index[kWarps][kTokens];
    } best;
  };
  alignas(16) float z[kMaxZ][kTokens];
  float length[kTokens];  // |z|^2
};

// A token's place: which image, and the cells under it.
struct Cells {
  int64_t b;
  int y0, y1, x0, x1;

  __device__ Cells(int64_t token, int p, int P) {
    const int position = static_cast<int>(token % (p * p));
    b = token / (p * p);
    const int y = position / p, x = position % p;
    y0 = y * P / p, y1 = ((y + 1) * P + p - 1) / p;
    x0 = x * P / p, x1 = ((x + 1) * P + p - 1) / p;
  }
  __device__ int count() const { return (y1 - y0) * (x1 - x0); }
};

// Fills shared.z and shared.length. Threads share a token's cells as (part, channel).
__device__ void Average(const float* rest_BPPZ, int Z, int p, int P, int64_t tokens,
                        Shared* shared) {
  const int parts = kThreads / Z;
  const int part = threadIdx.x / Z, channel = threadIdx.x % Z;
#pragma unroll
  for (int t = 0; t < kTokens; ++t) {
    const int64_t token = int64_t{blockIdx.x} * kTokens + t;
    const Cells cells(min(token, tokens - 1), p, P);
    const float* const map = rest_BPPZ + cells.b * P * P * Z + channel;
    const int width = cells.x1 - cells.x0, count = token < tokens ? cells.count() : 0;
    float sum = 0;
    for (int i = part < parts ? part : count; i < count; i += parts) {
      const int cell = (cells.y0 + i / width) * P + cells.x0 + i % width;
      sum = __fadd_rn(sum, map[int64_t{cell} * Z]);
    }
    shared->part[t][threadIdx.x] = sum;
  }
  __syncthreads();
  if (threadIdx.x < kTokens * Z) {
    const int t = threadIdx.x / Z, z = threadIdx.x % Z;
    float sum = 0;
    for (int i = 0; i < parts; ++i) sum = __fadd_rn(sum, shared->part[t][i * Z + z]);
    const Cells cells(min(int64_t{blockIdx.x} * kTokens + t, tokens - 1), p, P);
    shared->z[z][t] = sum / static_cast<float>(cells.count());
  }
  __syncthreads();
  if (threadIdx.x < kTokens) {
    float length = 0;
    for (int z = 0; z < Z; ++z) {
      length = __fmaf_rn(shared->z[z][threadIdx.x], shared->z[z][threadIdx.x], length);
    }
    shared->length[threadIdx.x] = length;
  }
  __syncthreads();
}

// The nearest vector so far, and its distance.
struct Best {
  float distance = INFINITY;
  int32_t index = 0;

  // Ties go to the lower index.
  __device__ void Take(float other_distance, int32_t other_index) {
    const bool nearer =
        other_distance < distance || (other_distance == distance && other_index < index);
    if (nearer) distance = other_distance, index = other_index;
  }
};

// The thread's vectors against the block's tokens.
__device__ void Search(const CodebookSearch& search, const Shared& shared, Best (&best)[kTokens]) {
  for (int v = threadIdx.x; v < search.V; v += kThreads) {
    float dot[kTokens] = {};
#pragma unroll 8
    for (int z = 0; z < search.Z; ++z) {
      const float e = search.codebook_ZV[int64_t{z} * search.V + v];
      const float4 low = *reinterpret_cast<const float4*>(&shared.z[z][0]);
      const float4 high = *reinterpret_cast<const float4*>(&shared.z[z][4]);
      const float a[kTokens] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
      for (int t = 0; t < kTokens; ++t) dot[t] = __fmaf_rn(a[t], e, dot[t]);
    }
    const float norm = search.norm_V[v];
#pragma unroll
    for (int t = 0; t < kTokens; ++t) {
      best[t].Take(__fsub_rn(__fadd_rn(shared.length[t], norm), 2 * dot[t]), v);
    }
  }
}

__global__ void __launch_bounds__(kThreads)
    NearestKernel(const __grid_constant__ CodebookSearch search, int p, int P, int first,
                  const float* rest_BPPZ, int64_t tokens, int32_t* tokens_BL, int64_t L) {
  __shared__ Shared shared;
  AwaitPredecessor();
  Average(rest_BPPZ, search.Z, p, P, tokens, &shared);
  Best best[kTokens];
  Search(search, shared, best);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
#pragma unroll
  for (int t = 0; t < kTokens; ++t) {
#pragma unroll
    for (int step = 16; step > 0; step /= 2) {
      const float distance = __shfl_xor_sync(0xFFFFFFFF, best[t].distance, step);
      best[t].Take(distance, __shfl_xor_sync(0xFFFFFFFF, best[t].index, step));
    }
    if (lane == 0) {  // The sums over cells, whose place this takes, are read.
      shared.best.distance[warp][t] = best[t].distance;
      shared.best.index[warp][t] = best[t].index;
    }
  }
  __syncthreads();
  const int t = threadIdx.x;
  const int64_t token = int64_t{blockIdx.x} * kTokens + t;
  if (t >= kTokens || token >= tokens) return;
  Best nearest;
  for (int w = 0; w < kWarps; ++w) {
    nearest.Take(shared.best.distance[w][t], shared.best.index[w][t]);
  }
  const int64_t b = token / (p * p);
  tokens_BL[b * L + first + token % (p * p)] = nearest.index;
}

}  // namespace

cudaError_t NearestTokens(const CodebookSearch& search, const Grids& grids, int scale,
                          const float* rest_BPPZ, int B, int32_t* tokens_BL, int64_t L,
                          cudaStream_t stream) {
  if (B == 0) return cudaSuccess;
  if (B < 0 || search.V < 1 || search.Z < 4 || search.Z > kMaxZ || search.Z % 4 != 0 ||
      grids.scales > Grids::kMaxScales || scale < 0 || scale >= grids.scales) {
    return cudaErrorInvalidValue;
  }
  const int p = grids.side[scale], P = grids.last;
  if (p < 1 || P < p || P > 4096) return cudaErrorInvalidValue;
  const int64_t tokens = int64_t{B} * p * p, blocks = (tokens + kTokens - 1) / kTokens;
  if (blocks > INT32_MAX) return cudaErrorInvalidValue;
  return LaunchDependent(NearestKernel, static_cast<unsigned>(blocks), kThreads, 0, stream, search,
                         p, P, grids.first[scale], rest_BPPZ, tokens, tokens_BL, L);
}

}  // namespace hmar::kernels
