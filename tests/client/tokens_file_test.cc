#include "client/tokens_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "absl/strings/str_cat.h"

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

TEST(TokensFileTest, TheModelsNameIsWrittenInAsciiWhateverItIs) {
  TokensFile file = TwoImages();
  file.model = "\x1b[2J\n\xe2\x80\xae";
  const std::string text = FormatTokens(file);
  EXPECT_THAT(text, HasSubstr(R"("model":"\u001b[2J\n\u202e")"));
  EXPECT_EQ(ParseTokens(text, "test")->model, file.model);
  file.model = "\xff";
  EXPECT_EQ(ParseTokens(FormatTokens(file), "test")->model, "\xef\xbf\xbd");
}

TEST(TokensFileTest, APrefixIsTheFirstScalesOfOneImage) {
  const auto prefix = MakePrefix(TwoImages(), "t.json", 1, 1);
  ASSERT_TRUE(prefix.ok()) << prefix.status();
  ASSERT_EQ(prefix->tokens_size(), 1);
  EXPECT_THAT(prefix->tokens(0).tokens(), ElementsAre(9));
}

TEST(TokensFileTest, NoCountMeansEveryScale) {
  const auto prefix = MakePrefix(TwoImages(), "t.json", 0, 0);
  ASSERT_TRUE(prefix.ok()) << prefix.status();
  ASSERT_EQ(prefix->tokens_size(), 2);
  EXPECT_THAT(prefix->tokens(1).tokens(), ElementsAre(2, 3, 4, 5));
}

TEST(TokensFileTest, AnImageOrScaleThatIsNotThereIsAnError) {
  EXPECT_EQ(MakePrefix(TwoImages(), "t.json", 2, 1).status(),
            absl::InvalidArgumentError("t.json: no image 2: it holds 2, counted from 0"));
  EXPECT_EQ(MakePrefix(TwoImages(), "t.json", 0, 3).status(),
            absl::InvalidArgumentError("t.json: image 0 holds 2 scales, too few to keep 3"));
}

TEST(TokensFileTest, AnImageWithoutTokensIsNoDraft) {
  const TokensFile file{.model = "tiny", .images = {{.seed = 7, .scales = {}}}};
  EXPECT_EQ(MakePrefix(file, "t.json", 0, 0).status(),
            absl::InvalidArgumentError("t.json: image 0 holds 0 scales, too few to keep 1"));
}

TEST(TokensFileTest, NumbersThatAreNoTokensAreNamedByTheirPlace) {
  for (const char* token : {"-1", "1.5", "4294967296", "true", "\"1\"", "null", "[]"}) {
    const auto parsed =
        ParseTokens(absl::StrCat(R"({"model": "m", "images": [{"seed": 1, "scales": [[1], [2, )",
                                 token, "]]}]}"),
                    "t.json");
    EXPECT_EQ(parsed.status(),
              absl::InvalidArgumentError("t.json: not a tokens file: scales of image 0: [1][1] is "
                                         "no whole number in [0, 2^32)"))
        << token;
  }
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
                    R"({"model": "m", "images": 7})",
                    R"({"model": "m", "images": [{"seed": 1, "scales": [1]}]})",
                    R"({"model": "m", "images": [{"seed": 1, "scales": {}}]})",
                    R"({"model": "m", "images": [{"seed": 1, "scales": [["a"]]}]})"));

}  // namespace
}  // namespace hmar
