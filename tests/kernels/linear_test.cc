#include "kernels/linear.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "tests/kernels/linear_fixture.h"

namespace hmar {
namespace {

constexpr int kTokens[] = {1,   2,   7,   8,   9,   63,  64,   65,  100,
                           255, 256, 257, 511, 512, 513, 1000, 5000};

std::vector<Shape> WithEpilogues(int N, int K) {
  return {{N, K, LinearEpilogue::kBias, false},
          {N, K, LinearEpilogue::kBiasGelu, false},
          {N, K, LinearEpilogue::kBias, true},
          {N, K, LinearEpilogue::kBiasGelu, true}};
}

TEST_F(LinearTest, MatchesTheReferenceAtSamples) {
  constexpr int kShapes[][2] = {{64, 64},     {192, 128},   {1024, 1024}, {3072, 1024},
                                {4096, 1024}, {1024, 4096}, {512, 128}};
  for (const auto& [N, K] : kShapes) {
    for (const Shape& shape : WithEpilogues(N, K)) {
      for (const int T : kTokens) {
        if (T == 5000 && shape.fp32) continue;  // Time.
        ExpectSamplesRight(shape, Run(shape, 0, T), T);
        if (HasFailure()) return;
      }
    }
  }
}

TEST_F(LinearTest, MatchesTheReferenceEverywhere) {
  for (const Shape& shape : WithEpilogues(192, 128)) {
    const int T = 137;
    const std::vector<uint8_t> bytes = Run(shape, 0, T);
    for (int i = 0; i < T * shape.N; ++i) ExpectRight(shape, bytes, i / shape.N, i % shape.N);
    if (HasFailure()) return;
  }
}

TEST_F(LinearTest, EveryTilingGivesTheSameBytes) {
  struct Case {
    Shape shape;
    int T;
  };
  // Tiles that leave the matrix on both sides, and enough of them that a thread block goes through
  // several. Sums of one, two and four blocks of 64 columns a stage, where tokens are few; the
  // longest goes through every ring several times.
  std::vector<Case> cases = {{{1088, 320, LinearEpilogue::kBiasGelu}, 5000},
                             {{1024, 1024}, 300},
                             {{192, 1920}, 130},
                             {{1024, 4096}, 72}};
  for (const Shape& shape : WithEpilogues(384, 448)) cases.push_back({shape, 333});
  for (const auto& [shape, T] : cases) {
    const std::vector<uint8_t> expected = Run(shape, 0, T);
    ExpectAllWritten(shape, expected);
    ExpectSamplesRight(shape, expected, T);
    for (const LinearTiling& tiling : kernels::LinearTilings()) {
      const std::vector<uint8_t> bytes = Run(shape, 0, T, [&](const LinearArgs& args) {
        return kernels::Linear(args, tiling, nullptr);
      });
      EXPECT_TRUE(bytes == expected)
          << shape << ", T " << T << ": tiles of " << tiling.tokens << " x " << tiling.channels
          << ", cluster of " << tiling.token_blocks;
    }
  }
}

TEST_F(LinearTest, ATokenHasTheSameBytesAmongAnyNumber) {
  constexpr LinearEpilogue kGelu = LinearEpilogue::kBiasGelu, kBias = LinearEpilogue::kBias;
  for (const Shape& shape :
       {Shape{1024, 1024}, Shape{3072, 1024}, Shape{4096, 1024, kGelu}, Shape{1024, 4096},
        Shape{4096, 1024, kBias, true}, Shape{64, 64}, Shape{1920, 1920}}) {
    const std::vector<uint8_t> all = Run(shape, 0, kMostTokens);
    ExpectAllWritten(shape, all);
    for (const int T : {1, 8, 100, 256, 300, 600, 1000}) {
      for (const int first : {0, 777, kMostTokens - T}) {
        const std::vector<uint8_t> some = Run(shape, first, T);
        EXPECT_TRUE(std::equal(some.begin(), some.end(), all.begin() + first * shape.row_bytes()))
            << shape << ": tokens " << first << " and the " << T - 1 << " after it";
      }
    }
  }
}

TEST(LinearArgumentsTest, RefusesWhatItCannotDo) {
  // Never read: every call is refused.
  auto* const bf16 = reinterpret_cast<Bf16*>(0x1000);
  auto* const fp32 = reinterpret_cast<float*>(0x1000);
  const LinearArgs good = {
      .x_TK = bf16, .weight_NK = bf16, .bias_N = bf16, .out_TN = bf16, .T = 3, .N = 64, .K = 128};
  const auto refused = [&](const std::function<void(LinearArgs&)>& spoil) {
    LinearArgs args = good;
    spoil(args);
    return kernels::Linear(args, TilingFor(3, 64), nullptr) == cudaErrorInvalidValue;
  };
  EXPECT_TRUE(refused([](LinearArgs& a) { a.T = -1; }));
  EXPECT_TRUE(refused([](LinearArgs& a) { a.T = 1 << 19; }));
  EXPECT_TRUE(refused([](LinearArgs& a) { a.N = 0; }));
  EXPECT_TRUE(refused([](LinearArgs& a) { a.N = 96; }));
  EXPECT_TRUE(refused([](LinearArgs& a) { a.K = 32; }));
  EXPECT_TRUE(refused([](LinearArgs& a) { a.epilogue = static_cast<LinearEpilogue>(5); }));
  EXPECT_TRUE(refused([](LinearArgs& a) { a.x_TK = nullptr; }));
  EXPECT_TRUE(refused([](LinearArgs& a) { a.weight_NK = nullptr; }));
  EXPECT_TRUE(refused([](LinearArgs& a) { a.bias_N = nullptr; }));
  EXPECT_TRUE(refused([](LinearArgs& a) { a.out_TN = nullptr; }));
  EXPECT_TRUE(refused([&](LinearArgs& a) { a.out_fp32_TN = fp32; }));
  EXPECT_TRUE(refused([](LinearArgs& a) { a.x_TK += 1; }));
  EXPECT_TRUE(refused([](LinearArgs& a) { a.out_TN += 4; }));
}

TEST_F(LinearTest, RefusesUnknownTilings) {
  constexpr auto kFew = LinearTiling::Kernel::kFewTokens;
  constexpr auto kMany = LinearTiling::Kernel::kManyTokens;
  for (const LinearTiling& tiling :
       {LinearTiling{kFew, 8, 0}, LinearTiling{kFew, 8, 24}, LinearTiling{kFew, 8, 128},
        LinearTiling{kFew, 12, 8}, LinearTiling{kMany, 128, 64},
        LinearTiling{kMany, 128, 256, 3}}) {
    EXPECT_EQ(kernels::Linear(Args({1024, 1024}, 0, 100), tiling, nullptr), cudaErrorInvalidValue)
        << "tiles of " << tiling.tokens << " x " << tiling.channels;
  }
}

TEST(LinearArgumentsTest, NoTokensAreNoWork) {
  EXPECT_EQ(kernels::Linear({.T = 0, .N = 64, .K = 64}, TilingFor(1, 64), nullptr), cudaSuccess);
}

}  // namespace
}  // namespace hmar
