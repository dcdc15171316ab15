#include "kernels/dependent_launch.cuh"
#include "kernels/draw.h"
#include "kernels/ordered_key.cuh"

namespace hmar::kernels {
namespace {

constexpr int kThreads = 512;
constexpr int kMostTokens = 4096;
constexpr int kItems = kMostTokens / kThreads;
constexpr int kPositionBits = 12;
static_assert(1 << kPositionBits == kMostTokens);
constexpr uint64_t kClosed = ~uint64_t{0};

// Confidence, then position: no two open tokens are equal. Thread t holds tokens t, t + kThreads...
// A closed token's confidence is never read: it may be anything.
__device__ __forceinline__ void LoadKeys(const ReopenJob& job, const float* confidence,
                                         const uint8_t* open, uint64_t (&keys)[kItems]) {
#pragma unroll
  for (int i = 0; i < kItems; ++i) {
    const int token = i * kThreads + threadIdx.x;
    keys[i] = kClosed;
    if (token < job.tokens && (job.kind == PassKind::kNextScale || open[token] != 0)) {
      keys[i] = uint64_t{OrderedKey(confidence[token])} << kPositionBits | token;
    }
  }
}

// Keys of the block below `bound`.
__device__ __forceinline__ int CountBelow(uint64_t bound, int tokens,
                                          const uint64_t (&keys)[kItems]) {
  int count = 0;
#pragma unroll
  for (int i = 0; i < kItems; ++i) {
    if (i * kThreads < tokens) count += __syncthreads_count(keys[i] < bound);
  }
  return count;
}

// The bound below which `count` keys lie, bit by bit from the top; most often the bits that part
// two neighbours are settled long before the last.
__device__ __forceinline__ uint64_t FindBound(int count, int tokens,
                                              const uint64_t (&keys)[kItems]) {
  uint64_t bound = 0;
  for (int bit = 31 + kPositionBits; bit >= 0; --bit) {
    const uint64_t next = bound | uint64_t{1} << bit;
    const int below = CountBelow(next, tokens, keys);
    if (below <= count) bound = next;
    if (below == count) break;
  }
  return bound;
}

__global__ void __launch_bounds__(kThreads)
    ReopenKernel(const ReopenJob* jobs, const float* confidence, uint8_t* open, int64_t stride) {
  const ReopenJob job = jobs[blockIdx.x];
  confidence += job.slot * stride;
  open += job.slot * stride;
  uint64_t keys[kItems];
  AwaitPredecessor();
  LoadKeys(job, confidence, open, keys);
  const uint64_t bound = FindBound(job.count, job.tokens, keys);
#pragma unroll
  for (int i = 0; i < kItems; ++i) {
    const int token = i * kThreads + threadIdx.x;
    if (token < job.tokens) open[token] = keys[i] < bound;
  }
}

}  // namespace

cudaError_t ReopenLeastCertain(const ReopenJob* jobs, int job_count, const float* confidence,
                               uint8_t* open, int64_t stride, cudaStream_t stream) {
  if (job_count < 0) return cudaErrorInvalidValue;
  if (job_count == 0) return cudaSuccess;
  return LaunchDependent(ReopenKernel, job_count, kThreads, 0, stream, jobs, confidence, open,
                         stride);
}

}  // namespace hmar::kernels
