#ifndef HMAR_KERNELS_ATTENTION_PRODUCTS_CUH_
#define HMAR_KERNELS_ATTENTION_PRODUCTS_CUH_

// The two matrix products of attention, 64 queries by 64 keys, in four warps: by wgmma for sm_90a,
// by mma.sync elsewhere. Either way a warp has 16 rows of each result, and a lane of these the rows
// lane / 4 + 8 r, columns 8 n + 2 (lane % 4) + c as element 4 n + 2 r + c (r, c: 0 or 1).

#include <cstdint>

#include "kernels/attention_tile.cuh"
#include "kernels/hopper_mma.cuh"

namespace hmar::kernels::attention {

inline constexpr int kElements = kTileRows / 2;  // Of a lane.

// Columns 16 group to 16 group + 15 of a result as the A operand of the next product.
__device__ inline void PackGroup(uint32_t (&a)[4], const float (&x)[kElements], int group) {
#pragma unroll
  for (int i = 0; i < 4; ++i) a[i] = PackBf16(x[8 * group + 2 * i], x[8 * group + 2 * i + 1]);
}

// sum += weights (16, 16) ones: a row's sum ends up in all its lanes and columns. Adding what the
// product with v sees, rounded to bf16, makes the result a mean of v exactly, and it takes a
// quarter of the instructions of adding floats.
__device__ inline void AddWeights(float (&sum)[4], const uint32_t (&a)[4]) {
  constexpr uint32_t kOnes = 0x3F803F80;
  MultiplyAdd(sum, a, kOnes, kOnes);
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

// All four warps must call the products, also those that have no queries.
inline constexpr bool kWarpsTogether = true;

// What cp.async wrote, for wgmma to read. Between the writing thread's wait and the barrier.
__device__ inline void FenceCopies() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

#define HMAR_ACC8(i)                                                                  \
  "+f"(d[i]), "+f"(d[(i) + 1]), "+f"(d[(i) + 2]), "+f"(d[(i) + 3]), "+f"(d[(i) + 4]), \
      "+f"(d[(i) + 5]), "+f"(d[(i) + 6]), "+f"(d[(i) + 7])
#define HMAR_ACC32 HMAR_ACC8(0), HMAR_ACC8(8), HMAR_ACC8(16), HMAR_ACC8(24)
#define HMAR_WGMMA                                                                         \
  "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "                                  \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, " \
  "%19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "

// d (64, 64) = a (64, 16) b (64, 16) transposed, added to what d had if kAdd; both in shared
// memory.
template <bool kAdd>
__device__ inline void MultiplyRows(float (&d)[kElements], uint64_t a, uint64_t b) {
  asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, %34, 0;\n" HMAR_WGMMA
               "%32, %33, add, 1, 1, 0, 0;\n}\n"
               : HMAR_ACC32
               : "l"(a), "l"(b), "n"(static_cast<int>(kAdd)));
}

// d (64, 64) += a (64, 16), in registers, times b (16, 64), its rows in shared memory.
__device__ inline void MultiplyAddColumns(float (&d)[kElements], const uint32_t (&a)[4],
                                          uint64_t b) {
  asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, 1, 0;\n" HMAR_WGMMA
               "{%32, %33, %34, %35}, %36, add, 1, 1, 1;\n}\n"
               : HMAR_ACC32
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

#undef HMAR_WGMMA
#undef HMAR_ACC32
#undef HMAR_ACC8

// Starts logits = q k^T. Rows that were not copied give elements that nobody uses.
__device__ inline void BeginDot(float (&logits)[kElements], const Tile& q, const Tile& k) {
  const uint64_t a = MatrixDescriptor(SharedAddress(&q));
  const uint64_t b = MatrixDescriptor(SharedAddress(&k));
  MmaFence();
  MultiplyRows<false>(logits, a, b);
#pragma unroll
  for (int step = 1; step < D / 16; ++step) {
    MultiplyRows<true>(logits, a + step * kStepK16, b + step * kStepK16);
  }
  MmaCommit();
}

__device__ inline void FinishDot(float (&logits)[kElements]) {
  MmaWait<0>();
  PinAccumulators(logits);
}

// out += weights v and sum += weights, over groups of 16 keys. Of v, columns are the product's N:
// in the descriptor, too, groups of 8 keys lie 1,024 bytes apart, and one swizzled row holds all of
// N.
template <int kGroups>
__device__ inline void Gather(float (&out)[kElements], float (&sum)[4],
                              const float (&weights)[kElements], const Tile& v) {
  uint32_t a[kGroups][4];
#pragma unroll
  for (int group = 0; group < kGroups; ++group) {
    PackGroup(a[group], weights, group);
    AddWeights(sum, a[group]);
  }
  const uint64_t b = MatrixDescriptor(SharedAddress(&v));
  MmaFence();
#pragma unroll
  for (int group = 0; group < kGroups; ++group) {
    MultiplyAddColumns(out, a[group], b + group * (kGroupBytes / 16));
  }
  MmaCommit();
  MmaWait<0>();
  PinAccumulators(out);
}

#else

inline constexpr bool kWarpsTogether = false;

__device__ inline void FenceCopies() {}

// logits = q k^T. Queries come from shared memory for every tile of keys: kept in registers they
// would cost a block an SM.
__device__ inline void BeginDot(float (&logits)[kElements], const Tile& q, const Tile& k) {
  const uint32_t q_address = RowsFirstAddress(q) + threadIdx.x / 32 * kGroupBytes;
  const uint32_t k_address = ChunksFirstAddress(k);
#pragma unroll
  for (float& x : logits) x = 0;
#pragma unroll
  for (int step = 0; step < D / 16; ++step) {
    uint32_t queries[4];
    LoadMatrices(queries, q_address ^ StepBits(step));
#pragma unroll
    for (int group = 0; group < kTileRows / kGroupRows; ++group) {
      uint32_t keys[4];
      LoadMatrices(keys, (k_address ^ StepBits(step)) + group * kGroupBytes);
      MultiplyAdd(logits + 8 * group, queries, keys[0], keys[1]);
      MultiplyAdd(logits + 8 * group + 4, queries, keys[2], keys[3]);
    }
  }
}

__device__ inline void FinishDot(float (&)[kElements]) {}

// out += weights v and sum += weights, over groups of 16 keys.
template <int kGroups>
__device__ inline void Gather(float (&out)[kElements], float (&sum)[4],
                              const float (&weights)[kElements], const Tile& v) {
  const uint32_t address = RowsFirstAddress(v);
#pragma unroll
  for (int group = 0; group < kGroups; ++group) {
    uint32_t a[4];
    PackGroup(a, weights, group);
    AddWeights(sum, a);
#pragma unroll
    for (int step = 0; step < D / 16; ++step) {
      uint32_t values[4];
      LoadMatricesTransposed(values, (address ^ StepBits(step)) + group * kGroupBytes);
      MultiplyAdd(out + 8 * step, a, values[0], values[1]);
      MultiplyAdd(out + 8 * step + 4, a, values[2], values[3]);
    }
  }
}

#endif  // __CUDA_ARCH_FEAT_SM90_ALL

// Until all but the latest kPending groups of copies are there, every thread's, and nobody reads
// what was there before.
template <int kPending>
__device__ inline void AwaitCopies() {
  WaitCopies<kPending>();
  FenceCopies();
  __syncthreads();
}

}  // namespace hmar::kernels::attention

#endif  // HMAR_KERNELS_ATTENTION_PRODUCTS_CUH_
