// `hmar edit` as a shell runs it, against a fake service.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/edit_request.h"
#include "client/tokens_file.h"
#include "tests/client/fake_service.h"
#include "tests/client/hmar_fixture.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class HmarEditTest : public HmarTest {
 protected:
  HmarEditTest() {
    image_ = EncodePng(Square(8, 200)).value();
    EXPECT_TRUE(WriteFile(Path("in.png"), image_).ok());
  }

  // The answer to `variations` images: of 2 x 2 tokens, the upper left one generated.
  void Answer(uint32_t variations, Previews previews = Previews::kNone) {
    auto events = StreamOf(variations, 7, v1::OutputOptions::FORMAT_PNG, previews);
    for (v1::GenerateResponse& event : events) {
      if (!event.has_image()) continue;
      for (const bool generated : {true, false, false, false}) {
        event.mutable_image()->add_generated_tokens(generated);
      }
    }
    server_.service().SetScript({.events = std::move(events), .status = {}});
  }

  // `hmar edit` of in.png to OUT/cat.png.
  ProcessResult Edit(std::vector<std::string> more) {
    more.insert(more.begin(), {"edit", "--image", Path("in.png"), "--out", Path("out/cat.png")});
    return Run(more);
  }

  std::string image_;
};

TEST_F(HmarEditTest, SendsTheFileAndWritesTheAnswerAndNothingElse) {
  Answer(1);
  const ProcessResult result =
      Edit({"--box", "0,0,4,4", "--class", "cat", "--feather", "2", "--resize", "cover"});
  EXPECT_EQ(result.exit_code, 0) << result.error;
  EXPECT_EQ(result.out, Path("out/cat.png") + "\n");
  EXPECT_THAT(result.error, HasSubstr("(1 of 4 tokens generated)"));
  EXPECT_THAT(FilesIn("out"), ElementsAre("cat.png"));
  EXPECT_EQ(ReadPicture("out/cat.png").rgb, Square(8, 2).rgb);
  const v1::GenerateRequest request = server_.service().last_request();
  EXPECT_EQ(request.edit().image(), image_);
  EXPECT_EQ(request.edit().box().x1(), 4);
  EXPECT_EQ(request.edit().feather(), 2);
  EXPECT_EQ(request.edit().resize(), v1::EditOptions::RESIZE_COVER);
  EXPECT_EQ(request.class_name(), "cat");
  EXPECT_FALSE(request.has_previews());
}

TEST_F(HmarEditTest, TheSheetHasSourceRegionPreviewsAndResultARowAVariation) {
  Answer(2, Previews::kAllButTheLast);
  const ProcessResult result =
      Edit({"--box", "0,0,2,2", "--count", "2", "--sheet", Path("sheets/s.png")});
  EXPECT_EQ(result.exit_code, 0) << result.error;
  EXPECT_EQ(server_.service().last_request().previews().mode(), v1::PreviewOptions::MODE_FAST);
  EXPECT_THAT(FilesIn("out"), ElementsAre("cat-7.png", "cat-8.png"));
  EXPECT_THAT(result.out, HasSubstr(Path("sheets/s.png")));
  const Picture sheet = ReadPicture("sheets/s.png");
  ASSERT_EQ(sheet.width, 4 + 5 * 132);
  ASSERT_EQ(sheet.height, 4 + 2 * 132);
  const auto red_at = [&](uint32_t row, uint32_t column, uint32_t x, uint32_t y) {
    // Pixels of 8 x 8 are 16 times as large here.
    const size_t left = 4 + 132 * column + 16 * x + 8;
    const size_t top = 4 + 132 * row + 16 * y + 8;
    return static_cast<int>(sheet.rgb[(top * sheet.width + left) * 3]);
  };
  for (uint32_t row = 0; row < 2; ++row) {
    EXPECT_EQ(red_at(row, 0, 0, 0), 200);
    EXPECT_EQ(red_at(row, 1, 0, 0), 233);  // In the region: 60 % tint.
    EXPECT_EQ(red_at(row, 1, 3, 3), 214);  // In its token: 25 %.
    EXPECT_EQ(red_at(row, 1, 4, 4), 200);
    for (int column = 2; column < 5; ++column) {
      EXPECT_EQ(red_at(row, column, 4, 4), 10 * row + column - 2);
    }
  }
}

TEST_F(HmarEditTest, PreviewsAskedForAreFilesToo) {
  Answer(1, Previews::kAllButTheLast);
  ASSERT_EQ(Edit({"--box", "0,0,4,4", "--previews", "full"}).exit_code, 0);
  EXPECT_THAT(FilesIn("out"), ElementsAre("cat-scale-00.png", "cat-scale-01.png", "cat.png"));
  EXPECT_EQ(server_.service().last_request().previews().mode(), v1::PreviewOptions::MODE_FULL);
  Answer(2, Previews::kAllButTheLast);
  ASSERT_EQ(Edit({"--box", "0,0,4,4", "--previews", "full", "--count", "2"}).exit_code, 0);
  EXPECT_TRUE(FilesIn("out").count("cat-8-scale-01.png"));
}

TEST_F(HmarEditTest, AMaskTravelsAndIsDrawn) {
  Answer(1);
  const std::string mask = EncodePng(Square(8, 255)).value();
  ASSERT_TRUE(WriteFile(Path("mask.png"), mask).ok());
  const ProcessResult result = Edit({"--mask", Path("mask.png"), "--no-composite", "--sheet",
                                     Path("s.png"), "--previews", "none"});
  EXPECT_EQ(result.exit_code, 0) << result.error;
  EXPECT_EQ(server_.service().last_request().edit().mask(), mask);
  EXPECT_TRUE(server_.service().last_request().edit().has_composite());
  EXPECT_FALSE(server_.service().last_request().edit().composite());
  const Picture sheet = ReadPicture("s.png");
  EXPECT_EQ(sheet.rgb[((size_t{4} + 64) * sheet.width + 4 + 132 + 127) * 3], 233);
}

TEST_F(HmarEditTest, ContainNeedsNoRegion) {
  Answer(1, Previews::kAllButTheLast);
  EXPECT_EQ(Edit({"--resize", "contain", "--sheet", Path("s.png")}).exit_code, 0);
  const v1::EditOptions edit = server_.service().last_request().edit();
  EXPECT_EQ(edit.region_case(), v1::EditOptions::REGION_NOT_SET);
  EXPECT_EQ(edit.resize(), v1::EditOptions::RESIZE_CONTAIN);
}

TEST_F(HmarEditTest, TokensOfEditsAreSavedAndContinuedLikeAnyOthers) {
  Answer(2);
  ASSERT_EQ(Edit({"--box", "0,0,4,4", "--count", "2", "--save-tokens", Path("t.json")}).exit_code,
            0);
  EXPECT_TRUE(server_.service().last_request().output().return_tokens());
  EXPECT_EQ(ParseTokens(ReadFile(Path("t.json")).value(), "t.json")->images.size(), 2);
  ASSERT_EQ(Edit({"--box", "0,0,4,4", "--from-tokens", Path("t.json"), "--from-image", "1",
                  "--scales", "1", "--count", "2"})
                .exit_code,
            0);
  const v1::GenerateRequest request = server_.service().last_request();
  ASSERT_EQ(request.prefix().tokens_size(), 1);
  EXPECT_THAT(request.prefix().tokens(0).tokens(), ElementsAre(1));
  EXPECT_TRUE(request.has_edit());
}

TEST_F(HmarEditTest, ValidateOnlyPrintsThePriceAndWritesNothing) {
  const auto events = StreamOf(1, 7, v1::OutputOptions::FORMAT_PNG);
  server_.service().SetScript({.events = {events.front(), events.back()}, .status = {}});
  const ProcessResult result =
      Run({"edit", "--image", Path("in.png"), "--box", "0,0,4,4", "--validate-only"});
  EXPECT_EQ(result.exit_code, 0) << result.error;
  EXPECT_THAT(result.out, HasSubstr("valid: request r-1"));
  EXPECT_TRUE(server_.service().last_request().validate_only());
}

TEST_F(HmarEditTest, WhatTheServerRefusesExitsWith1WithASheetToo) {
  ASSERT_TRUE(WriteFile(Path("in.png"), "no PNG").ok());
  server_.service().SetScript(
      {.events = {}, .status = {grpc::StatusCode::INVALID_ARGUMENT, "edit.image is no PNG"}});
  const ProcessResult result = Edit({"--box", "0,0,4,4", "--sheet", Path("s.png")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.error, HasSubstr("INVALID_ARGUMENT: edit.image is no PNG"));
  EXPECT_THAT(FilesIn("out"), ElementsAre());
}

TEST_F(HmarEditTest, MistakesExitWith2BeforeAnythingIsSent) {
  Answer(1);
  const std::vector<std::string> unsent = {"--class", "unsent"};
  for (std::vector<std::string> mistake : std::vector<std::vector<std::string>>{
           {"--box", "0,0,4"},
           {"--box", "0,0,4,4", "--mask", Path("in.png")},
           {},
           {"--mask", "/no/such.png"},
           {"--box", "0,0,4,4", "--from-tokens", "/no/such.json"},
           {"--box", "0,0,4,4", "--from-tokens", Path("in.png")}}) {
    mistake.insert(mistake.end(), unsent.begin(), unsent.end());
    const ProcessResult result = Edit(mistake);
    EXPECT_EQ(result.exit_code, 2) << result.error;
    EXPECT_NE(result.error, "");
  }
  const std::string large = Path("large.png");
  ASSERT_TRUE(WriteFile(large, "").ok());
  std::filesystem::resize_file(large, kMaxUploadBytes + 1);
  const ProcessResult result =
      Run({"edit", "--image", large, "--box", "0,0,4,4", "--class", "unsent", "--out", "o.png"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.error, "hmar: INVALID_ARGUMENT: --image: '" + large +
                              "' has 536870913 bytes; at most 536870912\n");
  EXPECT_EQ(server_.service().last_request().class_name(), "");
  EXPECT_FALSE(std::filesystem::exists(Path("out")));
}

TEST_F(HmarEditTest, ASheetThatCannotBeWrittenExitsWith4AfterTheResult) {
  Answer(1, Previews::kAllButTheLast);
  std::filesystem::create_directories(Path("s.png"));  // A folder in its place.
  const ProcessResult result = Edit({"--box", "0,0,4,4", "--sheet", Path("s.png")});
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_THAT(result.error, HasSubstr("cannot write '" + Path("s.png")));
  EXPECT_TRUE(FilesIn("out").count("cat.png"));
}

}  // namespace
}  // namespace hmar
