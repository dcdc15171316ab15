#ifndef HMAR_KERNELS_ORDERED_KEY_CUH_
#define HMAR_KERNELS_ORDERED_KEY_CUH_

// Floats as integers of the same order, for searches by digits.

#include <cstdint>

namespace hmar::kernels {

inline constexpr uint32_t kSignBit = 0x80000000;
inline constexpr uint32_t kMinusInfinityKey = 0x007FFFFF;
inline constexpr uint32_t kInfinityKey = 0xFF800000;

// a < b as floats exactly if OrderedKey(a) < OrderedKey(b) as integers; both zeros have one key.
__device__ __forceinline__ uint32_t OrderedKey(float x) {
  const uint32_t bits = __float_as_uint(__fadd_rn(x, 0.0f));  // -0 + 0 = +0
  return bits & kSignBit ? ~bits : bits | kSignBit;
}

__device__ __forceinline__ float KeyValue(uint32_t key) {
  return __uint_as_float(key & kSignBit ? key ^ kSignBit : ~key);
}

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_ORDERED_KEY_CUH_
