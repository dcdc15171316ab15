#include "kernels/row_norm.h"

// A row stays in the registers of the threads that share it, as 16-byte chunks: one warp up to
// C = 1,024, two up to 2,048 (240 of 256 chunks busy at C = 1,920), four up to 4,096. So a thread
// has at most four chunks of each input, and all its loads are in flight before the first is used;
// these kernels do nothing but wait for memory. Arithmetic on results is spelled in intrinsics, so
// that both kernels round alike whatever the compiler would fuse.

namespace hmar::kernels {
namespace {

constexpr int kMaxC = 4096;
constexpr int kChunkElements = 8;
constexpr int kWarp = 32;

struct alignas(16) Chunk {
  uint32_t pair[4];  // Two bf16 each, the first in the low half.
};

__device__ float Low(uint32_t pair) { return __uint_as_float(pair << 16); }
__device__ float High(uint32_t pair) { return __uint_as_float(pair & 0xffff0000u); }

__device__ uint32_t Pack(float low, float high) {
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
  // At least 640 threads an SM: up to 96 registers for each, in which everything above fits.
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

template <typename S>
__device__ float Mean(const Slice<S>& x, float inverse_C, float* partial) {
  float sum = 0;
#pragma unroll
  for (int i = 0; i < S::kChunks; ++i) {
#pragma unroll
    for (const uint32_t pair : x.chunk[i].pair) sum += Low(pair) + High(pair);
  }
  return __fmul_rn(RowSum<S>(sum, partial), inverse_C);
}

template <typename S>
__device__ float Variance(const Slice<S>& x, float mean, int C, float inverse_C, float* partial) {
  float sum = 0;
#pragma unroll
  for (int i = 0; i < S::kChunks; ++i) {
    if (S::At(i) >= C) break;
#pragma unroll
    for (const uint32_t pair : x.chunk[i].pair) {
      const float low = __fsub_rn(Low(pair), mean), high = __fsub_rn(High(pair), mean);
      sum = __fmaf_rn(high, high, __fmaf_rn(low, low, sum));
    }
  }
  return __fmul_rn(RowSum<S>(sum, partial), inverse_C);
}

__device__ float Modulate(float x, float mean, float inverse, float scale, float shift) {
  return __fmaf_rn(__fmul_rn(__fsub_rn(x, mean), inverse), scale, shift);
}

// x becomes norm(x) * scale + shift.
template <typename S>
__device__ void NormModulateSlice(const Slice<S>& scale, const Slice<S>& shift, int C, float eps,
                                  Slice<S>* x) {
  __shared__ float partial[2][S::kWarps];
  const float inverse_C = 1.0f / static_cast<float>(C);
  const float mean = Mean(*x, inverse_C, partial[0]);
  const float inverse = rsqrtf(__fadd_rn(Variance(*x, mean, C, inverse_C, partial[1]), eps));
#pragma unroll
  for (int i = 0; i < S::kChunks; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const uint32_t a = x->chunk[i].pair[j];
      const uint32_t s = scale.chunk[i].pair[j], t = shift.chunk[i].pair[j];
      x->chunk[i].pair[j] = Pack(Modulate(Low(a), mean, inverse, Low(s), Low(t)),
                                 Modulate(High(a), mean, inverse, High(s), High(t)));
    }
  }
}

// x becomes x + gamma * branch, rounded.
template <typename S>
__device__ void GateSlice(const Slice<S>& gamma, const Slice<S>& branch, Slice<S>* x) {
#pragma unroll
  for (int i = 0; i < S::kChunks; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const uint32_t a = x->chunk[i].pair[j];
      const uint32_t g = gamma.chunk[i].pair[j], b = branch.chunk[i].pair[j];
      x->chunk[i].pair[j] =
          Pack(__fmaf_rn(Low(g), Low(b), Low(a)), __fmaf_rn(High(g), High(b), High(a)));
    }
  }
}

__device__ const __nv_bfloat16* VectorsOfRow(const ClassVectors& classes, int64_t row) {
  return classes.vectors + classes.class_of_row_T[row] * classes.class_stride;
}

template <typename S>
__global__ void __launch_bounds__(S::kBlock, S::kBlocksAnSm)
    NormModulateRows(const __nv_bfloat16* __restrict__ x_TC, __nv_bfloat16* __restrict__ out_TC,
                     int64_t T, int C, ClassVectors classes, NormModulation modulation) {
  const int64_t row = S::Row();
  if (row >= T) return;  // A warp as a whole.
  const __nv_bfloat16* vectors = VectorsOfRow(classes, row);
  Slice<S> x, scale, shift;
  x.Load(x_TC + row * C, C);
  scale.Load(vectors + modulation.scale_offset, C);
  shift.Load(vectors + modulation.shift_offset, C);
  NormModulateSlice(scale, shift, C, modulation.eps, &x);
  x.Store(out_TC + row * C, C);
}

// branch_TC and out_TC may be the same: a thread reads its share before it writes it.
template <typename S>
__global__ void __launch_bounds__(S::kBlock, S::kBlocksAnSm)
    GateNormModulateRows(__nv_bfloat16* x_TC, const __nv_bfloat16* branch_TC, __nv_bfloat16* out_TC,
                         int64_t T, int C, ClassVectors classes, int64_t gamma_offset,
                         NormModulation modulation) {
  const int64_t row = S::Row();
  if (row >= T) return;
  const __nv_bfloat16* vectors = VectorsOfRow(classes, row);
  Slice<S> x, branch, gamma, scale, shift;
  x.Load(x_TC + row * C, C);
  branch.Load(branch_TC + row * C, C);
  gamma.Load(vectors + gamma_offset, C);
  scale.Load(vectors + modulation.scale_offset, C);
  shift.Load(vectors + modulation.shift_offset, C);
  GateSlice(gamma, branch, &x);
  x.Store(x_TC + row * C, C);
  NormModulateSlice(scale, shift, C, modulation.eps, &x);
  x.Store(out_TC + row * C, C);
}

// Calls launch(Split<...>()) with the split of rows of C elements. It depends on C alone: the order
// of a row's sums is part of its result.
template <typename Launch>
void WithSplit(int C, const Launch& launch) {
  const int chunks = C / kChunkElements;
  if (chunks <= 32) return launch(Split<1, 1>());
  if (chunks <= 64) return launch(Split<1, 2>());
  if (chunks <= 96) return launch(Split<1, 3>());
  if (chunks <= 128) return launch(Split<1, 4>());
  if (chunks <= 192) return launch(Split<2, 3>());
  if (chunks <= 256) return launch(Split<2, 4>());
  if (chunks <= 384) return launch(Split<4, 3>());
  return launch(Split<4, 4>());
}

template <typename S>
unsigned Blocks(S, int64_t T) {
  return static_cast<unsigned>((T + S::kRowsABlock - 1) / S::kRowsABlock);
}

bool Aligned(const void* p) { return p != nullptr && reinterpret_cast<uintptr_t>(p) % 16 == 0; }

bool Valid(int64_t T, int C, const ClassVectors& classes, const NormModulation& modulation) {
  return T >= 0 && T <= INT32_MAX && C > 0 && C <= kMaxC && C % kChunkElements == 0 &&
         Aligned(classes.vectors) && classes.class_stride % kChunkElements == 0 &&
         modulation.scale_offset % kChunkElements == 0 &&
         modulation.shift_offset % kChunkElements == 0;
}

}  // namespace

cudaError_t NormModulate(const __nv_bfloat16* x_TC, __nv_bfloat16* out_TC, int64_t T, int C,
                         const ClassVectors& classes, const NormModulation& modulation,
                         cudaStream_t stream) {
  if (T == 0) return cudaSuccess;
  if (!Valid(T, C, classes, modulation) || !Aligned(x_TC) || !Aligned(out_TC)) {
    return cudaErrorInvalidValue;
  }
  WithSplit(C, [&](auto split) {
    using S = decltype(split);
    NormModulateRows<S>
        <<<Blocks(split, T), S::kBlock, 0, stream>>>(x_TC, out_TC, T, C, classes, modulation);
  });
  return cudaGetLastError();
}

cudaError_t GateNormModulate(__nv_bfloat16* x_TC, const __nv_bfloat16* branch_TC,
                             __nv_bfloat16* out_TC, int64_t T, int C, const ClassVectors& classes,
                             int64_t gamma_offset, const NormModulation& modulation,
                             cudaStream_t stream) {
  if (T == 0) return cudaSuccess;
  if (!Valid(T, C, classes, modulation) || gamma_offset % kChunkElements != 0 || !Aligned(x_TC) ||
      !Aligned(branch_TC) || !Aligned(out_TC)) {
    return cudaErrorInvalidValue;
  }
  WithSplit(C, [&](auto split) {
    using S = decltype(split);
    GateNormModulateRows<S><<<Blocks(split, T), S::kBlock, 0, stream>>>(
        x_TC, branch_TC, out_TC, T, C, classes, gamma_offset, modulation);
  });
  return cudaGetLastError();
}

}  // namespace hmar::kernels
