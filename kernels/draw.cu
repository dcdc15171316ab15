#include "kernels/draw.h"

#include <cstdint>

#include "kernels/block_search.cuh"
#include "kernels/dependent_launch.cuh"
#include "kernels/ordered_key.cuh"
#include "kernels/pack_row.cuh"
#include "kernels/philox.cuh"

namespace hmar::kernels {
namespace {

// A row of up to 4,096 logits by few threads where tokens fill the device, by many where they do
// not and the time is that of one. Sums are exact: both draw the same.
using SmallShape = BlockShape<256, 16, /*kInRegisters=*/true>;
using WideShape = BlockShape<512, 8, /*kInRegisters=*/true>;
static_assert(WideShape::kCapacity == SmallShape::kCapacity);
static_assert(WideShape::kFractionBits == SmallShape::kFractionBits);
constexpr int kMostWideTokens = 264;  // Two blocks an SM of an H200.
using LargeShape = BlockShape<1024, 32, /*kInRegisters=*/false>;
static_assert(LargeShape::kCapacity == kMaxDrawV);

struct Launch {
  const float* logits;
  int V;
  const DrawImage* images;
  const int32_t* image_of_token;
  Grids grids;
  DrawState state;
};

// Zeros beyond the row. A row is read once: streaming loads leave the L2 to others.
template <bool kAligned>
__device__ __forceinline__ float4 LoadQuad(const float* row, int first, int V) {
  float4 quad = {0, 0, 0, 0};
  if constexpr (kAligned) {
    if (first < V) quad = __ldcs(reinterpret_cast<const float4*>(row + first));
  } else {
    if (first < V) quad.x = __ldcs(row + first);
    if (first + 1 < V) quad.y = __ldcs(row + first + 1);
    if (first + 2 < V) quad.z = __ldcs(row + first + 2);
    if (first + 3 < V) quad.w = __ldcs(row + first + 3);
  }
  return quad;
}

// Rounded as model/sampler.h's Guide rounds: no fused multiply-add. t = 0 returns c.
__device__ __forceinline__ float Guided(float keep, float c, float t, float u) {
  return __fsub_rn(__fmul_rn(keep, c), __fmul_rn(t, u));
}

// The bits of the token's guided logits; false if one is not finite. An unguided row is a guided
// one with t = 0 and no loads, so that all loads stand in one straight line and are in flight
// together.
template <typename Shape, bool kAligned>
__device__ __forceinline__ bool LoadLogits(const Launch& launch, const DrawImage& image,
                                           int position, Keys<Shape>& logits) {
  const int V = launch.V;
  const bool guided = image.first_uncond_row >= 0;
  const float t = guided ? image.guidance : 0.0f;
  const float keep = __fadd_rn(1.0f, t);
  const float* const cond = launch.logits + (image.first_row + position) * V;
  const float* const uncond =
      launch.logits + ((guided ? image.first_uncond_row : image.first_row) + position) * V;
  bool finite = true;
#pragma unroll(Shape::kUnroll / 4)
  for (int item = 0; item < logits.items(); item += 4) {
    const int first = IndexOf<Shape>(item);
    const float4 c = LoadQuad<kAligned>(cond, first, V);
    const float4 u = LoadQuad<kAligned>(uncond, first, guided ? V : 0);
    const float logit[4] = {Guided(keep, c.x, t, u.x), Guided(keep, c.y, t, u.y),
                            Guided(keep, c.z, t, u.z), Guided(keep, c.w, t, u.w)};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      finite &= static_cast<bool>(isfinite(logit[i]));
      logits[item + i] = __float_as_uint(logit[i]);
    }
  }
  return finite;
}

// Turns logits into keys of logit / temperature and returns their range. One that the division
// takes to minus infinity has no probability and is left out, as is what lies beyond the row.
template <typename Shape>
__device__ __forceinline__ KeyRange MakeKeys(float temperature, int V, Keys<Shape>& keys) {
  KeyRange range = KeyRange::Empty();
#pragma unroll(Shape::kUnroll)
  for (int item = 0; item < keys.items(); ++item) {
    float logit = __uint_as_float(keys[item]);
    if (temperature != 1.0f) logit = __fdiv_rn(logit, temperature);
    const uint32_t key = OrderedKey(logit);
    keys[item] = IndexOf<Shape>(item) < V && key > kMinusInfinityKey ? key : 0;
    range.Take(keys[item]);
  }
  return range;
}

// exp(logit - largest) as a fixed-point fraction.
template <typename Shape>
__device__ __forceinline__ uint64_t Weight(uint32_t key, float largest) {
  if (key == 0) return 0;
  constexpr float kOne = uint64_t{1} << Shape::kFractionBits;
  return __float2ull_rn(expf(KeyValue(key) - largest) * kOne);
}

// Removes every key below the k-th largest.
template <typename Shape>
__device__ __forceinline__ void KeepTopK(SearchMemory<Shape>& memory, uint32_t k, float largest,
                                         Keys<Shape>& keys) {
  const KeyBoundary kth = FindKey(
      memory, keys, largest, [&](uint32_t bin, uint32_t) { atomicAdd(&memory.bins[0][bin], 1u); },
      [k](uint64_t total) { return total > k ? total - k : 0; });
#pragma unroll(Shape::kUnroll)
  for (int item = 0; item < keys.items(); ++item) {
    if (keys[item] < kth.key) keys[item] = 0;
  }
}

// Of `drop_mass` of the total as much as an fp32 comparison grants: DrawToken rounds a sum of
// probabilities to fp32 before it compares. Always less than the total, so that the largest stays.
__device__ __forceinline__ uint64_t DropLimit(float drop_mass, uint64_t total) {
  const float next = __uint_as_float(__float_as_uint(drop_mass) + 1);
  const double most = 0.5 * (static_cast<double>(drop_mass) + static_cast<double>(next));
  return min(static_cast<uint64_t>(most * static_cast<double>(total)), total - 1);
}

// Removes keys, ascending and equal ones by index, while the weight of all up to and including each
// is at most drop_mass of the total.
template <typename Shape>
__device__ __forceinline__ void KeepTopP(SearchMemory<Shape>& memory, float drop_mass,
                                         float largest, Keys<Shape>& keys) {
  __shared__ int first_kept;
  const KeyBoundary lowest = FindKey(
      memory, keys, largest,
      [&](uint32_t bin, uint32_t key) { AddToBin(memory, bin, Weight<Shape>(key, largest)); },
      [drop_mass](uint64_t total) { return DropLimit(drop_mass, total); });
  const uint64_t equal_removed = lowest.excess / Weight<Shape>(lowest.key, largest);
  int first = 0;
  if (equal_removed > 0) {
    FindIndex(
        memory, keys, [&](uint32_t key) { return uint64_t{key == lowest.key}; },
        [equal_removed](uint64_t) { return equal_removed; },
        [&](int index, uint32_t, uint64_t) { first_kept = index; });
    __syncthreads();
    first = first_kept;
  }
#pragma unroll(Shape::kUnroll)
  for (int item = 0; item < keys.items(); ++item) {
    const uint32_t key = keys[item];
    if (key < lowest.key || (key == lowest.key && IndexOf<Shape>(item) < first)) keys[item] = 0;
  }
}

// uniform_bits / 2^24 of the total, rounded down: an integer sum exceeds the one exactly if it
// exceeds the other.
__device__ __forceinline__ uint64_t DrawLimit(uint32_t uniform_bits, uint64_t total) {
  return __umul64hi(uniform_bits, total) << 40 | uniform_bits * total >> 24;
}

// One token's draw: where it stands and what it must know.
struct Token {
  const Launch& launch;
  const DrawImage& image;  // Read again where used, which saves registers.
  int position;
  float largest;
};

// Top-p and the draw. index_of(i): where element i of the keys stands in the row.
template <typename Shape, typename IndexInRow>
__device__ __forceinline__ void Finish(SearchMemory<Shape>& memory, const Token& token,
                                       Keys<Shape>& keys, const IndexInRow& index_of) {
  const DrawImage& image = token.image;
  const float largest = token.largest;
  if (image.drop_mass >= 0) KeepTopP(memory, image.drop_mass, largest, keys);
  const uint32_t uniform_bits =
      TokenUniformBits(image.seed, token.position, image.scale, image.step);
  FindIndex(
      memory, keys, [&](uint32_t key) { return Weight<Shape>(key, largest); },
      [&](uint64_t total) { return DrawLimit(uniform_bits, total); },
      [&](int i, uint32_t key, uint64_t total) {
        constexpr float kUnit = 1.0f / (uint64_t{1} << Shape::kFractionBits);
        const Grids& grids = token.launch.grids;
        const DrawState& state = token.launch.state;
        const int64_t slot = image.slot;
        state.tokens_L[slot * state.L + grids.first[image.scale] + token.position] = index_of(i);
        state.confidence[slot * grids.most_tokens + token.position] =
            expf(KeyValue(key) - largest) / (__ull2float_rn(total) * kUnit);
      });
}

template <typename Shape, bool kAligned>
__global__ void __launch_bounds__(Shape::kThreads, 1024 / Shape::kThreads)
    DrawKernel(const Launch launch) {
  __shared__ SearchMemory<Shape> memory;
  const int image_index = launch.image_of_token[blockIdx.x];
  const DrawImage& image = launch.images[image_index];
  const DrawState& state = launch.state;
  const int position = static_cast<int>(blockIdx.x) - image.first_token;
  AwaitPredecessor();
  if (image.open != nullptr && image.open[position] == 0) return;

  ClearBins(memory);
  Keys<Shape> keys(launch.V);
  const bool finite = LoadLogits<Shape, kAligned>(launch, image, position, keys);
  KeyRange range = MakeKeys(image.temperature, launch.V, keys);
  if (!finite) range.Take(kInfinityKey);
  const uint32_t largest_key = BlockRange(memory, range).high;
  if (largest_key == 0 || largest_key >= kInfinityKey) {
    if (threadIdx.x == 0) state.failed[image_index] = 1;
    return;
  }

  const Token token = {launch, image, position, KeyValue(largest_key)};
  if (image.top_k > 0 && image.top_k < static_cast<uint32_t>(launch.V)) {
    KeepTopK(memory, image.top_k, token.largest, keys);
    if constexpr (Shape::kInRegisters && Shape::kItems > WideShape::kItems) {
      __shared__ PackedRow<Shape> packed;
      Keys<typename PackedRow<Shape>::Small> small(launch.V);
      if (Pack(keys, packed, small)) {
        Finish(packed.search, token, small, [](int i) { return packed.index[i]; });
        return;
      }
    }
  }
  Finish(memory, token, keys, [](int i) { return i; });
}

template <typename Shape, bool kAligned>
cudaError_t Start(const Launch& launch, int token_count, cudaStream_t stream) {
  int shared_bytes = 0;
  if constexpr (!Shape::kInRegisters) {
    shared_bytes = Keys<Shape>::Bytes(launch.V);
    // What needs no leave is left as it is; else leave for the most, so that threads that launch
    // different V do not take it from each other.
    if (shared_bytes > 32 << 10) {
      const cudaError_t error = cudaFuncSetAttribute(DrawKernel<Shape, kAligned>,
                                                     cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                     Keys<Shape>::Bytes(kMaxDrawV));
      if (error != cudaSuccess) return error;
    }
  }
  return LaunchDependent(DrawKernel<Shape, kAligned>, token_count, Shape::kThreads, shared_bytes,
                         stream, launch);
}

template <typename Shape>
cudaError_t StartShape(const Launch& launch, int token_count, cudaStream_t stream) {
  return launch.V % 4 == 0 ? Start<Shape, true>(launch, token_count, stream)
                           : Start<Shape, false>(launch, token_count, stream);
}

}  // namespace

cudaError_t DrawTokens(const float* logits, int V, const DrawImage* images,
                       const int32_t* image_of_token, int token_count, const Grids& grids,
                       const DrawState& state, cudaStream_t stream) {
  if (V < 1 || V > kMaxDrawV || token_count < 0) return cudaErrorInvalidValue;
  if (token_count == 0) return cudaSuccess;
  if (V % 4 == 0 && reinterpret_cast<uintptr_t>(logits) % 16 != 0) return cudaErrorInvalidValue;
  const Launch launch = {logits, V, images, image_of_token, grids, state};
  if (V > SmallShape::kCapacity) return StartShape<LargeShape>(launch, token_count, stream);
  if (token_count > kMostWideTokens) return StartShape<SmallShape>(launch, token_count, stream);
  return StartShape<WideShape>(launch, token_count, stream);
}

}  // namespace hmar::kernels
