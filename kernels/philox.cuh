#ifndef HMAR_KERNELS_PHILOX_CUH_
#define HMAR_KERNELS_PHILOX_CUH_

// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11) on the
// device.

#include <cstdint>

namespace hmar::kernels {

// 2^24 times model/philox.h's TokenUniform: the same number as an integer in [0, 2^24).
__device__ __forceinline__ uint32_t TokenUniformBits(uint64_t seed, uint32_t position,
                                                     uint32_t scale, uint32_t step) {
  constexpr uint32_t kMultiplierA = 0xD2511F53, kMultiplierB = 0xCD9E8D57;
  constexpr uint32_t kWeylA = 0x9E3779B9, kWeylB = 0xBB67AE85;
  uint32_t counter[4] = {position, scale, step, 0};
  uint32_t key[2] = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{kMultiplierA} * counter[0];
    const uint64_t b = uint64_t{kMultiplierB} * counter[2];
    counter[0] = static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0];
    counter[1] = static_cast<uint32_t>(b);
    counter[2] = static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1];
    counter[3] = static_cast<uint32_t>(a);
    key[0] += kWeylA;
    key[1] += kWeylB;
  }
  return counter[0] >> 8;
}

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_PHILOX_CUH_
