// GroupNorm from statistics: merges them, then normalizes at the speed of a copy.

#include <algorithm>

#include "kernels/dependent_launch.cuh"
#include "kernels/group_norm_internal.cuh"

namespace hmar::kernels {
namespace {

constexpr int kThreads = kNormThreads;
constexpr int kWarps = kThreads / 32;

__device__ uint32_t PackPair(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&pair);
}

__device__ uint4 Pack(const Channels8& values) {
  return {PackPair(values.of[0], values.of[1]), PackPair(values.of[2], values.of[3]),
          PackPair(values.of[4], values.of[5]), PackPair(values.of[6], values.of[7])};
}

__device__ Channels8 LoadChannels(const float* from) {
  const float4 low = reinterpret_cast<const float4*>(from)[0];
  const float4 high = reinterpret_cast<const float4*>(from)[1];
  return {{low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w}};
}

// A group of an image's elements.
struct GroupMoments {
  float count, mean, m2;
};

// The sum over all threads t of the block with the same t % kWidth, in the same order every time:
// `shared` is this sum's own.
template <int kWidth>
__device__ float SumOfColumn(float value, float (&shared)[kWarps][kWidth]) {
#pragma unroll
  for (int offset = 16; offset >= kWidth; offset /= 2) {
    value += __shfl_xor_sync(0xFFFFFFFFu, value, offset);
  }
  if (threadIdx.x % 32 < kWidth) shared[threadIdx.x / 32][threadIdx.x % 32] = value;
  __syncthreads();
  float sum = 0;
#pragma unroll
  for (int warp = 0; warp < kWarps; ++warp) sum += shared[warp][threadIdx.x % kWidth];
  return sum;
}

// Merges kWidth groups of `chunks` partials; each thread learns group threadIdx.x % kWidth. The
// mean first, about the first chunk's, and then M2 about the mean (Chan, Golub, LeVeque): sums of
// what is not negative, so no digits cancel. The whole block calls it.
template <int kWidth>
__device__ GroupMoments MergePartials(const float* partials, int chunks) {
  __shared__ float counts[kWarps][kWidth], sums[kWarps][kWidth], squares[kWarps][kWidth];
  constexpr int kStep = kThreads / kWidth;
  constexpr int kInFlight = kWidth == kGroups ? 1 : 8;  // Few chunks are one step.
  const float* const mine = partials + threadIdx.x % kWidth;
  const int first = threadIdx.x / kWidth;
  const float shift = mine[kGroups];
  float count = 0, sum = 0, square = 0;
#pragma unroll kInFlight
  for (int chunk = first; chunk < chunks; chunk += kStep) {
    const float* const partial = mine + static_cast<int64_t>(chunk) * kPartial;
    count += partial[0];
    sum = fmaf(partial[0], partial[kGroups] - shift, sum);
  }
  count = SumOfColumn<kWidth>(count, counts);
  const float mean = shift + SumOfColumn<kWidth>(sum, sums) / count;
#pragma unroll kInFlight
  for (int chunk = first; chunk < chunks; chunk += kStep) {
    const float* const partial = mine + static_cast<int64_t>(chunk) * kPartial;
    const float d = partial[kGroups] - mean;
    square += fmaf(partial[0] * d, d, partial[2 * kGroups]);
  }
  return {count, mean, SumOfColumn<kWidth>(square, squares)};
}

// Groups that a block of MergeKernel takes: 32 bytes of each of a chunk's three rows, so that all
// that is read is used, and four blocks an image.
constexpr int kMergedGroups = 8;

// (B, chunks, 3, 32) -> (B, 3, 32).
__global__ void __launch_bounds__(kThreads)
    MergeKernel(const float* partials, int chunks, float* merged) {
  constexpr int kBlocks = kGroups / kMergedGroups;  // Of an image.
  AwaitPredecessor();
  const int64_t image = blockIdx.x / kBlocks;
  const int first = blockIdx.x % kBlocks * kMergedGroups;
  const GroupMoments group =
      MergePartials<kMergedGroups>(partials + image * chunks * kPartial + first, chunks);
  if (threadIdx.x >= kMergedGroups) return;
  float* const out = merged + image * kPartial + first + threadIdx.x;
  out[0] = group.count;
  out[kGroups] = group.mean;
  out[2 * kGroups] = group.m2;
}

// An image's statistics, by group.
struct GroupScales {
  float mean[kGroups];
  float inverse[kGroups];  // 1 / sqrt(variance + eps)
};

// The whole block calls it; ends with a barrier.
__device__ void ScaleGroups(const float* partials, int chunks, float eps, GroupScales* scales) {
  const GroupMoments group = MergePartials<kGroups>(partials, chunks);
  if (threadIdx.x < kGroups) {
    scales->mean[threadIdx.x] = group.mean;
    scales->inverse[threadIdx.x] = rsqrtf(group.m2 / group.count + eps);
  }
  __syncthreads();
}

// 1 / (1 + 2^(-y log2 e)) by the two approximate units, each good to 2 ulp; what they flush to 0 is
// where the result is 0 or 1 anyway.
__device__ float Sigmoid(float y) {
  float power, inverse;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(y * -1.4426950408889634f));
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(1 + power));
  return inverse;
}

// What a thread does to its channels: x * scale + shift.
struct ChannelMap {
  Channels8 scale, shift;

  // The layer's own part, which nobody writes.
  __device__ ChannelMap(const GroupNormArgs& args, int first)
      : scale(LoadChannels(args.weight_C + first)), shift(LoadChannels(args.bias_C + first)) {}

  // width: channels of a group.
  __device__ void Fold(const GroupScales& groups, int first, int width) {
#pragma unroll
    for (int i = 0; i < kVector; ++i) {
      const int group = (first + i) / width;
      scale.of[i] *= groups.inverse[group];
      shift.of[i] = fmaf(-groups.mean[group], scale.of[i], shift.of[i]);
    }
  }

  template <bool kSilu>
  __device__ uint4 Apply(const uint4& raw) const {
    Channels8 values = Unpack(raw);
#pragma unroll
    for (int i = 0; i < kVector; ++i) {
      const float y = fmaf(values.of[i], scale.of[i], shift.of[i]);
      values.of[i] = kSilu ? y * Sigmoid(y) : y;
    }
    return Pack(values);
  }
};

// x is read for the last time, or next long after: it should not push out what the next layer
// reads.
__device__ void LoadOnce(const uint4* x, int i, int end, uint4* raw) {
  if (i < end) *raw = __ldcs(x + i);
}

// One block a range of an image's positions. Blocks go through the tensor backwards: its end is
// what the layer before left in the L2. Each element is read before it is written, by the same
// thread: out may be x.
template <bool kSilu>
__global__ void __launch_bounds__(kThreads, 2)
    ApplyKernel(const __grid_constant__ GroupNormArgs args, const float* partials, int chunks,
                int ranges, int64_t range_positions) {
  __shared__ GroupScales groups;
  const int64_t part = gridDim.x - 1 - blockIdx.x;
  const int64_t image = part / ranges, begin = part % ranges * range_positions;
  const int64_t offset = (image * args.S + begin) * args.C;
  const uint4* const x = reinterpret_cast<const uint4*>(args.x_BSC + offset);
  uint4* const out = reinterpret_cast<uint4*>(args.out_BSC + offset);
  // Vectors of the range lie side by side: a thread takes every `step`-th, its own channels always.
  const Place at(args.C);
  const int step = at.rows * at.vectors;
  const int end = static_cast<int>(min(range_positions, args.S - begin)) * at.vectors;

  ChannelMap map(args, at.vector * kVector);
  AwaitPredecessor();
  uint4 raw[kUnroll] = {};
  int i = at.idle() ? end : static_cast<int>(threadIdx.x);
#pragma unroll
  for (int k = 0; k < kUnroll; ++k) LoadOnce(x, i + k * step, end, &raw[k]);
  // While they are in flight:
  ScaleGroups(partials + image * chunks * kPartial, chunks, args.eps, &groups);
  map.Fold(groups, at.vector * kVector, args.C / kGroups);
  for (; i < end; i += kUnroll * step) {
#pragma unroll
    for (int k = 0; k < kUnroll; ++k) {
      if (i + k * step < end) out[i + k * step] = map.Apply<kSilu>(raw[k]);
      LoadOnce(x, i + (k + kUnroll) * step, end, &raw[k]);
    }
  }
}

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

bool Aligned(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % 16 == 0; }

bool Valid(const GroupNormArgs& args) {
  return args.B >= 0 && args.S >= 1 && args.C >= kGroups && args.C <= kMaxNormChannels &&
         args.C % kGroups == 0 && Aligned(args.x_BSC) && Aligned(args.out_BSC) &&
         Aligned(args.weight_C) && Aligned(args.bias_C) && Aligned(args.workspace);
}

// Ranges of an image's positions, a block each. No sum depends on it, so B may have a say: one wave
// (two blocks on each of an H200's 132 multiprocessors) where there is little to do, up to four
// where there is enough, to even out their ends.
int64_t RangesOfImage(const GroupNormArgs& args) {
  constexpr int64_t kWave = 2 * 132;
  const int64_t tile = kUnroll * (kThreads / (args.C / kVector));
  const int64_t tiles = CeilDiv(args.S, tile);
  const int64_t blocks = std::clamp<int64_t>(tiles * args.B / 4, kWave, 4 * kWave);
  return std::clamp<int64_t>(blocks / args.B, 1, tiles);
}

cudaError_t Apply(const GroupNormArgs& args, const float* partials, int chunks,
                  cudaStream_t stream) {
  constexpr int64_t kMaxVectors = 1 << 30;  // Of a range, which are counted in 32 bits.
  const int64_t range_positions = CeilDiv(args.S, RangesOfImage(args));
  const int64_t ranges = CeilDiv(args.S, range_positions);
  if (args.B * ranges > INT32_MAX) return cudaErrorInvalidValue;
  if (range_positions > kMaxVectors / (args.C / kVector)) return cudaErrorInvalidValue;
  const auto kernel = args.silu ? ApplyKernel<true> : ApplyKernel<false>;
  return LaunchDependent(kernel, static_cast<unsigned>(args.B * ranges), kThreads, 0, stream, args,
                         partials, chunks, static_cast<int>(ranges), range_positions);
}

// Up to here each block of ApplyKernel merges its image's partials itself; beyond, what they all
// read costs more than a launch.
constexpr int kFewChunks = 16;

cudaError_t MergeAndApply(const GroupNormArgs& args, const float* partials, int chunks,
                          cudaStream_t stream) {
  if (chunks <= kFewChunks) return Apply(args, partials, chunks, stream);
  constexpr int kBlocks = kGroups / kMergedGroups;
  if (args.B > INT32_MAX / kBlocks) return cudaErrorInvalidValue;
  const cudaError_t error = LaunchDependent(MergeKernel, args.B * kBlocks, kThreads, 0, stream,
                                            partials, chunks, args.workspace);
  return error == cudaSuccess ? Apply(args, args.workspace, 1, stream) : error;
}

}  // namespace

size_t GroupNormWorkspaceBytes(int B, int64_t S) {
  return static_cast<size_t>(std::max(B, 0)) * (1 + GroupNormChunks(S)) * kPartial * sizeof(float);
}

cudaError_t GroupNorm(const GroupNormArgs& args, cudaStream_t stream) {
  if (!Valid(args)) return cudaErrorInvalidValue;
  if (args.B == 0) return cudaSuccess;
  float* const partials = args.workspace + int64_t{args.B} * kPartial;  // Behind the merged ones.
  const cudaError_t error = GroupNormStatistics(args, partials, stream);
  if (error != cudaSuccess) return error;
  return MergeAndApply(args, partials, GroupNormChunks(args.S), stream);
}

cudaError_t GroupNormFromPartials(const GroupNormArgs& args, const float* partials, int chunks,
                                  cudaStream_t stream) {
  if (!Valid(args) || chunks < 1 || !Aligned(partials)) return cudaErrorInvalidValue;
  return args.B == 0 ? cudaSuccess : MergeAndApply(args, partials, chunks, stream);
}

}  // namespace hmar::kernels
