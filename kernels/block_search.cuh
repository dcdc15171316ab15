#ifndef HMAR_KERNELS_BLOCK_SEARCH_CUH_
#define HMAR_KERNELS_BLOCK_SEARCH_CUH_

// Weighted searches of one block over the keys that its threads hold. Every question a draw asks is
// the same: along some order, where does a running sum of integer weights first exceed a limit?
//   ascending by key, weights 1:     the boundary of top-k   (FindKey)
//   ascending by key, probabilities: the boundary of top-p   (FindKey)
//   by index, probabilities:         the inverse CDF         (FindIndex)
// Sums are exact, so their order, and with it the schedule of atomics, cannot change an answer.

#include <cstdint>

#include "kernels/block_keys.cuh"
#include "kernels/ordered_key.cuh"

namespace hmar::kernels {

inline constexpr int kBins = 256;

struct Pick {
  uint32_t bin;
  uint64_t below;  // Sum of the bins before it: below <= limit < below + its own.
  uint64_t limit;
  uint64_t total;
};

struct KeyRange {
  uint32_t low;  // Both inclusive.
  uint32_t high;

  static __device__ __forceinline__ KeyRange Empty() { return {0xFFFFFFFF, 0}; }
  __device__ __forceinline__ void Take(uint32_t key) {
    low = min(low, key);
    high = max(high, key);
  }
  __device__ __forceinline__ bool Holds(uint32_t key) const { return low <= key && key <= high; }
};

template <typename Shape>
struct SearchMemory {
  alignas(16) uint32_t bins[Shape::kPieces][kBins];  // Zero between searches.
  Pick pick;
  KeyRange range[Shape::kWarps];
};

template <typename Shape>
__device__ __forceinline__ void ClearBins(SearchMemory<Shape>& memory) {
  for (int i = threadIdx.x; i < Shape::kPieces * kBins; i += Shape::kThreads) {
    memory.bins[i / kBins][i % kBins] = 0;
  }
}

template <typename Shape>
__device__ __forceinline__ uint32_t Piece(uint64_t weight, int piece) {
  const uint32_t shifted = static_cast<uint32_t>(weight >> (piece * Shape::kPieceBits));
  return piece + 1 == Shape::kPieces ? shifted : shifted & ((1u << Shape::kPieceBits) - 1);
}

template <typename Shape>
__device__ __forceinline__ void AddToBin(SearchMemory<Shape>& memory, uint32_t bin,
                                         uint64_t weight) {
#pragma unroll
  for (int p = 0; p < Shape::kPieces; ++p) {
    const uint32_t piece = Piece<Shape>(weight, p);
    if (piece != 0) atomicAdd(&memory.bins[p][bin], piece);
  }
}

template <typename T>
__device__ __forceinline__ T WarpInclusiveSum(T x) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int step = 1; step < 32; step *= 2) {
    const T before = __shfl_up_sync(0xFFFFFFFF, x, step);
    if (lane >= step) x += before;
  }
  return x;
}

// Four neighbouring bins, read at once.
struct FourBins {
  uint64_t weight[4] = {};

  template <typename Shape>
  __device__ __forceinline__ FourBins(const SearchMemory<Shape>& memory, uint32_t first) {
#pragma unroll
    for (int p = 0; p < Shape::kPieces; ++p) {
      const uint4 piece = *reinterpret_cast<const uint4*>(&memory.bins[p][first]);
      weight[0] += uint64_t{piece.x} << (p * Shape::kPieceBits);
      weight[1] += uint64_t{piece.y} << (p * Shape::kPieceBits);
      weight[2] += uint64_t{piece.z} << (p * Shape::kPieceBits);
      weight[3] += uint64_t{piece.w} << (p * Shape::kPieceBits);
    }
  }

  template <typename Shape>
  static __device__ __forceinline__ void Clear(SearchMemory<Shape>& memory, uint32_t first) {
#pragma unroll
    for (int p = 0; p < Shape::kPieces; ++p) {
      *reinterpret_cast<uint4*>(&memory.bins[p][first]) = uint4{0, 0, 0, 0};
    }
  }
};

// The bin in which the running sum first exceeds limit_of(total), which is less than the total.
// Waits for the block's additions before, and leaves the bins zero. Called by the whole block.
template <typename Shape, typename LimitOf>
__device__ __forceinline__ Pick PickBin(SearchMemory<Shape>& memory, const LimitOf& limit_of) {
  __syncthreads();
  if (threadIdx.x < 32) {
    constexpr int kOwn = kBins / 32;  // Bins a lane.
    const uint32_t first = threadIdx.x * kOwn;
    uint64_t sum = 0;
#pragma unroll
    for (int i = 0; i < kOwn; i += 4) {
      const FourBins four(memory, first + i);
      sum += four.weight[0] + four.weight[1] + four.weight[2] + four.weight[3];
    }
    const uint64_t inclusive = WarpInclusiveSum(sum);
    const uint64_t total = __shfl_sync(0xFFFFFFFF, inclusive, 31);
    const uint64_t limit = limit_of(total);
    uint64_t below = inclusive - sum;
#pragma unroll
    for (int i = 0; i < kOwn; i += 4) {
      const FourBins four(memory, first + i);
      FourBins::Clear(memory, first + i);
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const uint64_t through = below + four.weight[j];
        if (below <= limit && limit < through) memory.pick = {first + i + j, below, limit, total};
        below = through;
      }
    }
  }
  __syncthreads();
  return memory.pick;
}

// The union of the threads' ranges. A PickBin must lie between two calls.
template <typename Shape>
__device__ __forceinline__ KeyRange BlockRange(SearchMemory<Shape>& memory, KeyRange range) {
  range.low = __reduce_min_sync(0xFFFFFFFF, range.low);
  range.high = __reduce_max_sync(0xFFFFFFFF, range.high);
  if (threadIdx.x % 32 == 0) memory.range[threadIdx.x / 32] = range;
  __syncthreads();
  range = memory.range[threadIdx.x % Shape::kWarps];
  range.low = __reduce_min_sync(0xFFFFFFFF, range.low);
  range.high = __reduce_max_sync(0xFFFFFFFF, range.high);
  return range;
}

// Where logits spread, an eighth of a nat below the largest is one bin, which spreads a row over
// many; the bits of a float would put most of a row into a few. Rises with the key.
__device__ __forceinline__ uint32_t CoarseBin(uint32_t key, float largest) {
  return kBins - 1 - min(kBins - 1u, __float2uint_rz((largest - KeyValue(key)) * 8.0f));
}

struct KeyBoundary {
  uint32_t key;
  uint64_t excess;  // Limit less the weight of all smaller keys.
};

// The key at which the running sum, ascending by key, first exceeds the limit. A first round over
// coarse bins, then rounds over the exact range of keys left, until that is one key. add(bin, key)
// adds the key's weight to the bin.
template <typename Shape, typename Add, typename LimitOf>
__device__ __forceinline__ KeyBoundary FindKey(SearchMemory<Shape>& memory, Keys<Shape>& keys,
                                               float largest, const Add& add,
                                               const LimitOf& limit_of) {
#pragma unroll(Shape::kUnroll)
  for (int item = 0; item < keys.items(); ++item) {
    const uint32_t key = keys[item];
    if (key != 0) add(CoarseBin(key, largest), key);
  }
  const Pick coarse = PickBin(memory, limit_of);
  uint64_t excess = coarse.limit - coarse.below;
  KeyRange range = KeyRange::Empty();
#pragma unroll(Shape::kUnroll)
  for (int item = 0; item < keys.items(); ++item) {
    const uint32_t key = keys[item];
    if (key != 0 && CoarseBin(key, largest) == coarse.bin) range.Take(key);
  }
  range = BlockRange(memory, range);
  while (range.low != range.high) {
    const int shift = max(0, 24 - __clz(range.high - range.low));  // Leaves at most 8 bits.
#pragma unroll(Shape::kUnroll)
    for (int item = 0; item < keys.items(); ++item) {
      const uint32_t key = keys[item];
      if (range.Holds(key)) add((key - range.low) >> shift, key);
    }
    const Pick pick = PickBin(memory, [excess](uint64_t) { return excess; });
    excess -= pick.below;
    if (shift == 0) return {range.low + pick.bin, excess};
    KeyRange chosen;
    chosen.low = range.low + (pick.bin << shift);
    chosen.high = chosen.low + min((1u << shift) - 1, range.high - chosen.low);
    range = KeyRange::Empty();
#pragma unroll(Shape::kUnroll)
    for (int item = 0; item < keys.items(); ++item) {
      const uint32_t key = keys[item];
      if (chosen.Holds(key)) range.Take(key);
    }
    range = BlockRange(memory, range);
  }
  return {range.low, excess};
}

// The element at which the running sum, by index, first exceeds limit_of(total): its owner alone
// calls found(index, key, total).
template <typename Shape, typename WeightOf, typename LimitOf, typename Found>
__device__ __forceinline__ void FindIndex(SearchMemory<Shape>& memory, Keys<Shape>& keys,
                                          const WeightOf& weight_of, const LimitOf& limit_of,
                                          const Found& found) {
  const int warp = threadIdx.x / 32;
#pragma unroll(Shape::kUnroll / 4)
  for (int q = 0; q < keys.items() / 4; ++q) {
    uint64_t sum = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) sum += weight_of(keys[4 * q + i]);
#pragma unroll
    for (int p = 0; p < Shape::kPieces; ++p) {
      const uint32_t piece = __reduce_add_sync(0xFFFFFFFF, Piece<Shape>(sum, p));
      if (threadIdx.x % 32 == 0) memory.bins[p][q * Shape::kWarps + warp] = piece;
    }
  }
  const Pick pick = PickBin(memory, limit_of);
  if (static_cast<int>(pick.bin % Shape::kWarps) != warp) return;

  const int quad = pick.bin / Shape::kWarps;
  uint32_t key[4] = {};
  keys.CopyQuad(quad, key);
  uint64_t weight[4];
  uint64_t sum = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) sum += weight[i] = weight_of(key[i]);
  uint64_t below = pick.below + WarpInclusiveSum(sum) - sum;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const uint64_t through = below + weight[i];
    if (below <= pick.limit && pick.limit < through) {
      found(IndexOf<Shape>(4 * quad + i), key[i], pick.total);
    }
    below = through;
  }
}

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_BLOCK_SEARCH_CUH_
