#ifndef HMAR_KERNELS_BLOCK_KEYS_CUH_
#define HMAR_KERNELS_BLOCK_KEYS_CUH_

// A row of keys, spread over the threads of a block.

#include <cstdint>

namespace hmar::kernels {

// Weights are fixed-point fractions of the largest. Shared memory adds 32-bit integers natively and
// 64-bit ones only by compare and swap, so a bin's sum is kept in pieces of so few bits that
// kCapacity of them cannot overflow.
template <int kThreads_, int kItems_, bool kInRegisters_>
struct BlockShape {
  static constexpr int kThreads = kThreads_;
  static constexpr int kItems = kItems_;  // A thread's, at most.
  static constexpr bool kInRegisters = kInRegisters_;
  static constexpr int kUnroll = kInRegisters ? kItems : 4;
  static constexpr int kWarps = kThreads / 32;
  static constexpr int kCapacity = kThreads * kItems;
  static constexpr int kPieces = kCapacity <= 4096 ? 2 : 3;
  static constexpr int kPieceBits = kCapacity <= 4096 ? 20 : 16;
  static constexpr int kFractionBits = kPieces * kPieceBits - 1;  // 1 itself needs one more.
  static_assert((int64_t{kCapacity} << kPieceBits) <= int64_t{1} << 32);
  static_assert(kCapacity <= 256 * 128, "FindIndex has a bin for every 128 elements");
};

// Index in the row of a thread's item: thread t holds quads of four neighbours, item 4 q + i being
// element (q * kThreads + t) * 4 + i.
template <typename Shape>
__device__ __forceinline__ int IndexOf(int item) {
  return (item / 4 * Shape::kThreads + static_cast<int>(threadIdx.x)) * 4 + item % 4;
}

// A thread's keys. 0: no element, or one that was removed.
template <typename Shape, bool kInRegisters = Shape::kInRegisters>
class Keys {
 public:
  __device__ __forceinline__ explicit Keys(int /*V*/) {}

  static constexpr __device__ __forceinline__ int items() { return Shape::kItems; }
  __device__ __forceinline__ uint32_t& operator[](int item) { return keys_[item]; }
  __device__ __forceinline__ void CopyQuad(int quad, uint32_t (&keys)[4]) const {
#pragma unroll
    for (int item = 0; item < Shape::kItems; ++item) {  // Registers have no index.
      if (item / 4 == quad) keys[item % 4] = keys_[item];
    }
  }

 private:
  uint32_t keys_[Shape::kItems];
};

// In the launch's dynamic shared memory: Bytes(V) of it.
template <typename Shape>
class Keys<Shape, false> {
 public:
  static int Bytes(int V) { return ItemsFor(V) * Shape::kThreads * sizeof(uint32_t); }

  __device__ __forceinline__ explicit Keys(int V) : items_(ItemsFor(V)) {
    extern __shared__ uint32_t dynamic_shared_memory[];
    keys_ = dynamic_shared_memory + threadIdx.x;
  }

  __device__ __forceinline__ int items() const { return items_; }
  __device__ __forceinline__ uint32_t& operator[](int item) {
    return keys_[item * Shape::kThreads];
  }
  __device__ __forceinline__ void CopyQuad(int quad, uint32_t (&keys)[4]) const {
#pragma unroll
    for (int i = 0; i < 4; ++i) keys[i] = keys_[(4 * quad + i) * Shape::kThreads];
  }

 private:
  static __host__ __device__ constexpr int ItemsFor(int V) {
    return (V + 4 * Shape::kThreads - 1) / (4 * Shape::kThreads) * 4;
  }

  int items_;
  uint32_t* keys_;
};

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_BLOCK_KEYS_CUH_
