#include "server/scheduling/picture_tokens.h"

#include "gtest/gtest.h"

namespace hmar {
namespace {

std::shared_ptr<const TokenPyramid> Tokens(int32_t value, size_t count = 100) {
  return std::make_shared<const TokenPyramid>(TokenPyramid{TokenMap(count, value)});
}

TEST(PictureTokensTest, FindWhatWasInsertedForTheSameModelAlone) {
  PictureTokens uploads(1 << 20);
  const auto tokens = Tokens(1);
  uploads.Insert(0, "a", tokens);
  EXPECT_EQ(uploads.Find(0, "a"), tokens);
  EXPECT_EQ(uploads.Find(1, "a"), nullptr);
  EXPECT_EQ(uploads.Find(0, "b"), nullptr);
}

TEST(PictureTokensTest, DropTheLeastRecentlyUsedBeyondTheLimit) {
  PictureTokens one(1 << 20);
  one.Insert(0, "a", Tokens(0));
  PictureTokens uploads(3 * one.bytes());
  for (const char* digest : {"a", "b", "c"}) uploads.Insert(0, digest, Tokens(1));
  EXPECT_NE(uploads.Find(0, "a"), nullptr);  // Now b is the oldest.
  uploads.Insert(0, "d", Tokens(2));
  EXPECT_EQ(uploads.Find(0, "b"), nullptr);
  for (const char* digest : {"a", "c", "d"}) EXPECT_NE(uploads.Find(0, digest), nullptr) << digest;
  EXPECT_EQ(uploads.bytes(), 3 * one.bytes());
}

TEST(PictureTokensTest, StayWithinTheirLimitWhateverComes) {
  PictureTokens uploads(4000);
  for (int i = 0; i < 50; ++i) {
    uploads.Insert(0, std::to_string(i % 7), Tokens(i, 1 + i * 37 % 1200));
    EXPECT_LE(uploads.bytes(), 4000u);
  }
}

TEST(PictureTokensTest, KeepNothingWithoutALimit) {
  PictureTokens uploads(0);
  uploads.Insert(0, "a", Tokens(1));
  EXPECT_EQ(uploads.Find(0, "a"), nullptr);
  EXPECT_EQ(uploads.bytes(), 0u);
}

}  // namespace
}  // namespace hmar
