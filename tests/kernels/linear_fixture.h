#ifndef HMAR_TESTS_KERNELS_LINEAR_FIXTURE_H_
#define HMAR_TESTS_KERNELS_LINEAR_FIXTURE_H_

// Operands on the device for the tests of the linear layer, and its definition to check against.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <ostream>
#include <vector>

#include "kernels/linear.h"
#include "tests/kernels/device_array.h"

namespace hmar {

using Bf16 = __nv_bfloat16;
using kernels::LinearArgs;
using kernels::LinearEpilogue;
using kernels::LinearTiling;

inline constexpr int kMostTokens = 5000, kMostColumns = 4096, kMostWeights = 4096 * 1024;
inline constexpr size_t kGuardBytes = 1024;

// In [-1, 1), multiples of 2^-7: exact in bf16. A fixed sequence a seed.
inline std::vector<Bf16> RandomBf16(size_t count, uint32_t seed) {
  std::vector<Bf16> values(count);
  for (Bf16& v : values) {
    seed = seed * 1664525 + 1013904223;
    v = __float2bfloat16(static_cast<float>(seed >> 24) / 128 - 1);
  }
  return values;
}

// Operands of all shapes: a shape takes their beginnings. Weights of a sum's variance K / 9 are as
// hard on the sums as any.
struct Operands {
  const std::vector<Bf16> x = RandomBf16(size_t{kMostTokens} * kMostColumns, 1);
  const std::vector<Bf16> weight = RandomBf16(kMostWeights, 2);
  const std::vector<Bf16> bias = RandomBf16(kMostColumns, 3);
  const DeviceArray<Bf16> device_x{x}, device_weight{weight}, device_bias{bias};
  const DeviceArray<float> device_bias_fp32{ToFloats(bias)};
  const DeviceArray<uint8_t> out{size_t{kMostTokens} * kMostColumns * 4 + kGuardBytes};
};

struct Shape {
  int N, K;
  LinearEpilogue epilogue = LinearEpilogue::kBias;
  bool fp32 = false;

  size_t row_bytes() const { return size_t(N) * (fp32 ? 4 : 2); }
};

inline std::ostream& operator<<(std::ostream& stream, const Shape& s) {
  return stream << "N " << s.N << ", K " << s.K
                << (s.epilogue == LinearEpilogue::kBiasGelu ? ", GELU" : "")
                << (s.fp32 ? ", fp32" : "");
}

// One that suits T tokens.
inline LinearTiling TilingFor(int T, int N) {
  if (T > 512 && N >= 256) return {LinearTiling::Kernel::kManyTokens, 128, 256, 2};
  int tokens = 8;
  while (tokens < T && tokens < 256) tokens *= 2;
  return {LinearTiling::Kernel::kFewTokens, tokens, tokens <= 16 ? 8 : tokens <= 64 ? 32 : 64};
}

class LinearTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (HasGpu()) operands_ = new Operands;
  }
  static void TearDownTestSuite() {
    delete operands_;
    operands_ = nullptr;
  }
  void SetUp() override {
    HMAR_SKIP_WITHOUT_GPU();
    if (kernels::Linear(Args({64, 64}, 0, 1), TilingFor(1, 64), nullptr) == cudaErrorNotSupported) {
      GTEST_SKIP() << "no Hopper GPU";
    }
  }

  static const Operands& operands() { return *operands_; }

  // Of tokens first_token to first_token + T - 1, into the beginning of out.
  static LinearArgs Args(const Shape& s, int first_token, int T) {
    auto* const out = operands().out.data();
    return {.x_TK = operands().device_x.data() + int64_t{first_token} * s.K,
            .weight_NK = operands().device_weight.data(),
            .bias_N = s.fp32 ? static_cast<const void*>(operands().device_bias_fp32.data())
                             : operands().device_bias.data(),
            .out_TN = s.fp32 ? nullptr : reinterpret_cast<Bf16*>(out),
            .out_fp32_TN = s.fp32 ? reinterpret_cast<float*>(out) : nullptr,
            .T = T,
            .N = s.N,
            .K = s.K,
            .epilogue = s.epilogue};
  }

  // The output's bytes. Fails where the kernel wrote behind it.
  static std::vector<uint8_t> Run(
      const Shape& s, int first_token, int T,
      const std::function<cudaError_t(const LinearArgs&)>& launch = [](const LinearArgs& args) {
        return kernels::Linear(args, TilingFor(args.T, args.N), nullptr);
      }) {
    std::vector<uint8_t> bytes(T * s.row_bytes() + kGuardBytes);
    CheckCuda(cudaMemset(operands().out.data(), 0xFF, bytes.size()));
    EXPECT_EQ(launch(Args(s, first_token, T)), cudaSuccess);
    CheckCuda(cudaDeviceSynchronize(), "Linear");
    CheckCuda(cudaMemcpy(bytes.data(), operands().out.data(), bytes.size(), cudaMemcpyDefault));
    EXPECT_TRUE(
        std::all_of(bytes.end() - kGuardBytes, bytes.end(), [](uint8_t b) { return b == 0xFF; }))
        << "written behind the output: " << s << ", T " << T;
    bytes.resize(bytes.size() - kGuardBytes);
    return bytes;
  }

  static float ValueAt(const Shape& s, const std::vector<uint8_t>& bytes, size_t i) {
    float value;
    Bf16 rounded;
    if (s.fp32) {
      std::memcpy(&value, bytes.data() + i * 4, 4);
      return value;
    }
    std::memcpy(static_cast<void*>(&rounded), bytes.data() + i * 2, 2);
    return __bfloat162float(rounded);
  }

  // Nothing was left out: the poison is NaN, no result is.
  static void ExpectAllWritten(const Shape& s, const std::vector<uint8_t>& bytes) {
    const size_t count = bytes.size() / (s.fp32 ? 4 : 2);
    for (size_t i = 0; i < count; ++i) {
      ASSERT_FALSE(std::isnan(ValueAt(s, bytes, i)))
          << s << ": token " << i / s.N << ", output " << i % s.N << " not written";
    }
  }

  // The tensor cores add 16 products at a time to an fp32 sum and may truncate: an error of at most
  // some 2^-22 of the sum of magnitudes each time. GELU's slope is below 1.13, its own error below
  // 2^-17 of the result. Then the output is rounded.
  static void ExpectRight(const Shape& s, const std::vector<uint8_t>& bytes, int t, int n) {
    double value = __bfloat162float(operands().bias[n]), magnitude = std::abs(value);
    for (int k = 0; k < s.K; ++k) {
      const double product = double{__bfloat162float(operands().x[size_t(t) * s.K + k])} *
                             __bfloat162float(operands().weight[size_t(n) * s.K + k]);
      value += product, magnitude += std::abs(product);
    }
    double bound = 0x1p-22 * (s.K / 16 + 4) * magnitude, relative = s.fp32 ? 0x1p-23 : 0x1p-8;
    if (s.epilogue == LinearEpilogue::kBiasGelu) {
      const double u = std::sqrt(2 / M_PI) * (value + 0.044715 * value * value * value);
      value *= 0.5 * (1 + std::tanh(u)), bound *= 1.13, relative += 0x1p-17;
    }
    const float actual = ValueAt(s, bytes, size_t(t) * s.N + n);
    EXPECT_LE(std::abs(actual - value), bound + relative * std::abs(value))
        << s << ": token " << t << ", output " << n << ": " << actual << ", expected " << value;
  }

  // First and last tokens and outputs, and others between.
  static void ExpectSamplesRight(const Shape& s, const std::vector<uint8_t>& bytes, int T) {
    uint32_t seed = T;
    const auto below = [&](int n) {
      return static_cast<int>((seed = seed * 1664525 + 9) >> 8) % n;
    };
    for (int i = 0; i < 40; ++i) {
      const int t = i % 4 == 0 ? 0 : i % 4 == 1 ? T - 1 : below(T);
      const int n = i < 4 ? 0 : i < 8 ? s.N - 1 : below(s.N);
      ExpectRight(s, bytes, t, n);
    }
  }

 private:
  static inline const Operands* operands_ = nullptr;
};

}  // namespace hmar

#endif  // HMAR_TESTS_KERNELS_LINEAR_FIXTURE_H_
