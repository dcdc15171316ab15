#include "kernels/group_norm.h"

#include <algorithm>

namespace hmar::kernels {
namespace {

// Both kernels read rows of channels in vectors of 8 (16 bytes). A thread keeps to one vector of
// channels, so what belongs to a channel stays in its registers, and walks down the positions in
// steps of `rows`, kUnroll loads in flight. That a vector straddles groups (C = 160: 5 channels a
// group) matters only where channels meet groups, once a block.
constexpr int kThreads = 512;
constexpr int kVector = 8;
constexpr int kUnroll = 4;
constexpr int kLanes = kThreads / kGroups;  // Threads that merge one group.
constexpr int kMaxChunks = 128;
constexpr int kMaxChannels = 1024;
constexpr int kPartial = 3 * kGroups;  // Floats of a chunk: counts, means, M2.

static_assert(kLanes == 16, "a group's lanes are half a warp; see SumOfLanes");

struct Channels8 {
  float of[kVector];
};

__device__ Channels8 Unpack(const uint4& raw) {
  const uint32_t words[4] = {raw.x, raw.y, raw.z, raw.w};
  Channels8 values;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    values.of[2 * i] = __uint_as_float(words[i] << 16);  // bf16 is the upper half of an fp32.
    values.of[2 * i + 1] = __uint_as_float(words[i] & 0xFFFF0000u);
  }
  return values;
}

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

// Over the 16 threads of a half warp, the same pairs of lanes every time.
__device__ float SumOfLanes(float value) {
#pragma unroll
  for (int offset = kLanes / 2; offset > 0; offset /= 2) {
    value += __shfl_xor_sync(0xFFFFFFFFu, value, offset);
  }
  return value;
}

// Where a thread of either kernel works: vector `vector` of a position's channels, at positions
// `row`, `row` + `rows`, ... of its block's range. Threads beyond the last whole row are idle.
struct Place {
  int vectors;  // C / 8
  int rows;
  int vector;
  int row;

  __device__ explicit Place(int C)
      : vectors(C / kVector),
        rows(kThreads / vectors),
        vector(threadIdx.x % vectors),
        row(threadIdx.x / vectors) {}
  __device__ bool idle() const { return row >= rows; }
};

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

// An image's statistics, by group.
struct GroupScales {
  float mean[kGroups];
  float inverse[kGroups];  // 1 / sqrt(variance + eps)
};

// Merges an image's partials (Chan, Golub, LeVeque: pairwise algorithms for the variance), about
// the first chunk's mean, which makes each chunk an addition. With n of N elements in that chunk
// its squared distance from the mean is at most N / n variances: few bits are lost. Warps take
// chunks, lanes groups; then 16 threads a group. The whole block calls it; ends with a barrier.
__device__ void MergePartials(const float* partials, int chunks, float eps, GroupScales* out) {
  constexpr int kPitch = kGroups + 1;  // Columns are read too.
  __shared__ float counts[kLanes][kPitch], sums[kLanes][kPitch], squares[kLanes][kPitch];
  const int warp = threadIdx.x / kGroups, mine = threadIdx.x % kGroups;
  const float shift = partials[kGroups + mine];
  float count = 0, sum = 0, square = 0;
#pragma unroll 4
  for (int chunk = warp; chunk < chunks; chunk += kLanes) {
    const float* const partial = partials + chunk * kPartial + mine;
    const float n = partial[0], d = partial[kGroups] - shift, m2 = partial[2 * kGroups];
    count += n;
    sum = fmaf(n, d, sum);
    square += fmaf(n * d, d, m2);
  }
  counts[warp][mine] = count;
  sums[warp][mine] = sum;
  squares[warp][mine] = square;
  __syncthreads();
  const int group = threadIdx.x / kLanes, lane = threadIdx.x % kLanes;
  count = SumOfLanes(counts[lane][group]);
  sum = SumOfLanes(sums[lane][group]);
  square = SumOfLanes(squares[lane][group]);
  if (lane == 0) {
    const float offset = sum / count;
    out->mean[group] = partials[kGroups + group] + offset;
    out->inverse[group] = rsqrtf(fmaxf(square - sum * offset, 0) / count + eps);
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

  __device__ ChannelMap(const GroupNormArgs& args, const GroupScales& groups, int first)
      : scale(LoadChannels(args.weight_C + first)), shift(LoadChannels(args.bias_C + first)) {
    const int width = args.C / kGroups;
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

// A thread's next kUnroll vectors; x is read for the last time: it should not push out what the
// next layer reads.
__device__ void LoadLast(const uint4* x, const Place& at, int64_t s, int64_t positions,
                         uint4 (&raw)[kUnroll]) {
#pragma unroll
  for (int i = 0; i < kUnroll; ++i) {
    const int64_t position = s + i * at.rows;
    if (position < positions) raw[i] = __ldcs(x + position * at.vectors + at.vector);
  }
}

// One block a range of an image's positions. Blocks go through the tensor backwards: its end is
// what the statistics, or the layer before, left in the L2. Each element is read before it is
// written, by the same thread: out may be x.
template <bool kSilu>
__global__ void __launch_bounds__(kThreads, 2)
    ApplyKernel(GroupNormArgs args, int chunks, int ranges, int64_t range_positions) {
  __shared__ GroupScales groups;
  const int64_t part = gridDim.x - 1 - blockIdx.x;
  const int64_t image = part / ranges, begin = part % ranges * range_positions;
  const int64_t positions = min(range_positions, args.S - begin);
  const int64_t offset = (image * args.S + begin) * args.C;
  const uint4* const x = reinterpret_cast<const uint4*>(args.x_BSC + offset);
  uint4* const out = reinterpret_cast<uint4*>(args.out_BSC + offset);
  const Place at(args.C);

  uint4 raw[kUnroll] = {};
  int64_t s = at.idle() ? positions : at.row;
  LoadLast(x, at, s, positions, raw);  // In flight while the partials are merged.
  MergePartials(args.workspace + image * chunks * kPartial, chunks, args.eps, &groups);
  const ChannelMap map(args, groups, at.vector * kVector);
  while (s < positions) {
#pragma unroll
    for (int i = 0; i < kUnroll; ++i) {
      const int64_t position = s + i * at.rows;
      if (position < positions) {
        out[position * at.vectors + at.vector] = map.Apply<kSilu>(raw[i]);
      }
    }
    s += kUnroll * at.rows;
    LoadLast(x, at, s, positions, raw);
  }
}

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// About as many chunks as a chunk has positions: the statistics read S / chunks positions a block,
// each block of the second kernel `chunks` partials.
int64_t ChunkPositions(int64_t S) {
  int64_t chunks = 1;
  while (chunks < kMaxChunks && chunks * chunks < S) ++chunks;
  return CeilDiv(S, chunks);
}

bool Aligned(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % 16 == 0; }

bool Valid(const GroupNormArgs& args) {
  return args.B >= 0 && args.S >= 1 && args.C >= kGroups && args.C <= kMaxChannels &&
         args.C % kGroups == 0 && Aligned(args.x_BSC) && Aligned(args.out_BSC) &&
         Aligned(args.weight_C) && Aligned(args.bias_C) && Aligned(args.workspace);
}

// Blocks of the second kernel for each image. No sum depends on it, so B may have a say: one wave
// (two blocks on each of an H200's 132 multiprocessors) where there is little to do, because every
// block reads its image's partials first; up to four where there is enough to even out their ends.
int64_t RangesOfImage(const GroupNormArgs& args) {
  constexpr int64_t kWave = 2 * 132;
  const int64_t tile = kUnroll * (kThreads / (args.C / kVector));
  const int64_t tiles = CeilDiv(args.S, tile);
  const int64_t blocks = std::clamp<int64_t>(tiles * args.B / 4, kWave, 4 * kWave);
  return std::clamp<int64_t>(blocks / args.B, 1, tiles);
}

}  // namespace

int GroupNormChunks(int64_t S) {
  return S < 1 ? 0 : static_cast<int>(CeilDiv(S, ChunkPositions(S)));
}

size_t GroupNormWorkspaceBytes(int B, int64_t S) {
  return static_cast<size_t>(std::max(B, 0)) * GroupNormChunks(S) * kPartial * sizeof(float);
}

cudaError_t GroupNorm(const GroupNormArgs& args, cudaStream_t stream) {
  if (!Valid(args)) return cudaErrorInvalidValue;
  if (args.B == 0) return cudaSuccess;
  const int chunks = GroupNormChunks(args.S);
  if (static_cast<int64_t>(args.B) * chunks > INT32_MAX) return cudaErrorInvalidValue;
  StatisticsKernel<<<args.B * chunks, kThreads, 0, stream>>>(
      args.x_BSC, args.S, args.C, chunks, ChunkPositions(args.S), args.workspace);
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? GroupNormApply(args, chunks, stream) : error;
}

cudaError_t GroupNormApply(const GroupNormArgs& args, int chunks, cudaStream_t stream) {
  if (!Valid(args) || chunks < 1) return cudaErrorInvalidValue;
  if (args.B == 0) return cudaSuccess;
  const int64_t range_positions = CeilDiv(args.S, RangesOfImage(args));
  const int64_t ranges = CeilDiv(args.S, range_positions);
  if (args.B * ranges > INT32_MAX) return cudaErrorInvalidValue;
  const auto kernel = args.silu ? ApplyKernel<true> : ApplyKernel<false>;
  kernel<<<static_cast<unsigned>(args.B * ranges), kThreads, 0, stream>>>(
      args, chunks, static_cast<int>(ranges), range_positions);
  return cudaGetLastError();
}

}  // namespace hmar::kernels
