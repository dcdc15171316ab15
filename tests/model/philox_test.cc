#include "model/philox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace hmar {
namespace {

using ::testing::ElementsAre;

// The known answers published with Random123 (kat_vectors, philox4x32 10).
TEST(Philox, GivesThePublishedKnownAnswers) {
  EXPECT_THAT(Philox4x32({0, 0, 0, 0}, {0, 0}),
              ElementsAre(0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u));
  constexpr uint32_t kOnes = 0xffffffff;
  EXPECT_THAT(Philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
              ElementsAre(0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu));
  EXPECT_THAT(
      Philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
      ElementsAre(0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u));
}

TEST(Philox, IsAConstantExpression) {
  static_assert(Philox4x32({0, 0, 0, 0}, {0, 0})[0] == 0x6627e8d5u);
  static_assert(TokenUniform(0, 0, 0, 0) == static_cast<float>(0x6627e8) * 0x1p-24f);
}

// Values of token_uniforms in tests/reference/ref.py.
TEST(TokenUniform, EqualsTheReferenceScript) {
  EXPECT_EQ(TokenUniform(0u, 0, 0, 0), 0x1.989fa00000000p-2f);
  EXPECT_EQ(TokenUniform(7u, 0, 0, 0), 0x1.e8c0f40000000p-1f);
  EXPECT_EQ(TokenUniform(7u, 63, 6, 0), 0x1.45530c0000000p-1f);
  EXPECT_EQ(TokenUniform(123456789u, 8, 2, 3), 0x1.e406180000000p-3f);
  EXPECT_EQ(TokenUniform(18446744073709551615u, 255, 9, 0), 0x1.2403000000000p-1f);
  EXPECT_EQ(TokenUniform(16045690984503111693u, 4095, 13, 17), 0x1.d9db340000000p-2f);
}

TEST(TokenUniform, StaysBelowOneAndIsSpreadEvenly) {
  double sum = 0;
  constexpr int kCount = 100'000;
  for (uint32_t i = 0; i < kCount; ++i) {
    const float u = TokenUniform(42, i % 256, i / 256, 3);
    ASSERT_GE(u, 0.0f);
    ASSERT_LT(u, 1.0f);
    sum += u;
  }
  EXPECT_NEAR(sum / kCount, 0.5, 0.005);
}

TEST(TokenUniform, DependsOnEachOfItsArgumentsAndOnBothHalvesOfTheSeed) {
  const std::set<float> values = {
      TokenUniform(1, 2, 3, 4), TokenUniform(2, 2, 3, 4),
      TokenUniform(1, 3, 3, 4), TokenUniform(1, 2, 4, 4),
      TokenUniform(1, 2, 3, 5), TokenUniform(1 + (uint64_t{1} << 32), 2, 3, 4)};
  EXPECT_EQ(values.size(), 6u);
}

}  // namespace
}  // namespace hmar
