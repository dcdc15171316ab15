#include "kernels/row_norm.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/layer_norm.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "tests/kernels/device_array.h"

namespace hmar {
namespace {

using kernels::ClassVectors;
using kernels::NormModulation;
using Bf16 = __nv_bfloat16;

constexpr int kClasses = 5;
constexpr int kVectors = 4;  // A class's: gamma, one that nobody reads, scale, shift.
constexpr float kEps = 1e-6f;

// Half a unit in the last place of a bf16, at most, relative to the value.
constexpr double kHalfUlp = 1.0 / 256;

std::vector<Bf16> Normal(size_t count, float mean, float deviation, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(mean, deviation);
  std::vector<Bf16> values(count);
  for (Bf16& v : values) v = __float2bfloat16(normal(random));
  return values;
}

bool SameBytes(const std::vector<Bf16>& a, const std::vector<Bf16>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(Bf16)) == 0;
}

// A launch's inputs; T rows of C, of changing classes.
struct Case {
  Case(int64_t rows, int width, float mean = 0, unsigned seed = 1) : T(rows), C(width) {
    x = Normal(T * C, mean, 1, seed);
    branch = Normal(T * C, 0, 1, seed + 1);
    vectors = Normal(static_cast<size_t>(kClasses) * kVectors * C, 0, 0.5f, seed + 2);
    std::mt19937 random(seed + 3);
    for (int64_t t = 0; t < T; ++t) class_of_row.push_back(static_cast<int32_t>(random() % 5));
  }

  // Rows [first, first + rows).
  Case Part(int64_t first, int64_t rows) const {
    Case part = *this;
    part.T = rows;
    part.x.assign(x.begin() + first * C, x.begin() + (first + rows) * C);
    part.branch.assign(branch.begin() + first * C, branch.begin() + (first + rows) * C);
    part.class_of_row.assign(class_of_row.begin() + first, class_of_row.begin() + first + rows);
    return part;
  }

  float Vector(int64_t t, int which, int c) const {
    const size_t row = static_cast<size_t>(class_of_row[t]) * kVectors + which;
    return __bfloat162float(vectors[row * C + c]);
  }

  int64_t T;
  int C;
  std::vector<Bf16> x, branch, vectors;
  std::vector<int32_t> class_of_row;
};

NormModulation ModulationOf(const Case& c) {
  return {.scale_offset = 2 * c.C, .shift_offset = 3 * c.C, .eps = kEps};
}

std::vector<Bf16> RunNorm(const Case& c) {
  DeviceArray<Bf16> x(c.x), vectors(c.vectors), out(c.x.size());
  DeviceArray<int32_t> class_of_row(c.class_of_row);
  const ClassVectors classes = {vectors.data(), int64_t{kVectors} * c.C, class_of_row.data()};
  CheckCuda(
      kernels::NormModulate(x.data(), out.data(), c.T, c.C, classes, ModulationOf(c), nullptr));
  return out.Download();
}

struct Gated {
  std::vector<Bf16> x, out;
};

Gated RunGateNorm(const Case& c, bool in_place = false) {
  DeviceArray<Bf16> x(c.x), branch(c.branch), vectors(c.vectors), out(c.x.size());
  DeviceArray<int32_t> class_of_row(c.class_of_row);
  const ClassVectors classes = {vectors.data(), int64_t{kVectors} * c.C, class_of_row.data()};
  Bf16* const target = in_place ? branch.data() : out.data();
  CheckCuda(kernels::GateNormModulate(x.data(), branch.data(), target, c.T, c.C, classes, 0,
                                      ModulationOf(c), nullptr));
  return {x.Download(), in_place ? branch.Download() : out.Download()};
}

// LayerNorm of the rows in double.
std::vector<double> Normed(const std::vector<Bf16>& x, int64_t T, int C) {
  std::vector<double> values;
  for (const Bf16 v : x) values.push_back(__bfloat162float(v));
  const at::Tensor rows = at::from_blob(values.data(), {T, C}, at::kDouble);
  const at::Tensor normed = at::layer_norm(rows, {C}, {}, {}, kEps, /*cudnn_enable=*/false);
  return {normed.data_ptr<double>(), normed.data_ptr<double>() + T * C};
}

// The only error of size is the rounding of the result. Before it, fp32: the mean is off by a few
// 2^-23 of itself, so of rows of deviation 1 the normed values by that, and everything by a few
// roundings. (Squares that cancel would cost mean^2 * 2^-23.)
void ExpectNormed(const Case& c, const std::vector<Bf16>& x, const std::vector<Bf16>& out,
                  double mean) {
  const std::vector<double> normed = Normed(x, c.T, c.C);
  const double normed_error = (std::abs(mean) + 4) * std::ldexp(1.0, -19);
  for (int64_t t = 0; t < c.T; ++t) {
    for (int i = 0; i < c.C; ++i) {
      const double scale = c.Vector(t, 2, i), shift = c.Vector(t, 3, i);
      const double expected = normed[t * c.C + i] * scale + shift;
      const double bound = kHalfUlp * std::abs(expected) + 1.01 * normed_error * std::abs(scale) +
                           std::ldexp(std::abs(shift), -22);
      ASSERT_NEAR(__bfloat162float(out[t * c.C + i]), expected, bound) << "row " << t << ", " << i;
    }
  }
}

// x after the gate against x + gamma * branch: the result's rounding, and that of one fused
// multiply and add.
void ExpectGated(const Case& c, const std::vector<Bf16>& x) {
  for (int64_t t = 0; t < c.T; ++t) {
    for (int i = 0; i < c.C; ++i) {
      const int64_t at = t * c.C + i;
      const double expected = __bfloat162float(c.x[at]) + static_cast<double>(c.Vector(t, 0, i)) *
                                                              __bfloat162float(c.branch[at]);
      ASSERT_NEAR(__bfloat162float(x[at]), expected, 1.001 * kHalfUlp * std::abs(expected))
          << "row " << t << ", " << i;
    }
  }
}

class RowNormWidths : public testing::TestWithParam<int> {};

TEST_P(RowNormWidths, NormModulatesRowsOfTheirClasses) {
  HMAR_SKIP_WITHOUT_GPU();
  for (const int64_t T : {1, 3, 129}) {
    const Case c(T, GetParam());
    ExpectNormed(c, c.x, RunNorm(c), 0);
  }
}

TEST_P(RowNormWidths, GatesRoundsAndNormalizesTheRoundedSum) {
  HMAR_SKIP_WITHOUT_GPU();
  for (const int64_t T : {1, 3, 129}) {
    Case c(T, GetParam(), 0, 7);
    const Gated gated = RunGateNorm(c);
    ExpectGated(c, gated.x);
    ExpectNormed(c, gated.x, gated.out, 0);
    c.x = gated.x;
    EXPECT_TRUE(SameBytes(gated.out, RunNorm(c))) << "fused against gate, then norm; T " << T;
  }
}

TEST_P(RowNormWidths, OutputMayReplaceTheBranch) {
  HMAR_SKIP_WITHOUT_GPU();
  const Case c(67, GetParam(), 0, 11);
  const Gated apart = RunGateNorm(c), in_place = RunGateNorm(c, /*in_place=*/true);
  EXPECT_TRUE(SameBytes(apart.x, in_place.x));
  EXPECT_TRUE(SameBytes(apart.out, in_place.out));
}

TEST_P(RowNormWidths, ARowAloneHasTheSameBytes) {
  HMAR_SKIP_WITHOUT_GPU();
  const Case c(1001, GetParam(), 0, 13);
  const std::vector<Bf16> normed = RunNorm(c);
  const Gated gated = RunGateNorm(c);
  const auto rows = [&](const std::vector<Bf16>& all, int64_t first, int64_t count) {
    return std::vector<Bf16>(all.begin() + first * c.C, all.begin() + (first + count) * c.C);
  };
  for (const auto& [first, count] : {std::pair{0, 1}, {498, 3}, {1000, 1}}) {
    const Case part = c.Part(first, count);
    const Gated part_gated = RunGateNorm(part);
    EXPECT_TRUE(SameBytes(RunNorm(part), rows(normed, first, count))) << first;
    EXPECT_TRUE(SameBytes(part_gated.x, rows(gated.x, first, count))) << first;
    EXPECT_TRUE(SameBytes(part_gated.out, rows(gated.out, first, count))) << first;
  }
}

INSTANTIATE_TEST_SUITE_P(Widths, RowNormWidths,
                         testing::Values(8, 128, 136, 256, 520, 1024, 1280, 1536, 1920, 2056, 4096),
                         testing::PrintToStringParamName());

// The variance comes from differences, not from squares whose leading digits cancel.
TEST(RowNorm, LargeMeansLoseNothing) {
  HMAR_SKIP_WITHOUT_GPU();
  for (const int C : {1024, 1920}) {
    const Case c(33, C, /*mean=*/100, 17);
    ExpectNormed(c, c.x, RunNorm(c), 100);
  }
}

// A row of equal elements has no deviation: eps alone keeps the quotient finite.
TEST(RowNorm, ConstantRowsBecomeTheShift) {
  HMAR_SKIP_WITHOUT_GPU();
  Case c(3, 1024);
  std::fill(c.x.begin(), c.x.end(), __float2bfloat16(0.75f));
  const std::vector<Bf16> out = RunNorm(c);
  for (int64_t t = 0; t < c.T; ++t) {
    for (int i = 0; i < c.C; ++i) {
      ASSERT_EQ(__bfloat162float(out[t * c.C + i]), c.Vector(t, 3, i)) << t << ", " << i;
    }
  }
}

TEST(RowNorm, NoRowsAreNoWork) {
  HMAR_SKIP_WITHOUT_GPU();
  EXPECT_EQ(kernels::NormModulate(nullptr, nullptr, 0, 1024, {}, {}, nullptr), cudaSuccess);
  EXPECT_EQ(kernels::GateNormModulate(nullptr, nullptr, nullptr, 0, 1024, {}, 0, {}, nullptr),
            cudaSuccess);
}

TEST(RowNorm, RefusesWidthsItCannotHold) {
  HMAR_SKIP_WITHOUT_GPU();
  DeviceArray<Bf16> rows(4104);
  DeviceArray<int32_t> class_of_row(1);
  const ClassVectors classes = {rows.data(), 0, class_of_row.data()};
  for (const int C : {-8, 0, 4, 1028, 4104}) {
    EXPECT_EQ(kernels::NormModulate(rows.data(), rows.data(), 1, C, classes, {}, nullptr),
              cudaErrorInvalidValue)
        << C;
  }
  EXPECT_EQ(kernels::NormModulate(rows.data() + 1, rows.data(), 1, 8, classes, {}, nullptr),
            cudaErrorInvalidValue);
}

}  // namespace
}  // namespace hmar
