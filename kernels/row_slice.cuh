#ifndef HMAR_KERNELS_ROW_SLICE_CUH_
#define HMAR_KERNELS_ROW_SLICE_CUH_

// Rows of bf16 in the registers of the threads that share them, as 16-byte chunks: one warp up to
// C = 1,024, two up to 2,048 (240 of 256 chunks busy at C = 1,920), four up to 4,096, eight up to
// 8,192. So a thread has at most four chunks of each input, and all its loads are in flight before
// the first is used.

#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/fp8_rows.h"

namespace hmar::kernels {

constexpr int kChunkElements = 8;
constexpr int kWarp = 32;

struct alignas(16) Chunk {
  uint32_t pair[4];  // Two bf16 each, the first in the low half.
};

__device__ inline float Low(uint32_t pair) { return __uint_as_float(pair << 16); }
__device__ inline float High(uint32_t pair) { return __uint_as_float(pair & 0xffff0000u); }

__device__ inline uint32_t Pack(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return static_cast<uint32_t>(__bfloat16_as_ushort(pair.y)) << 16 | __bfloat16_as_ushort(pair.x);
}

// How threads share rows.
template <int kWarpsARow, int kChunksAThread>
struct Split {
  static constexpr int kChunks = kChunksAThread;
  static constexpr int kWarps = kWarpsARow;
  static constexpr int kThreads = kWarps * kWarp;  // A row's.
  // Blocks of several rows only where warps do not meet at a barrier.
  static constexpr int kRowsABlock = kWarps == 1 ? 4 : 1;
  static constexpr int kBlock = kRowsABlock * kThreads;
  // At least 640 threads an SM: up to 96 registers for each, in which five slices of a row fit.
  static constexpr int kBlocksAnSm = 640 / kBlock;

  static __device__ int64_t Row() {
    return static_cast<int64_t>(blockIdx.x) * kRowsABlock + threadIdx.x / kThreads;
  }
  // Where the thread's chunk i starts in its row; C and beyond: nowhere.
  static __device__ int At(int i) {
    return (i * kThreads + static_cast<int>(threadIdx.x) % kThreads) * kChunkElements;
  }
};

// A thread's share of a row; zeros beyond C.
template <typename S>
struct Slice {
  Chunk chunk[S::kChunks];

  // Beyond C it loads the row's start and drops it: a branch could keep later loads waiting.
  __device__ void Load(const __nv_bfloat16* row_C, int C) {
#pragma unroll
    for (int i = 0; i < S::kChunks; ++i) {
      chunk[i] = *reinterpret_cast<const Chunk*>(row_C + (S::At(i) < C ? S::At(i) : 0));
    }
#pragma unroll
    for (int i = 0; i < S::kChunks; ++i) {
#pragma unroll
      for (uint32_t& pair : chunk[i].pair) pair = S::At(i) < C ? pair : 0;
    }
  }

  __device__ void Store(__nv_bfloat16* row_C, int C) const {
#pragma unroll
    for (int i = 0; i < S::kChunks; ++i) {
      if (S::At(i) < C) *reinterpret_cast<Chunk*>(row_C + S::At(i)) = chunk[i];
    }
  }
};

// Sum of `value` over the row's threads, the same bits in each. partial: kWarps floats of the
// block's shared memory, for one call.
template <typename S>
__device__ float RowSum(float value, float* partial) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    value += __shfl_xor_sync(0xffffffffu, value, distance);
  }
  if constexpr (S::kWarps == 1) return value;
  if (threadIdx.x % kWarp == 0) partial[threadIdx.x / kWarp] = value;
  __syncthreads();
  float sum = partial[0];
#pragma unroll
  for (int w = 1; w < S::kWarps; ++w) sum += partial[w];
  return sum;
}

// The largest `value` of the row's threads. partial: as RowSum.
template <typename S>
__device__ float RowMax(float value, float* partial) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, distance));
  }
  if constexpr (S::kWarps == 1) return value;
  if (threadIdx.x % kWarp == 0) partial[threadIdx.x / kWarp] = value;
  __syncthreads();
  float largest = partial[0];
#pragma unroll
  for (int w = 1; w < S::kWarps; ++w) largest = fmaxf(largest, partial[w]);
  return largest;
}

// Writes a row in fp8, with its scale.
template <typename S>
__device__ void StoreFp8(const Slice<S>& x, int64_t row, int C, const Fp8Rows& out) {
  __shared__ float partial[S::kWarps];
  constexpr float kLargest = 448;  // Of e4m3.
  float largest = 0;
#pragma unroll
  for (int i = 0; i < S::kChunks; ++i) {
#pragma unroll
    for (const uint32_t pair : x.chunk[i].pair) {
      if (S::At(i) < C) largest = fmaxf(largest, fmaxf(fabsf(Low(pair)), fabsf(High(pair))));
    }
  }
  largest = RowMax<S>(largest, partial);
  const float scale = largest > 0 ? __fdiv_rn(largest, kLargest) : 1.0f;
  const float inverse = __fdiv_rn(1.0f, scale);
  if (S::At(0) == 0) out.scale_T[row] = scale;
#pragma unroll
  for (int i = 0; i < S::kChunks; ++i) {
    uint16_t pairs[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const uint32_t pair = x.chunk[i].pair[j];
      pairs[j] = __nv_cvt_float2_to_fp8x2(
          make_float2(__fmul_rn(Low(pair), inverse), __fmul_rn(High(pair), inverse)),
          __NV_SATFINITE, __NV_E4M3);
    }
    if (S::At(i) < C) {
      *reinterpret_cast<uint2*>(out.rows_TC + row * C + S::At(i)) =
          make_uint2(pairs[0] | uint32_t{pairs[1]} << 16, pairs[2] | uint32_t{pairs[3]} << 16);
    }
  }
}

// Calls launch(Split<...>()) with the split of rows of C elements. It depends on C alone: the order
// of a row's sums is part of its result.
template <typename Launch>
cudaError_t WithSplit(int C, const Launch& launch) {
  const int chunks = C / kChunkElements;
  if (chunks <= 32) return launch(Split<1, 1>());
  if (chunks <= 64) return launch(Split<1, 2>());
  if (chunks <= 96) return launch(Split<1, 3>());
  if (chunks <= 128) return launch(Split<1, 4>());
  if (chunks <= 192) return launch(Split<2, 3>());
  if (chunks <= 256) return launch(Split<2, 4>());
  if (chunks <= 384) return launch(Split<4, 3>());
  if (chunks <= 512) return launch(Split<4, 4>());
  return launch(Split<8, 4>());
}

template <typename S>
unsigned Blocks(S, int64_t T) {
  return static_cast<unsigned>((T + S::kRowsABlock - 1) / S::kRowsABlock);
}

inline bool Aligned(const void* p) {
  return p != nullptr && reinterpret_cast<uintptr_t>(p) % 16 == 0;
}

inline bool Aligned(const Fp8Rows& out) { return Aligned(out.rows_TC) && out.scale_T != nullptr; }

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_ROW_SLICE_CUH_
