#ifndef HMAR_KERNELS_LINEAR_MANY_EPILOGUE_CUH_
#define HMAR_KERNELS_LINEAR_MANY_EPILOGUE_CUH_

// The way of a warp's sums, 16 tokens x N outputs, to global memory (linear_many_tokens.cuh).

#include "kernels/linear_epilogue.cuh"

namespace hmar::kernels {

// A warp's scratch in shared memory: 16 tokens x 64 outputs, and 16 bytes more a token, which
// spreads the fragments' eight tokens over all banks.
struct StagedTile {
  static constexpr int kPitch = 64 + 8;
  alignas(16) __nv_bfloat16 values[16 * kPitch];
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

// The bf16 bias of a lane's outputs, a pair for each fragment of 8. Loaded ahead of the sums, so
// that nobody waits for it behind them. fp32 output loads its own late: registers.
template <int N>
__device__ inline void LoadBias(const LinearOutput& output, int channel, uint32_t (&pairs)[N / 8]) {
  const auto* const bias = static_cast<const __nv_bfloat16*>(output.bias);
  channel += threadIdx.x % 4 * 2;
#pragma unroll
  for (int j = 0; j < N / 8; ++j) {
    const bool read = output.out_fp32 == nullptr && channel + 8 * j < output.N;
    pairs[j] = read ? *reinterpret_cast<const uint32_t*>(bias + channel + 8 * j) : 0;
  }
}

// 16 tokens x 64 outputs of a warp: fragment j (8 outputs) has outputs 8 j + 2 (lane % 4) and the
// next, of tokens lane / 4 (first two values) and lane / 4 + 8.
template <bool kGelu>
__device__ inline void StoreManyBf16(const float* sums, const uint32_t* bias_pairs,
                                     const LinearOutput& output, int token, int channel,
                                     StagedTile& staged) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int i = 0; i < 16; ++i) {
    const int j = i / 2, row = lane / 4 + i % 2 * 8;
    const float2 bias =
        __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(bias_pairs + j));
    *reinterpret_cast<uint32_t*>(staged.values + row * StagedTile::kPitch + 8 * j + lane % 4 * 2) =
        PackBf16(Finish<kGelu>(sums[2 * i], bias.x), Finish<kGelu>(sums[2 * i + 1], bias.y));
  }
  __syncwarp();
  uint4 values[4];  // All reads before all writes, which the compiler could not tell apart.
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    values[i] = *reinterpret_cast<const uint4*>(
        staged.values + (4 * i + lane / 8) * StagedTile::kPitch + lane % 8 * 8);
  }
  __syncwarp();
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int row = token + 4 * i + lane / 8;
    if (row >= output.T) continue;
    *reinterpret_cast<uint4*>(output.out + int64_t{row} * output.N + channel + lane % 8 * 8) =
        values[i];
  }
}

// The same, straight from the registers: four lanes write 32 bytes.
template <bool kGelu>
__device__ inline void StoreManyFp32(const float* sums, const LinearOutput& output, int token,
                                     int channel) {
  const int lane = threadIdx.x % 32;
  token += lane / 4, channel += lane % 4 * 2;
  const auto* const bias = static_cast<const float*>(output.bias) + channel;
  float2 biases[8];  // All loads before all stores, which the compiler could not tell apart.
#pragma unroll
  for (int j = 0; j < 8; ++j) biases[j] = *reinterpret_cast<const float2*>(bias + 8 * j);
#pragma unroll
  for (int i = 0; i < 16; ++i) {
    const int j = i / 2, row = token + i % 2 * 8;
    if (row >= output.T) continue;
    float* const to = output.out_fp32 + int64_t{row} * output.N + channel + 8 * j;
    *reinterpret_cast<float2*>(to) = {Finish<kGelu>(sums[2 * i], biases[j].x),
                                      Finish<kGelu>(sums[2 * i + 1], biases[j].y)};
  }
}

// A warp's 16 tokens x N outputs.
template <bool kGelu, bool kFp32, int N>
__device__ inline void FinishMany(const float (&sums)[N / 2], const uint32_t (&bias_pairs)[N / 8],
                                  const LinearOutput& output, int token, int channel,
                                  StagedTile& staged) {
  if (token >= output.T) return;
#pragma unroll
  for (int c = 0; c < N / 64; ++c) {
    if (channel + 64 * c >= output.N) return;
    if constexpr (kFp32) {
      StoreManyFp32<kGelu>(sums + 32 * c, output, token, channel + 64 * c);
    } else {
      StoreManyBf16<kGelu>(sums + 32 * c, bias_pairs + 8 * c, output, token, channel + 64 * c,
                           staged);
    }
  }
}

#endif  // __CUDA_ARCH_FEAT_SM90_ALL

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_LINEAR_MANY_EPILOGUE_CUH_
