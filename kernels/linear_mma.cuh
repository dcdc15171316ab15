#ifndef HMAR_KERNELS_LINEAR_MMA_CUH_
#define HMAR_KERNELS_LINEAR_MMA_CUH_

// More widths of Mma (hopper_mma.cuh): those of the linear layer's tiles.

#include "kernels/hopper_mma.cuh"

namespace hmar::kernels {

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

// Operand lists: register names %t0 to %t7, or to %t9; accumulators from d[i].
#define HMAR_NAMES8(t) \
  "%" #t "0, %" #t "1, %" #t "2, %" #t "3, %" #t "4, %" #t "5, %" #t "6, %" #t "7"
#define HMAR_NAMES10(t) HMAR_NAMES8(t) ", %" #t "8, %" #t "9, "
#define HMAR_SUMS4(i) "+f"(d[i]), "+f"(d[(i) + 1]), "+f"(d[(i) + 2]), "+f"(d[(i) + 3])
#define HMAR_SUMS8(i) HMAR_SUMS4(i), HMAR_SUMS4((i) + 4)
#define HMAR_SUMS16(i) HMAR_SUMS8(i), HMAR_SUMS8((i) + 8)
#define HMAR_SUMS32(i) HMAR_SUMS16(i), HMAR_SUMS16((i) + 16)
#define HMAR_SUMS64(i) HMAR_SUMS32(i), HMAR_SUMS32((i) + 32)
#define HMAR_MMA(n, names, a_operand, b_operand, ...)                                      \
  template <>                                                                              \
  __device__ inline void Mma<n>(float(&d)[n / 2], uint64_t a, uint64_t b) {                \
    asm volatile(                                                                          \
        "{\n.reg .pred accumulate;\nsetp.ne.b32 accumulate, 1, 0;\n"                       \
        "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32.bf16.bf16 {" names "}, " a_operand \
        ", " b_operand ", accumulate, 1, 1, 0, 0;\n}\n"                                    \
        : __VA_ARGS__                                                                      \
        : "l"(a), "l"(b));                                                                 \
  }

HMAR_MMA(16, HMAR_NAMES8(), "%8", "%9", HMAR_SUMS8(0))
HMAR_MMA(24, HMAR_NAMES10() "%10, %11", "%12", "%13", HMAR_SUMS8(0), HMAR_SUMS4(8))
HMAR_MMA(32, HMAR_NAMES10() "%10, %11, %12, %13, %14, %15", "%16", "%17", HMAR_SUMS16(0))
HMAR_MMA(48, HMAR_NAMES10() HMAR_NAMES10(1) "%20, %21, %22, %23", "%24", "%25", HMAR_SUMS16(0),
         HMAR_SUMS8(16))
HMAR_MMA(96, HMAR_NAMES10() HMAR_NAMES10(1) HMAR_NAMES10(2) HMAR_NAMES10(3) HMAR_NAMES8(4), "%48",
         "%49", HMAR_SUMS32(0), HMAR_SUMS16(32))
HMAR_MMA(128,
         HMAR_NAMES10() HMAR_NAMES10(1) HMAR_NAMES10(2) HMAR_NAMES10(3) HMAR_NAMES10(4)
             HMAR_NAMES10(5) "%60, %61, %62, %63",
         "%64", "%65", HMAR_SUMS64(0))
HMAR_MMA(192,
         HMAR_NAMES10() HMAR_NAMES10(1) HMAR_NAMES10(2) HMAR_NAMES10(3) HMAR_NAMES10(4)
             HMAR_NAMES10(5) HMAR_NAMES10(6) HMAR_NAMES10(7)
                 HMAR_NAMES10(8) "%90, %91, %92, %93, %94, %95",
         "%96", "%97", HMAR_SUMS64(0), HMAR_SUMS32(64))
HMAR_MMA(256,
         HMAR_NAMES10() HMAR_NAMES10(1) HMAR_NAMES10(2) HMAR_NAMES10(3) HMAR_NAMES10(4)
             HMAR_NAMES10(5) HMAR_NAMES10(6) HMAR_NAMES10(7) HMAR_NAMES10(8) HMAR_NAMES10(9)
                 HMAR_NAMES10(10) HMAR_NAMES10(11) HMAR_NAMES8(12),
         "%128", "%129", HMAR_SUMS64(0), HMAR_SUMS64(64))

#undef HMAR_MMA
#undef HMAR_SUMS64
#undef HMAR_SUMS32
#undef HMAR_SUMS16
#undef HMAR_SUMS8
#undef HMAR_SUMS4
#undef HMAR_NAMES10
#undef HMAR_NAMES8

#endif  // __CUDA_ARCH_FEAT_SM90_ALL

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_LINEAR_MMA_CUH_
