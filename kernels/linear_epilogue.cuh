#ifndef HMAR_KERNELS_LINEAR_EPILOGUE_CUH_
#define HMAR_KERNELS_LINEAR_EPILOGUE_CUH_

// What becomes of a linear layer's sum: the same arithmetic, element by element, in every kernel.

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/linear.h"

namespace hmar::kernels {

__host__ __device__ constexpr int CeilDivide(int a, int b) { return (a + b - 1) / b; }

struct LinearOutput {
  const void* bias;
  __nv_bfloat16* out;  // Or null, and out_fp32 instead.
  float* out_fp32;
  int T, N;
  bool gelu;
};

inline LinearOutput OutputOf(const LinearArgs& args) {
  return {.bias = args.bias_N,
          .out = args.out_TN,
          .out_fp32 = args.out_fp32_TN,
          .T = args.T,
          .N = args.N,
          .gelu = args.epilogue == LinearEpilogue::kBiasGelu};
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

// x / 2 (1 + tanh u) = x / (1 + exp(-2 u)), u = sqrt(2 / pi) (x + 0.044715 x^3): without the
// difference 1 + tanh u, that tanh.approx's error of 2^-11 would leave nothing of where u is
// negative (1 % of the result at x = -2). Here the exponent's rounding (2^-22 of it, and it is
// below 32 where the result counts) is most of a relative error below 2^-17; bf16 rounds by 2^-9.
// Beyond, exp overflows to infinity and the result is -0.
__device__ inline float Gelu(float x) {
  constexpr float kLinear = -2.3022082f;  // -2 sqrt(2 / pi) log2(e)
  constexpr float kCubic = -0.10294324f;  // 0.044715 times that.
  float power, inverse;
  const float exponent = x * fmaf(kCubic, x * x, kLinear);
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(exponent));
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(1 + power));
  return x * inverse;
}

template <bool kGelu>
__device__ inline float Finish(float sum, float bias) {
  const float value = sum + bias;
  return kGelu ? Gelu(value) : value;
}

// The bias has the output's type.
__device__ inline float BiasAt(const LinearOutput& output, int channel) {
  if (output.out_fp32 != nullptr) return static_cast<const float*>(output.bias)[channel];
  return __bfloat162float(static_cast<const __nv_bfloat16*>(output.bias)[channel]);
}

__device__ inline uint32_t PackBf16(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&pair);
}

// f is called with the constants that `output` asks for: (gelu, fp32).
template <typename F>
__device__ inline void WithEpilogue(const LinearOutput& output, const F& f) {
  if (output.out_fp32 != nullptr) {
    output.gelu ? f.template operator()<true, true>() : f.template operator()<false, true>();
  } else {
    output.gelu ? f.template operator()<true, false>() : f.template operator()<false, false>();
  }
}

#endif  // __CUDA_ARCH_FEAT_SM90_ALL

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_LINEAR_EPILOGUE_CUH_
