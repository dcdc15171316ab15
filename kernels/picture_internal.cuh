#ifndef HMAR_KERNELS_PICTURE_INTERNAL_CUH_
#define HMAR_KERNELS_PICTURE_INTERNAL_CUH_

// What the kernels behind picture.h share: checks of arguments, and bytes of pixels.

#include "kernels/picture.h"

namespace hmar::kernels {

inline int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

inline bool Aligned(const void* pointer, uintptr_t bytes) {
  return reinterpret_cast<uintptr_t>(pointer) % bytes == 0;
}

// Grids here are one-dimensional: up to 2^31 - 1 blocks.
inline bool FitsGrid(int64_t blocks) { return blocks <= INT32_MAX; }

// floor(255 (x + 1) / 2 + 0.5), each operation rounded by itself: a fused multiply-add would round
// once and give another byte here and there. fmaxf drops a NaN.
__device__ inline uint32_t ByteOf(float x) {
  const float clamped = fminf(fmaxf(x, -1.0f), 1.0f);
  const float half = __fmul_rn(__fadd_rn(clamped, 1.0f), 0.5f);
  return static_cast<uint32_t>(__fadd_rn(__fmul_rn(half, 255.0f), 0.5f));
}

__device__ inline uint32_t PackBytes(const float (&x)[4]) {
  return ByteOf(x[0]) | ByteOf(x[1]) << 8 | ByteOf(x[2]) << 16 | ByteOf(x[3]) << 24;
}

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_PICTURE_INTERNAL_CUH_
