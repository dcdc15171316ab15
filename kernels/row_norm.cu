#include "kernels/row_norm.h"

#include "kernels/dependent_launch.cuh"
#include "kernels/row_slice.cuh"

// A row stays in registers (row_slice.cuh); these kernels do nothing but wait for memory.
// Arithmetic on results is spelled in intrinsics, so that all kernels round alike whatever the
// compiler would fuse.

namespace hmar::kernels {
namespace {

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

// Where a normed row goes: as bf16, or rounded further to fp8.
template <typename S>
__device__ void StoreNormed(const Slice<S>& x, int64_t row, int C, __nv_bfloat16* out_TC) {
  x.Store(out_TC + row * C, C);
}

template <typename S>
__device__ void StoreNormed(const Slice<S>& x, int64_t row, int C, const Fp8Rows& out) {
  StoreFp8(x, row, C, out);
}

template <typename S, typename Out>
__global__ void __launch_bounds__(S::kBlock, S::kBlocksAnSm)
    NormModulateRows(const __nv_bfloat16* x_TC, Out out, int64_t T, int C, ClassVectors classes,
                     NormModulation modulation) {
  const int64_t row = S::Row();
  if (row >= T) return;  // A warp as a whole.
  const __nv_bfloat16* vectors = VectorsOfRow(classes, row);
  Slice<S> x, scale, shift;
  scale.Load(vectors + modulation.scale_offset, C);
  shift.Load(vectors + modulation.shift_offset, C);
  AwaitPredecessor();
  x.Load(x_TC + row * C, C);
  NormModulateSlice(scale, shift, C, modulation.eps, &x);
  StoreNormed(x, row, C, out);
}

// branch_TC and out may be the same: a thread reads its share before it writes it.
template <typename S, typename Out>
__global__ void __launch_bounds__(S::kBlock, S::kBlocksAnSm)
    GateNormModulateRows(__nv_bfloat16* x_TC, const __nv_bfloat16* branch_TC, Out out, int64_t T,
                         int C, ClassVectors classes, int64_t gamma_offset,
                         NormModulation modulation) {
  const int64_t row = S::Row();
  if (row >= T) return;
  const __nv_bfloat16* vectors = VectorsOfRow(classes, row);
  Slice<S> x, branch, gamma, scale, shift;
  gamma.Load(vectors + gamma_offset, C);
  scale.Load(vectors + modulation.scale_offset, C);
  shift.Load(vectors + modulation.shift_offset, C);
  AwaitPredecessor();
  x.Load(x_TC + row * C, C);
  branch.Load(branch_TC + row * C, C);
  GateSlice(gamma, branch, &x);
  x.Store(x_TC + row * C, C);
  NormModulateSlice(scale, shift, C, modulation.eps, &x);
  StoreNormed(x, row, C, out);
}

bool Valid(int64_t T, int C, const ClassVectors& classes, const NormModulation& modulation) {
  return T >= 0 && T <= INT32_MAX && C > 0 && C <= kMaxRowNormC && C % kChunkElements == 0 &&
         Aligned(classes.vectors) && classes.class_stride % kChunkElements == 0 &&
         modulation.scale_offset % kChunkElements == 0 &&
         modulation.shift_offset % kChunkElements == 0;
}

template <typename Out>
cudaError_t LaunchNorm(const __nv_bfloat16* x_TC, const Out& out, int64_t T, int C,
                       const ClassVectors& classes, const NormModulation& modulation,
                       cudaStream_t stream) {
  if (T == 0) return cudaSuccess;
  if (!Valid(T, C, classes, modulation) || !Aligned(x_TC) || !Aligned(out)) {
    return cudaErrorInvalidValue;
  }
  return WithSplit(C, [&](auto split) {
    using S = decltype(split);
    return LaunchDependent(NormModulateRows<S, Out>, Blocks(split, T), S::kBlock, 0, stream, x_TC,
                           out, T, C, classes, modulation);
  });
}

template <typename Out>
cudaError_t LaunchGateNorm(__nv_bfloat16* x_TC, const __nv_bfloat16* branch_TC, const Out& out,
                           int64_t T, int C, const ClassVectors& classes, int64_t gamma_offset,
                           const NormModulation& modulation, cudaStream_t stream) {
  if (T == 0) return cudaSuccess;
  if (!Valid(T, C, classes, modulation) || gamma_offset % kChunkElements != 0 || !Aligned(x_TC) ||
      !Aligned(branch_TC) || !Aligned(out)) {
    return cudaErrorInvalidValue;
  }
  return WithSplit(C, [&](auto split) {
    using S = decltype(split);
    return LaunchDependent(GateNormModulateRows<S, Out>, Blocks(split, T), S::kBlock, 0, stream,
                           x_TC, branch_TC, out, T, C, classes, gamma_offset, modulation);
  });
}

}  // namespace

cudaError_t NormModulate(const __nv_bfloat16* x_TC, __nv_bfloat16* out_TC, int64_t T, int C,
                         const ClassVectors& classes, const NormModulation& modulation,
                         cudaStream_t stream) {
  return LaunchNorm(x_TC, out_TC, T, C, classes, modulation, stream);
}

cudaError_t NormModulate(const __nv_bfloat16* x_TC, const Fp8Rows& out, int64_t T, int C,
                         const ClassVectors& classes, const NormModulation& modulation,
                         cudaStream_t stream) {
  return LaunchNorm(x_TC, out, T, C, classes, modulation, stream);
}

cudaError_t GateNormModulate(__nv_bfloat16* x_TC, const __nv_bfloat16* branch_TC,
                             __nv_bfloat16* out_TC, int64_t T, int C, const ClassVectors& classes,
                             int64_t gamma_offset, const NormModulation& modulation,
                             cudaStream_t stream) {
  return LaunchGateNorm(x_TC, branch_TC, out_TC, T, C, classes, gamma_offset, modulation, stream);
}

cudaError_t GateNormModulate(__nv_bfloat16* x_TC, const __nv_bfloat16* branch_TC,
                             const Fp8Rows& out, int64_t T, int C, const ClassVectors& classes,
                             int64_t gamma_offset, const NormModulation& modulation,
                             cudaStream_t stream) {
  return LaunchGateNorm(x_TC, branch_TC, out, T, C, classes, gamma_offset, modulation, stream);
}

}  // namespace hmar::kernels
