#include "client/tokens_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace hmar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TokensFile TwoImages() {
  return {
      .model = "tiny",
      .images = {{.seed = 7, .scales = {{1}, {2, 3, 4, 5}}},
                 {.seed = std::numeric_limits<uint64_t>::max(), .scales = {{9}, {8, 7, 6, 5}}}}};
}

TEST(TokensFileTest, SurvivesARoundTripWithTheLargestSeed) {
  const auto parsed = ParseTokens(FormatTokens(TwoImages()), "test");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->model, "tiny");
  ASSERT_EQ(parsed->images.size(), 2);
  EXPECT_EQ(parsed->images[0].scales, TwoImages().images[0].scales);
  EXPECT_EQ(parsed->images[1].seed, std::numeric_limits<uint64_t>::max());
}

TEST(TokensFileTest, APrefixIsTheFirstScalesOfOneImage) {
  const auto prefix = MakePrefix(TwoImages(), 1, 1);
  ASSERT_TRUE(prefix.ok()) << prefix.status();
  ASSERT_EQ(prefix->tokens_size(), 1);
  EXPECT_THAT(prefix->tokens(0).tokens(), ElementsAre(9));
}

TEST(TokensFileTest, NoCountMeansEveryScale) {
  const auto prefix = MakePrefix(TwoImages(), 0, 0);
  ASSERT_TRUE(prefix.ok()) << prefix.status();
  ASSERT_EQ(prefix->tokens_size(), 2);
  EXPECT_THAT(prefix->tokens(1).tokens(), ElementsAre(2, 3, 4, 5));
}

TEST(TokensFileTest, AnImageOrScaleThatIsNotThereIsAnError) {
  EXPECT_EQ(MakePrefix(TwoImages(), 2, 1).status(),
            absl::InvalidArgumentError("image 2 of a tokens file with 2"));
  EXPECT_EQ(MakePrefix(TwoImages(), 0, 3).status(),
            absl::InvalidArgumentError("3 scales of an image with 2"));
}

class BadTokensTest : public testing::TestWithParam<const char*> {};

TEST_P(BadTokensTest, IsAnErrorThatNamesTheFile) {
  const auto parsed = ParseTokens(GetParam(), "draft.json");
  EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(parsed.status().message()), HasSubstr("draft.json: not a tokens file"));
}

INSTANTIATE_TEST_SUITE_P(
    Texts, BadTokensTest,
    testing::Values("", "{", "[]", "{}", R"({"model": "m"})", R"({"model": 3, "images": []})",
                    R"({"model": "m", "images": [{"seed": 1}]})",
                    R"({"model": "m", "images": [{"seed": "x", "scales": []}]})",
                    R"({"model": "m", "images": [{"seed": 1, "scales": [["a"]]}]})"));

}  // namespace
}  // namespace hmar
