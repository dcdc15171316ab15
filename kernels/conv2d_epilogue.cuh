#ifndef HMAR_KERNELS_CONV2D_EPILOGUE_CUH_
#define HMAR_KERNELS_CONV2D_EPILOGUE_CUH_

// What the Hopper convolution does with its sums: bias, residual, rounding, statistics, and the way
// to global memory. A warp's unit of work is an output row: 16 neighbouring pixels of one image x N
// channels, held as m16n8 fragments, N / 8 side by side: of fragment j, lane l holds channels 8 j +
// 2 (l % 4) and the next, of pixels l / 4 (first two values) and l / 4 + 8.

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/conv2d_partials.cuh"

namespace hmar::kernels {

struct Epilogue {
  const float* bias_O;
  const __nv_bfloat16* residual;  // As `out`; null: none.
  __nv_bfloat16* out;             // Or null, and out_fp32 instead.
  float* out_fp32;                // Only by tiles of kFp32Channels.
  float* partials;                // Conv2dArgs::partials; null: none, or not by this kernel.
  GroupWidth group_width;         // Of partials; divides N ...
  int tile_groups;                // ... into so many.
};

inline constexpr int kRowPixels = kChunkColumns;
inline constexpr int kFp32Channels = 8;

struct OutputRow {
  int64_t offset;        // Of the first pixel's first channel, in elements of the output.
  int64_t pixel_stride;  // From a pixel to the next, in elements.
  int pixels;            // Inside the image: none to 16.
  int first_channel;
  int channels;  // Inside O: 1 to N.
};

// A warp's scratch row in shared memory: N channels a pixel and 16 bytes more, which spreads the
// fragments' eight pixels over all banks.
template <int N>
struct StagedRow {
  static constexpr int kPitch = N + 8;
  __nv_bfloat16 values[kRowPixels * kPitch];
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

// A lane's k-th 16-byte chunk of a row: pixel and first channel. Four lanes share a pixel, so that
// a lane's chunks lie at constant distances.
template <int N>
struct Chunk {
  static constexpr int kPerLane = 2 * ((N / 8 + 3) / 4);

  __device__ Chunk(int lane, int k)
      : pixel(lane / 4 + k % 2 * 8), channel((lane % 4 + k / 2 * 4) * 8) {}

  __device__ bool Inside(const OutputRow& row) const {
    return pixel < row.pixels && channel < row.channels;
  }
  __device__ int StagedAt() const { return pixel * StagedRow<N>::kPitch + channel; }
  __device__ int64_t OutputAt(const OutputRow& row) const {
    return row.offset + pixel * row.pixel_stride + channel;
  }

  int pixel, channel;
};

// Starts copying the residual into the scratch row, long before FinishRow needs it.
template <int N>
__device__ inline void PrefetchResidual(const Epilogue& epilogue, const OutputRow& row,
                                        StagedRow<N>& staged, int lane) {
#pragma unroll
  for (int k = 0; k < Chunk<N>::kPerLane; ++k) {
    const Chunk<N> chunk(lane, k);
    if (!chunk.Inside(row)) continue;
    const auto to =
        static_cast<uint32_t>(__cvta_generic_to_shared(staged.values + chunk.StagedAt()));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to),
                 "l"(epilogue.residual + chunk.OutputAt(row))
                 : "memory");
  }
}

// The scratch row's part inside the output -> global memory. All reads before all writes, which the
// compiler could not tell apart.
template <int N>
__device__ inline void StoreStage(const Epilogue& epilogue, const OutputRow& row,
                                  const StagedRow<N>& staged, int lane) {
  uint4 values[Chunk<N>::kPerLane];
#pragma unroll
  for (int k = 0; k < Chunk<N>::kPerLane; ++k) {
    const Chunk<N> chunk(lane, k);
    if (chunk.channel >= N) continue;
    values[k] = *reinterpret_cast<const uint4*>(staged.values + chunk.StagedAt());
  }
#pragma unroll
  for (int k = 0; k < Chunk<N>::kPerLane; ++k) {
    const Chunk<N> chunk(lane, k);
    if (!chunk.Inside(row)) continue;
    *reinterpret_cast<uint4*>(epilogue.out + chunk.OutputAt(row)) = values[k];
  }
}

// Rounds sums + bias (+ the residual that lies in the scratch row) into the scratch row.
template <int N>
__device__ inline void RoundIntoStage(const float (&sums)[N / 2], const Epilogue& epilogue,
                                      const OutputRow& row, StagedRow<N>& staged, int lane) {
#pragma unroll
  for (int j = 0; j < N / 8; ++j) {
    const int channel = 8 * j + lane % 4 * 2;
    float2 bias = {};
    if (channel < row.channels) {
      bias = *reinterpret_cast<const float2*>(epilogue.bias_O + row.first_channel + channel);
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int pixel = lane / 4 + 8 * half;
      auto* pair =
          reinterpret_cast<__nv_bfloat162*>(staged.values + pixel * StagedRow<N>::kPitch + channel);
      float2 value = {sums[4 * j + 2 * half] + bias.x, sums[4 * j + 2 * half + 1] + bias.y};
      if (epilogue.residual != nullptr) {
        const float2 residual = __bfloat1622float2(*pair);
        value.x += residual.x, value.y += residual.y;
      }
      *pair = __float22bfloat162_rn(value);
    }
  }
}

// conv_out's few channels: straight from the registers.
template <int N>
__device__ inline void StoreFp32(const float (&sums)[N / 2], const Epilogue& epilogue,
                                 const OutputRow& row, int lane) {
#pragma unroll
  for (int i = 0; i < N / 2; ++i) {
    const int channel = i / 4 * 8 + lane % 4 * 2 + i % 2;
    const int pixel = lane / 4 + i % 4 / 2 * 8;
    if (pixel >= row.pixels || channel >= row.channels) continue;
    epilogue.out_fp32[row.offset + pixel * row.pixel_stride + channel] =
        sums[i] + epilogue.bias_O[row.first_channel + channel];
  }
}

// A row's statistics, by channel: a lane has every 32nd pair of channels.
template <int N>
struct RowMoments {
  static constexpr int kPairs = N / 2;
  static constexpr int kPerLane = (kPairs + 31) / 32;
  PairMoments of[kPerLane];

  __device__ void Take(const OutputRow& row, const StagedRow<N>& staged, int lane) {
    if (row.pixels == kRowPixels) {
      TakePairs<true>(kRowPixels, staged, lane);
    } else {
      TakePairs<false>(row.pixels, staged, lane);
    }
  }

  template <bool kWhole>
  __device__ void TakePairs(int pixels, const StagedRow<N>& staged, int lane) {
    const auto* words = reinterpret_cast<const uint32_t*>(staged.values);
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      const int pair = lane + 32 * i;
      if (pair >= kPairs) continue;
      of[i] = MomentsOfPair<kWhole>(words + pair, StagedRow<N>::kPitch / 2, pixels);
    }
  }

  // By way of the scratch row, whose values are gone by now: its groups', a lane each.
  __device__ Moments Merge(const OutputRow& row, const GroupWidth& width, StagedRow<N>& staged,
                           int lane) const {
    auto* const pairs = reinterpret_cast<PairMoments*>(staged.values);
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      const int pair = lane + 32 * i;
      if (pair < kPairs) pairs[pair] = of[i];
    }
    __syncwarp();
    const auto* const channels = reinterpret_cast<const Moments*>(staged.values);
    Moments group = {};
    if ((lane + 1) * width.channels <= row.channels) {
      group = MergeChannels(channels + lane * width.channels, width, row.pixels);
    }
    __syncwarp();
    return group;
  }
};

// By all lanes of a warp; the residual's copies, if any, are under way. The scratch row is free
// afterwards. Where partials are asked for, also the moments of the row's groups, a lane each.
template <int N>
__device__ inline void FinishRow(const float (&sums)[N / 2], const Epilogue& epilogue,
                                 const OutputRow& row, StagedRow<N>& staged, Moments* groups,
                                 int lane) {
  if constexpr (N == kFp32Channels) {
    if (epilogue.out_fp32 != nullptr) {
      StoreFp32<N>(sums, epilogue, row, lane);
      return;
    }
  }
  asm volatile("cp.async.wait_all;" ::: "memory");
  __syncwarp();
  RoundIntoStage<N>(sums, epilogue, row, staged, lane);
  __syncwarp();
  RowMoments<N> moments;
  if (epilogue.partials != nullptr) moments.Take(row, staged, lane);
  StoreStage<N>(epilogue, row, staged, lane);
  __syncwarp();
  if (epilogue.partials != nullptr) {
    groups[lane] = moments.Merge(row, epilogue.group_width, staged, lane);
  }
}

#endif  // __CUDA_ARCH_FEAT_SM90_ALL

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_CONV2D_EPILOGUE_CUH_
