// Rows in fp8, and the norms that write them.

#include "kernels/fp8_rows.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "kernels/row_norm.h"
#include "tests/kernels/device_array.h"

namespace hmar {
namespace {

using kernels::Fp8Rows;

std::vector<__nv_bfloat16> RandomRows(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<__nv_bfloat16> x(count);
  for (__nv_bfloat16& v : x) v = __float2bfloat16(normal(random));
  return x;
}

float FloatOfE4m3(uint8_t bits) {
  const int exponent = (bits >> 3) & 0xF, mantissa = bits & 7;
  const float magnitude = exponent == 0
                              ? std::ldexp(static_cast<float>(mantissa), -9)
                              : std::ldexp(1.0f + static_cast<float>(mantissa) / 8, exponent - 7);
  return (bits & 0x80) != 0 ? -magnitude : magnitude;
}

struct Quantized {
  std::vector<uint8_t> rows;
  std::vector<float> scales;
};

Quantized Quantize(const std::vector<__nv_bfloat16>& x, int64_t T, int C) {
  const DeviceArray<__nv_bfloat16> in(x);
  const DeviceArray<uint8_t> rows(T * C);
  const DeviceArray<float> scales(T);
  CheckCuda(kernels::QuantizeRows(in.data(), T, C, {rows.data(), scales.data()}, nullptr));
  return {rows.Download(), scales.Download()};
}

class Fp8RowsTest : public testing::TestWithParam<int> {
 protected:
  void SetUp() override { HMAR_SKIP_WITHOUT_GPU(); }
};

// e4m3 has 4 significant bits: half a unit is 1/16 of the value, below the normal range 2^-10 of
// the scale.
TEST_P(Fp8RowsTest, KeepsRowsWithinRounding) {
  const int C = GetParam();
  const int64_t T = 37;
  std::vector<__nv_bfloat16> x = RandomRows(T * C, 1);
  for (int i = 0; i < C; ++i) x[3 * C + i] = __float2bfloat16(0);
  const Quantized got = Quantize(x, T, C);
  EXPECT_EQ(got.scales[3], 1.0f);
  for (int64_t t = 0; t < T; ++t) {
    float largest = 0;
    for (int i = 0; i < C; ++i) {
      const float wanted = __bfloat162float(x[t * C + i]);
      const float value = FloatOfE4m3(got.rows[t * C + i]) * got.scales[t];
      ASSERT_NEAR(value, wanted, std::abs(wanted) / 15.9f + std::ldexp(got.scales[t], -10))
          << t << ", " << i;
      largest = std::max(largest, std::abs(FloatOfE4m3(got.rows[t * C + i])));
    }
    EXPECT_EQ(largest, t == 3 ? 0 : 448);
  }
}

TEST_P(Fp8RowsTest, RowsDoNotDependOnTheirCompany) {
  const int C = GetParam();
  const std::vector<__nv_bfloat16> x = RandomRows(50 * C, 2);
  const Quantized all = Quantize(x, 50, C);
  const Quantized one = Quantize({x.begin() + 49 * C, x.end()}, 1, C);
  EXPECT_EQ(one.rows, std::vector<uint8_t>(all.rows.begin() + 49 * C, all.rows.end()));
  EXPECT_EQ(one.scales[0], all.scales[49]);
}

// The fused kernels write what the separate ones would.
TEST_P(Fp8RowsTest, NormsWriteTheSameAsNormThenQuantize) {
  const int C = GetParam();
  if (C > 4096) GTEST_SKIP() << "norms take up to 4,096";
  const int64_t T = 9;
  const DeviceArray<__nv_bfloat16> vectors(RandomRows(2 * 3 * C, 3));
  const std::vector<int32_t> classes = {0, 1, 1, 0, 1, 0, 0, 0, 1};
  const DeviceArray<int32_t> class_of_row(classes);
  const kernels::ClassVectors of_rows = {vectors.data(), 3 * C, class_of_row.data()};
  const kernels::NormModulation modulation = {C, 2 * C, 1e-6f};
  DeviceArray<__nv_bfloat16> x(RandomRows(T * C, 4)), y(RandomRows(T * C, 4)), normed(T * C);
  const DeviceArray<__nv_bfloat16> branch(RandomRows(T * C, 5));
  const DeviceArray<uint8_t> rows(T * C);
  const DeviceArray<float> scales(T);
  const Fp8Rows out = {rows.data(), scales.data()};
  CheckCuda(kernels::NormModulate(x.data(), normed.data(), T, C, of_rows, modulation, nullptr));
  CheckCuda(kernels::NormModulate(x.data(), out, T, C, of_rows, modulation, nullptr));
  const Quantized plain = Quantize(normed.Download(), T, C);
  EXPECT_EQ(rows.Download(), plain.rows);
  EXPECT_EQ(scales.Download(), plain.scales);
  CheckCuda(kernels::GateNormModulate(x.data(), branch.data(), normed.data(), T, C, of_rows, 0,
                                      modulation, nullptr));
  CheckCuda(kernels::GateNormModulate(y.data(), branch.data(), out, T, C, of_rows, 0, modulation,
                                      nullptr));
  const Quantized gated = Quantize(normed.Download(), T, C);
  EXPECT_EQ(rows.Download(), gated.rows);
  EXPECT_EQ(ToFloats(y.Download()), ToFloats(x.Download()));
}

INSTANTIATE_TEST_SUITE_P(Widths, Fp8RowsTest,
                         testing::Values(16, 128, 256, 1024, 1920, 4096, 7680));

TEST(Fp8Rows, RefusesBadShapes) {
  HMAR_SKIP_WITHOUT_GPU();
  const DeviceArray<__nv_bfloat16> x(64);
  const DeviceArray<uint8_t> rows(64);
  const DeviceArray<float> scales(4);
  const Fp8Rows out = {rows.data(), scales.data()};
  EXPECT_EQ(kernels::QuantizeRows(x.data(), 0, 16, out, nullptr), cudaSuccess);
  EXPECT_EQ(kernels::QuantizeRows(x.data(), 4, 12, out, nullptr), cudaErrorInvalidValue);
  EXPECT_EQ(kernels::QuantizeRows(x.data(), 1, 8208, out, nullptr), cudaErrorInvalidValue);
  EXPECT_EQ(kernels::QuantizeRows(nullptr, 1, 16, out, nullptr), cudaErrorInvalidValue);
}

}  // namespace
}  // namespace hmar
