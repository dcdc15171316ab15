#include "kernels/dependent_launch.cuh"
#include "kernels/draw.h"
#include "kernels/ordered_key.cuh"

namespace hmar::kernels {
namespace {

constexpr int kThreads = 512;
constexpr int kMostTokens = 4096;
constexpr int kItems = kMostTokens / kThreads;
constexpr int kPositionBits = 16;  // Whole digits.
static_assert(kMostTokens <= 1 << kPositionBits);
constexpr int kDigitBits = 8;
constexpr int kDigits = 1 << kDigitBits;
constexpr int kRounds = 6;
static_assert(kRounds * kDigitBits == 32 + kPositionBits);
constexpr uint64_t kClosed = ~uint64_t{0};

// Confidence, then position: no two drawn tokens are equal. Thread t holds tokens t, t +
// kThreads... The confidence of one that was not drawn may be anything; reading it with its byte
// saves a wait.
__device__ __forceinline__ void LoadKeys(const ReopenJob& job, const float* confidence,
                                         uint64_t (&keys)[kItems]) {
#pragma unroll
  for (int i = 0; i < kItems; ++i) {
    const int token = i * kThreads + static_cast<int>(threadIdx.x);
    keys[i] = kClosed;
    if (token >= job.tokens) continue;
    const float value = confidence[token];
    const bool drawn = job.drawn == nullptr || job.drawn[token] != 0;
    if (drawn) keys[i] = uint64_t{OrderedKey(value)} << kPositionBits | token;
  }
}

struct Pick {
  uint32_t digit;
  int below;  // Keys of smaller digits.
};

struct Shared {
  alignas(16) uint32_t keys_of[kDigits];  // Zero between rounds.
  Pick pick;
};

// The digit in which the running number of keys first exceeds `count`; kDigits if it never does.
// Waits for the block's additions before, and leaves the numbers zero. Called by the whole block.
__device__ __forceinline__ Pick PickDigit(int count, Shared* shared) {
  __syncthreads();
  if (threadIdx.x < 32) {
    constexpr int kOwn = kDigits / 32;  // Digits a lane.
    static_assert(kOwn == 8);
    const int lane = threadIdx.x;
    uint4* const own = reinterpret_cast<uint4*>(&shared->keys_of[lane * kOwn]);
    const uint4 low = own[0], high = own[1];
    own[0] = own[1] = uint4{0, 0, 0, 0};
    const uint32_t keys_of[kOwn] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
    int sum = 0;
#pragma unroll
    for (int i = 0; i < kOwn; ++i) sum += static_cast<int>(keys_of[i]);
    int through = sum;
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
      const int before = __shfl_up_sync(0xFFFFFFFF, through, step);
      if (lane >= step) through += before;
    }
    if (lane == 31 && through <= count) shared->pick = {kDigits, through};
    int below = through - sum;
#pragma unroll
    for (int i = 0; i < kOwn; ++i) {
      const int next = below + static_cast<int>(keys_of[i]);
      if (below <= count && count < next) {
        shared->pick = {static_cast<uint32_t>(lane * kOwn + i), below};
      }
      below = next;
    }
  }
  __syncthreads();
  return shared->pick;
}

// A bound below which `count` keys lie, digit by digit from the top; most often the digits that
// part two neighbours are settled long before the last.
__device__ __forceinline__ uint64_t FindBound(int count, const uint64_t (&keys)[kItems],
                                              Shared* shared) {
  uint64_t bound = 0;  // The digits settled, zeros after them.
  for (int shift = (kRounds - 1) * kDigitBits; shift >= 0; shift -= kDigitBits) {
    // Keys that share the digits settled; the first round has none, and takes all but closed ones.
    const uint64_t largest = bound + ((uint64_t{1} << shift) * kDigits - 1);
#pragma unroll
    for (int i = 0; i < kItems; ++i) {
      if (bound <= keys[i] && keys[i] <= largest) {
        atomicAdd(&shared->keys_of[keys[i] >> shift & (kDigits - 1)], 1u);
      }
    }
    const Pick pick = PickDigit(count, shared);
    if (pick.digit == kDigits) return kClosed;  // Every drawn token; the first round alone.
    bound |= uint64_t{pick.digit} << shift;
    count -= pick.below;
    if (count == 0) break;
  }
  return bound;
}

__global__ void __launch_bounds__(kThreads)
    ReopenKernel(const ReopenJob* jobs, const float* confidence, uint8_t* open, int64_t stride) {
  __shared__ Shared shared;
  const ReopenJob job = jobs[blockIdx.x];
  confidence += job.slot * stride;
  open += job.slot * stride;
  if (threadIdx.x < kDigits) shared.keys_of[threadIdx.x] = 0;
  __syncthreads();
  uint64_t keys[kItems];
  AwaitPredecessor();
  LoadKeys(job, confidence, keys);
  const uint64_t bound = FindBound(job.count, keys, &shared);
#pragma unroll
  for (int i = 0; i < kItems; ++i) {
    const int token = i * kThreads + static_cast<int>(threadIdx.x);
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
