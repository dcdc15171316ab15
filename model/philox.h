#ifndef HMAR_MODEL_PHILOX_H_
#define HMAR_MODEL_PHILOX_H_

// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
// 1, 2, 3", SC'11). A number depends on its counter and key alone, so a token draws the same one
// whatever shares its batch. Pure functions, safe from any thread.

#include <array>
#include <cstdint>

namespace hmar {

using PhiloxCounter = std::array<uint32_t, 4>;
using PhiloxKey = std::array<uint32_t, 2>;

// Ten rounds of the bijection; the published name is Philox4x32-10.
constexpr std::array<uint32_t, 4> Philox4x32(PhiloxCounter counter, PhiloxKey key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * counter[0];
    const uint64_t b = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
    key = {key[0] + 0x9E3779B9u, key[1] + 0xBB67AE85u};
  }
  return counter;
}

// The uniform in [0, 1) that decides one token of an image: `position` in its scale's grid, row by
// row; `step` 0 is the next-scale pass, 1 and up the mask passes. A multiple of 2^-24, so every
// value is exact in fp32.
constexpr float TokenUniform(uint64_t seed, uint32_t position, uint32_t scale, uint32_t step) {
  const PhiloxKey key = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  return static_cast<float>(Philox4x32({position, scale, step, 0}, key)[0] >> 8) * 0x1p-24f;
}

}  // namespace hmar

#endif  // HMAR_MODEL_PHILOX_H_
