// The hand-written loops of the CPU engine against plain sums in double precision, on odd shapes
// too; and that a row does not depend on its neighbours, to the bit.

#include "model/torch/row_ops.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "model/torch/gemm_tile.h"

namespace hmar {
namespace {

std::vector<float> Random(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& v : values) v = normal(random);
  return values;
}

struct TileCase {
  int64_t rows, inputs, columns;
};

std::vector<float> RunTile(const TileCase& c, const std::vector<float>& x,
                           const std::vector<float>& panel, const std::vector<float>& bias) {
  const int64_t stride = c.columns + 3;
  std::vector<float> out(c.rows * stride, -1);
  GemmTile tile{x.data(), panel.data(), bias.data(), out.data(),
                c.rows,   c.inputs,     c.columns,   stride};
  RunGemmTile(tile);
  return out;
}

TEST(GemmTileTest, AgreesWithSumsInDoubleOnEveryShape) {
  for (const int64_t rows : {1, 2, 3, 5, 7, 11, 12, 13, 23, 24, 96}) {
    for (const int64_t inputs : {1, 3, 64, 257}) {
      for (const int64_t columns : {1, 15, 16, 17, 31, 32}) {
        const TileCase c{rows, inputs, columns};
        const auto x = Random(rows * inputs, 1), panel = Random(inputs * kPanelWidth, 2),
                   bias = Random(kPanelWidth, 3);
        const auto out = RunTile(c, x, panel, bias);
        for (int64_t r = 0; r < rows; ++r) {
          for (int64_t o = 0; o < columns; ++o) {
            double sum = bias[o], size = std::abs(bias[o]);
            for (int64_t k = 0; k < inputs; ++k) {
              sum += double{x[r * inputs + k]} * panel[k * kPanelWidth + o];
              size += std::abs(double{x[r * inputs + k]} * panel[k * kPanelWidth + o]);
            }
            ASSERT_NEAR(out[r * (columns + 3) + o], sum, 1e-6 * size)
                << rows << " " << inputs << " " << columns;
          }
          for (int64_t gap = columns; gap < columns + 3; ++gap)
            ASSERT_EQ(out[r * (columns + 3) + gap], -1);
        }
      }
    }
  }
}

TEST(GemmTileTest, RowsDoNotDependOnHowManyThereAre) {
  const int64_t inputs = 100, most = 40;
  const auto x = Random(most * inputs, 4), panel = Random(inputs * kPanelWidth, 5),
             bias = Random(kPanelWidth, 6);
  const auto all = RunTile({most, inputs, 32}, x, panel, bias);
  for (int64_t rows = 1; rows < most; ++rows) {
    const auto some = RunTile({rows, inputs, 32}, x, panel, bias);
    ASSERT_TRUE(std::equal(some.begin(), some.end(), all.begin())) << rows;
  }
}

class RowOpsTest : public testing::TestWithParam<int64_t> {
 protected:
  // Vectors of a class: scale at 0, shift at C, gamma at 2 C.
  RowOpsTest() : vectors_(Random(3 * C_, 7)), by_row_(T_, vectors_.data()) {}

  double Normed(const float* row, int64_t c) const {
    double mean = 0, square = 0;
    for (int64_t i = 0; i < C_; ++i) mean += row[i] / static_cast<double>(C_);
    for (int64_t i = 0; i < C_; ++i)
      square += (row[i] - mean) * (row[i] - mean) / static_cast<double>(C_);
    return (row[c] - mean) / std::sqrt(square + 1e-6) * vectors_[c] + vectors_[C_ + c];
  }

  const int64_t C_ = GetParam(), T_ = 9;
  const std::vector<float> vectors_;
  const std::vector<const float*> by_row_;
};

TEST_P(RowOpsTest, NormModulateAgreesWithDouble) {
  const auto x = Random(T_ * C_, 8);
  std::vector<float> out(x.size());
  NormModulate(x.data(), out.data(), T_, C_, 1e-6f, {by_row_.data()}, {0, C_});
  for (int64_t i = 0; i < T_ * C_; ++i)
    ASSERT_NEAR(out[i], Normed(&x[i / C_ * C_], i % C_), 1e-5) << i;
}

TEST_P(RowOpsTest, GateThenNormAgreesWithDouble) {
  const auto before = Random(T_ * C_, 9), y = Random(T_ * C_, 10);
  auto x = before;
  std::vector<float> out(x.size());
  GateNormModulate(x.data(), y.data(), out.data(), T_, C_, 1e-6f, {by_row_.data()}, 2 * C_,
                   {0, C_});
  for (int64_t i = 0; i < T_ * C_; ++i) {
    ASSERT_NEAR(x[i], before[i] + double{vectors_[2 * C_ + i % C_]} * y[i], 1e-5);
    ASSERT_NEAR(out[i], Normed(&x[i / C_ * C_], i % C_), 1e-5);
  }
  auto gated = before;
  Gate(gated.data(), y.data(), T_, C_, {by_row_.data()}, 2 * C_);
  EXPECT_EQ(gated, x);
}

INSTANTIATE_TEST_SUITE_P(Widths, RowOpsTest, testing::Values(1, 15, 16, 17, 64, 100, 1024));

TEST(NormalizeQkTest, GivesUnitKeysAndScaledQueriesAndLeavesValues) {
  const int64_t T = 5, H = 3, D = 20;
  const auto before = Random(T * 3 * H * D, 11);
  auto qkv = before;
  const std::vector<float> scale = {2, 3, 4};
  NormalizeQk(qkv.data(), T, H, D, scale.data());
  for (int64_t head = 0; head < T * 3 * H; ++head) {
    const int64_t part = head / H % 3, h = head % H;
    double length = 0, original = 0;
    for (int64_t i = 0; i < D; ++i) {
      length += double{qkv[head * D + i]} * qkv[head * D + i];
      original += double{before[head * D + i]} * before[head * D + i];
    }
    const double wanted = part == 0 ? scale[h] : part == 1 ? 1 : std::sqrt(original);
    ASSERT_NEAR(std::sqrt(length), wanted, 1e-5 * wanted);
  }
}

TEST(NormalizeQkTest, ZeroVectorsStayZero) {
  std::vector<float> qkv(3 * 8, 0);
  const float scale = 5;
  NormalizeQk(qkv.data(), 1, 1, 8, &scale);
  EXPECT_EQ(qkv, std::vector<float>(3 * 8, 0));
}

TEST(GeluTest, AgreesWithItsTanhFormFromUnderflowToOverflow) {
  std::vector<float> x;
  for (float v = -120; v <= 120; v += 0.0371f) x.push_back(v);
  x.push_back(-1e30f);
  x.push_back(1e30f);
  auto y = x;
  Gelu(y.data(), static_cast<int64_t>(y.size()));
  for (size_t i = 0; i < x.size(); ++i) {
    const double v = x[i],
                 wanted =
                     0.5 * v * (1 + std::tanh(std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v)));
    ASSERT_NEAR(y[i], wanted, 1e-6 * std::max(1.0, std::abs(wanted))) << v;
  }
  float nan = std::nanf("");
  Gelu(&nan, 1);
  EXPECT_TRUE(std::isnan(nan));
}

TEST(ChannelsTest, SumsAndSiluAgreeWithDouble) {
  const int64_t W = 7, C = 33;
  const auto x = Random(W * C, 12), scale = Random(C, 13), shift = Random(C, 14);
  std::vector<float> sums(C), squares(C), out(x.size());
  ChannelSums(x.data(), W, C, sums.data(), squares.data());
  ScaleShift(x.data(), out.data(), W, C, scale.data(), shift.data(), /*silu=*/true);
  for (int64_t c = 0; c < C; ++c) {
    double sum = 0, square = 0;
    for (int64_t w = 0; w < W; ++w) {
      const double v = x[w * C + c], y = v * scale[c] + shift[c];
      sum += v;
      square += v * v;
      ASSERT_NEAR(out[w * C + c], y / (1 + std::exp(-y)), 1e-5);
    }
    EXPECT_NEAR(sums[c], sum, 1e-5);
    EXPECT_NEAR(squares[c], square, 1e-5 * square);
  }
}

}  // namespace
}  // namespace hmar
