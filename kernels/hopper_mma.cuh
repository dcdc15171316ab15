#ifndef HMAR_KERNELS_HOPPER_MMA_CUH_
#define HMAR_KERNELS_HOPPER_MMA_CUH_

// Hopper's asynchronous pieces, one function an instruction: barriers in shared memory, box copies
// by the tensor memory accelerator (TMA), and matrix products of a warpgroup (wgmma). Only for code
// compiled for sm_90a.

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstdint>

namespace hmar::kernels {

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

__device__ inline uint32_t SharedAddress(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

// ---- Barriers ----

__device__ inline void InitBarrier(uint64_t* barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(SharedAddress(barrier)),
               "r"(arrivals)
               : "memory");
}

// Makes initialised barriers visible to the TMA unit; before the __syncthreads that publishes them.
__device__ inline void FenceBarrierInit() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ inline void Arrive(uint64_t* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(SharedAddress(barrier)) : "memory");
}

// One arrival, and `bytes` more to come by copies.
__device__ inline void ArriveExpecting(uint64_t* barrier, uint32_t bytes) {
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(SharedAddress(barrier)),
      "r"(bytes)
      : "memory");
}

// Until the phase of this parity is complete. A fresh barrier counts as one whose phase of parity 1
// is.
__device__ inline void Wait(uint64_t* barrier, uint32_t parity) {
  const uint32_t address = SharedAddress(barrier);
  uint32_t complete;
  do {
    asm volatile(
        "{\n"
        ".reg .pred p;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
        "selp.u32 %0, 1, 0, p;\n"
        "}\n"
        : "=r"(complete)
        : "r"(address), "r"(parity)
        : "memory");
  } while (complete == 0);
}

// ---- Box copies: global -> shared, the bytes counted on `barrier`. Zeros where the box leaves the
// tensor; those count too. ----

__device__ inline void PrefetchTensorMap(const CUtensorMap* map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

__device__ inline void LoadBox(void* to, const CUtensorMap* map, uint64_t* barrier, int c0, int c1,
                               int c2) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes"
      " [%0], [%1, {%3, %4, %5}], [%2];" ::"r"(SharedAddress(to)),
      "l"(map), "r"(SharedAddress(barrier)), "r"(c0), "r"(c1), "r"(c2)
      : "memory");
}

__device__ inline void LoadBox(void* to, const CUtensorMap* map, uint64_t* barrier, int c0, int c1,
                               int c2, int c3) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes"
      " [%0], [%1, {%3, %4, %5, %6}], [%2];" ::"r"(SharedAddress(to)),
      "l"(map), "r"(SharedAddress(barrier)), "r"(c0), "r"(c1), "r"(c2), "r"(c3)
      : "memory");
}

// ---- Registers: a warpgroup gives up, or takes, registers of the thread block's. ----

template <int kRegisters>
__device__ inline void ShrinkRegisters() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

template <int kRegisters>
__device__ inline void GrowRegisters() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

// ---- Matrix products of a warpgroup ----

// A matrix in shared memory whose rows are 128 bytes (64 bf16), stored with the 128-byte swizzle,
// groups of 8 rows 1,024 bytes apart. `address`: of its first row, a multiple of 1,024. 16 columns
// further: + kStepK16.
inline constexpr uint64_t kStepK16 = 16 * 2 / 16;

__device__ inline uint64_t MatrixDescriptor(uint32_t address) {
  constexpr uint64_t kLeadingOffset = 1;  // Unused by swizzled layouts.
  constexpr uint64_t kGroupOffset = 1024 / 16;
  constexpr uint64_t kSwizzle128 = 1;
  return (address & 0x3FFFF) / 16 | kLeadingOffset << 16 | kGroupOffset << 32 | kSwizzle128 << 62;
}

// The first lane's `value`, for one that all lanes of the warp have: ptxas then derives descriptors
// in uniform registers. One by one in each lane, they take longer than the products of a small
// tile.
__device__ inline uint32_t OfWarp(uint32_t value) { return __shfl_sync(0xFFFFFFFF, value, 0); }

// Before a warpgroup's first product, and after its threads touched accumulators.
__device__ inline void MmaFence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }

__device__ inline void MmaCommit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

// Until at most `kPending` committed groups are under way.
template <int kPending>
__device__ inline void MmaWait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

// Keeps the compiler from reading accumulators before the wait that precedes this call.
template <int kCount>
__device__ inline void PinAccumulators(float (&d)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(d[i])::"memory");
}

// d (64 x N fp32: warp w has rows 16 w to 16 w + 15, as mma.sync's m16n8 fragments side by side)
//   += a (64 x 16) b (N x 16) transposed, of bf16, both in shared memory.
template <int N>
__device__ void Mma(float (&d)[N / 2], uint64_t a, uint64_t b);

// Operand lists: ten register names %t0 .. %t9; four accumulators from d[i].
#define HMAR_TEXT10(t)                                                                   \
  "%" #t "0, %" #t "1, %" #t "2, %" #t "3, %" #t "4, %" #t "5, %" #t "6, %" #t "7, %" #t \
  "8, "                                                                                  \
  "%" #t "9"
#define HMAR_ACC4(i) "+f"(d[i]), "+f"(d[(i) + 1]), "+f"(d[(i) + 2]), "+f"(d[(i) + 3])
#define HMAR_ACC8(i) HMAR_ACC4(i), HMAR_ACC4((i) + 4)
#define HMAR_ACC40(i) \
  HMAR_ACC8(i), HMAR_ACC8((i) + 8), HMAR_ACC8((i) + 16), HMAR_ACC8((i) + 24), HMAR_ACC8((i) + 32)
#define HMAR_MMA(n, registers, a_operand, b_operand, ...)                                    \
  asm volatile(                                                                              \
      "{\n.reg .pred accumulate;\nsetp.ne.b32 accumulate, 1, 0;\n"                           \
      "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32.bf16.bf16 {" registers "}, " a_operand \
      ", " b_operand ", accumulate, 1, 1, 0, 0;\n}\n"                                        \
      : __VA_ARGS__                                                                          \
      : "l"(a), "l"(b))

template <>
__device__ inline void Mma<160>(float (&d)[80], uint64_t a, uint64_t b) {
  HMAR_MMA(160,
           HMAR_TEXT10() ", " HMAR_TEXT10(1) ", " HMAR_TEXT10(2) ", " HMAR_TEXT10(
               3) ", " HMAR_TEXT10(4) ", " HMAR_TEXT10(5) ", " HMAR_TEXT10(6) ", " HMAR_TEXT10(7),
           "%80", "%81", HMAR_ACC40(0), HMAR_ACC40(40));
}

template <>
__device__ inline void Mma<80>(float (&d)[40], uint64_t a, uint64_t b) {
  HMAR_MMA(80, HMAR_TEXT10() ", " HMAR_TEXT10(1) ", " HMAR_TEXT10(2) ", " HMAR_TEXT10(3), "%40",
           "%41", HMAR_ACC40(0));
}

template <>
__device__ inline void Mma<64>(float (&d)[32], uint64_t a, uint64_t b) {
  HMAR_MMA(64, HMAR_TEXT10() ", " HMAR_TEXT10(1) ", " HMAR_TEXT10(2) ", %30, %31", "%32", "%33",
           HMAR_ACC8(0), HMAR_ACC8(8), HMAR_ACC8(16), HMAR_ACC8(24));
}

template <>
__device__ inline void Mma<40>(float (&d)[20], uint64_t a, uint64_t b) {
  HMAR_MMA(40, HMAR_TEXT10() ", " HMAR_TEXT10(1), "%20", "%21", HMAR_ACC8(0), HMAR_ACC8(8),
           HMAR_ACC4(16));
}

template <>
__device__ inline void Mma<8>(float (&d)[4], uint64_t a, uint64_t b) {
  HMAR_MMA(8, "%0, %1, %2, %3", "%4", "%5", HMAR_ACC4(0));
}

#undef HMAR_MMA
#undef HMAR_ACC40
#undef HMAR_ACC8
#undef HMAR_ACC4
#undef HMAR_TEXT10

#endif  // __CUDA_ARCH_FEAT_SM90_ALL

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_HOPPER_MMA_CUH_
