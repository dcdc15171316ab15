// The statistics of GroupNorm's input, by chunks of positions.

#include <algorithm>

#include "kernels/dependent_launch.cuh"
#include "kernels/group_norm_internal.cuh"

namespace hmar::kernels {
namespace {

constexpr int kThreads = kNormThreads;
constexpr int kLanes = kThreads / kGroups;  // Threads that merge one group's channels.
constexpr int kMaxChunks = 128;

static_assert(kLanes == 16, "a group's lanes are half a warp; see SumOfLanes");

// Over the 16 threads of a half warp, the same pairs of lanes every time.
__device__ float SumOfLanes(float value) {
#pragma unroll
  for (int offset = kLanes / 2; offset > 0; offset /= 2) {
    value += __shfl_xor_sync(0xFFFFFFFFu, value, offset);
  }
  return value;
}

// Sums of each channel over a chunk, about a shift.
struct ChannelSums {
  Channels8 sum, square;
};

__device__ void Accumulate(const Channels8& x, const Channels8& shift, ChannelSums* sums) {
#pragma unroll
  for (int i = 0; i < kVector; ++i) {
    const float d = x.of[i] - shift.of[i];
    sums->sum.of[i] += d;
    sums->square.of[i] = fmaf(d, d, sums->square.of[i]);
  }
}

// x: the chunk's first position. The shift is one of the chunk's n values, so its squared distance
// from their mean is at most n variances, and sum(d^2) - sum(d)^2 / n loses at most log2(n + 1) of
// fp32's 24 bits, whatever the mean: n is 512 at S = 65,536.
__device__ ChannelSums SumChunk(const uint4* x, const Place& at, int64_t positions) {
  ChannelSums sums = {};
  const uint4 first = x[at.vector];
  const Channels8 shift = Unpack(first);
  for (int64_t s = at.row; s < positions; s += kUnroll * at.rows) {
    uint4 raw[kUnroll];
#pragma unroll
    for (int i = 0; i < kUnroll; ++i) {
      const int64_t position = s + i * at.rows;
      // Beyond the end the shift itself, which adds nothing.
      raw[i] = position < positions ? x[position * at.vectors + at.vector] : first;
    }
#pragma unroll
    for (int i = 0; i < kUnroll; ++i) Accumulate(Unpack(raw[i]), shift, &sums);
  }
  return sums;
}

__device__ void StoreChannels(const Channels8& values, float* to) {
  float4* const out = reinterpret_cast<float4*>(to);
  out[0] = {values.of[0], values.of[1], values.of[2], values.of[3]};
  out[1] = {values.of[4], values.of[5], values.of[6], values.of[7]};
}

struct Moments {
  float mean, m2;
};

// Of one channel, from the sums that the block's rows of threads left: (rows, C) each.
__device__ Moments MomentsOfChannel(const float* sums, const float* squares, int rows, int C,
                                    int channel, float shift, float positions) {
  float sum = 0, square = 0;
#pragma unroll 4
  for (int row = 0; row < rows; ++row) {
    sum += sums[row * C + channel];
    square += squares[row * C + channel];
  }
  const float offset = sum / positions;
  return {shift + offset, fmaxf(square - sum * offset, 0)};
}

// One block a chunk of an image: its partials, (B, chunks, 3, 32).
__global__ void __launch_bounds__(kThreads, 2)
    StatisticsKernel(const __nv_bfloat16* x_BSC, int64_t S, int C, int chunks,
                     int64_t chunk_positions, float* partials) {
  __shared__ alignas(16) float sums[kThreads * kVector];  // (rows, C)
  __shared__ alignas(16) float squares[kThreads * kVector];
  AwaitPredecessor();
  const int64_t image = blockIdx.x / chunks;
  const int64_t begin = blockIdx.x % chunks * chunk_positions;
  const int64_t positions = min(chunk_positions, S - begin);
  const __nv_bfloat16* const x = x_BSC + (image * S + begin) * C;
  const Place at(C);
  if (!at.idle()) {
    const ChannelSums mine = SumChunk(reinterpret_cast<const uint4*>(x), at, positions);
    StoreChannels(mine.sum, sums + threadIdx.x * kVector);
    StoreChannels(mine.square, squares + threadIdx.x * kVector);
  }
  __syncthreads();

  // 16 threads a group, each its first and, from 17 channels a group, its second channel. All
  // channels count the same, so the mean of the group is the mean of their means.
  const int group = threadIdx.x / kLanes, lane = threadIdx.x % kLanes, width = C / kGroups;
  const float n = static_cast<float>(positions);
  Moments channels[2] = {};
  for (int i = 0, c = lane; i < 2; ++i, c += kLanes) {
    if (c >= width) break;
    const int channel = group * width + c;
    channels[i] =
        MomentsOfChannel(sums, squares, at.rows, C, channel, __bfloat162float(x[channel]), n);
  }
  const float mean = SumOfLanes(channels[0].mean + channels[1].mean) / static_cast<float>(width);
  float m2 = 0;
  for (int i = 0, c = lane; i < 2; ++i, c += kLanes) {
    const float d = channels[i].mean - mean;
    if (c < width) m2 += fmaf(n * d, d, channels[i].m2);
  }
  m2 = SumOfLanes(m2);
  if (lane == 0) {
    float* const out = partials + static_cast<int64_t>(blockIdx.x) * kPartial + group;
    out[0] = n * static_cast<float>(width);
    out[kGroups] = mean;
    out[2 * kGroups] = m2;
  }
}

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// About as many chunks as a chunk has positions: the statistics read S / chunks positions a block,
// and what merges them `chunks` partials.
int64_t ChunkPositions(int64_t S) {
  int64_t chunks = 1;
  while (chunks < kMaxChunks && chunks * chunks < S) ++chunks;
  return CeilDiv(S, chunks);
}

}  // namespace

int GroupNormChunks(int64_t S) {
  return S < 1 ? 0 : static_cast<int>(CeilDiv(S, ChunkPositions(S)));
}

cudaError_t GroupNormStatistics(const GroupNormArgs& args, float* partials, cudaStream_t stream) {
  const int chunks = GroupNormChunks(args.S);
  if (static_cast<int64_t>(args.B) * chunks > INT32_MAX) return cudaErrorInvalidValue;
  return LaunchDependent(StatisticsKernel, args.B * chunks, kThreads, 0, stream, args.x_BSC, args.S,
                         args.C, chunks, ChunkPositions(args.S), partials);
}

}  // namespace hmar::kernels
