#include "client/edit_sheet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "client/contact_sheet.h"
#include "client/edit_options.h"
#include "client/png_codec.h"

namespace hmar {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint8_t kBar = ContactSheetOptions{}.background;

// Grey pixels, row by row.
std::string Png(uint32_t width, uint32_t height, const std::vector<uint8_t>& grey) {
  Picture picture{width, height, {}};
  for (const uint8_t level : grey) picture.rgb.insert(picture.rgb.end(), 3, level);
  return EncodePng(picture).value();
}

// Pixels 0, 1, 2, ...
std::string Numbered(uint32_t width, uint32_t height) {
  std::vector<uint8_t> grey(size_t{width} * height);
  for (size_t i = 0; i < grey.size(); ++i) grey[i] = static_cast<uint8_t>(i);
  return Png(width, height, grey);
}

std::vector<int> Reds(const Picture& picture) {
  std::vector<int> reds;
  for (size_t i = 0; i < picture.rgb.size(); i += 3) reds.push_back(picture.rgb[i]);
  return reds;
}

google::protobuf::RepeatedField<bool> Tokens(const std::vector<bool>& generated) {
  return {generated.begin(), generated.end()};
}

TEST(EditSheetTest, AnUploadOfThePicturesSizeIsShownAsItIs) {
  const auto fitted =
      FitUpload(RegenerateBox(Numbered(3, 3), {.x0 = 1, .y0 = 0, .x1 = 3, .y1 = 2}), 3, 3);
  ASSERT_TRUE(fitted.ok()) << fitted.status();
  EXPECT_THAT(Reds(fitted->source), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8));
  EXPECT_THAT(fitted->region, ElementsAre(0, 1, 1, 0, 1, 1, 0, 0, 0));
}

TEST(EditSheetTest, AKeepBoxIsTheOtherWayRound) {
  const auto fitted =
      FitUpload(KeepOnlyBox(Numbered(3, 3), {.x0 = 1, .y0 = 0, .x1 = 3, .y1 = 2}), 3, 3);
  ASSERT_TRUE(fitted.ok()) << fitted.status();
  EXPECT_THAT(fitted->region, ElementsAre(1, 0, 0, 1, 0, 0, 1, 1, 1));
}

TEST(EditSheetTest, AMaskIsTheRegionWhereItIsWhite) {
  const auto fitted =
      FitUpload(RegenerateMask(Numbered(2, 2), Png(2, 2, {127, 128, 255, 0})), 2, 2);
  ASSERT_TRUE(fitted.ok()) << fitted.status();
  EXPECT_THAT(fitted->region, ElementsAre(0, 1, 1, 0));
}

TEST(EditSheetTest, CoverShowsTheMiddleInAverages) {
  // Columns 1 to 4 of 6, each pixel of the sheet the mean of 2 x 2.
  v1::EditOptions edit = RegenerateBox(Numbered(6, 4), {.x0 = 4, .y0 = 3, .x1 = 5, .y1 = 4});
  edit.set_resize(v1::EditOptions::RESIZE_COVER);
  const auto fitted = FitUpload(edit, 2, 2);
  ASSERT_TRUE(fitted.ok()) << fitted.status();
  EXPECT_THAT(Reds(fitted->source), ElementsAre(5, 7, 17, 19));  // 4.5, 6.5, 16.5, 18.5.
  EXPECT_THAT(fitted->region, ElementsAre(0, 0, 0, 1));
}

TEST(EditSheetTest, ContainPutsBarsAboveAndBelowAndTheyAreTheRegion) {
  const auto fitted = FitUpload(FillBars(Numbered(4, 2)), 4, 4);
  ASSERT_TRUE(fitted.ok()) << fitted.status();
  EXPECT_THAT(Reds(fitted->source),
              ElementsAre(kBar, kBar, kBar, kBar, 0, 1, 2, 3, 4, 5, 6, 7, kBar, kBar, kBar, kBar));
  EXPECT_THAT(fitted->region, ElementsAre(1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1));
}

TEST(EditSheetTest, ContainPutsBarsLeftAndRightOfATallUpload) {
  v1::EditOptions edit = RegenerateBox(Numbered(1, 4), {.x0 = 0, .y0 = 3, .x1 = 1, .y1 = 4});
  edit.set_resize(v1::EditOptions::RESIZE_CONTAIN);
  const auto fitted = FitUpload(edit, 4, 4);
  ASSERT_TRUE(fitted.ok()) << fitted.status();
  EXPECT_THAT(fitted->region, ElementsAre(1, 0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1));
  EXPECT_EQ(Reds(fitted->source)[13], 3);
}

TEST(EditSheetTest, SmallUploadsGrow) {
  v1::EditOptions edit = RegenerateBox(Numbered(2, 2), {.x0 = 1, .y0 = 1, .x1 = 2, .y1 = 2});
  edit.set_resize(v1::EditOptions::RESIZE_COVER);
  const auto fitted = FitUpload(edit, 4, 4);
  ASSERT_TRUE(fitted.ok()) << fitted.status();
  EXPECT_THAT(Reds(fitted->source), ElementsAre(0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3));
  EXPECT_THAT(fitted->region, ElementsAre(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 1, 1));
}

TEST(EditSheetTest, AStripOfAnUploadStillHasAPixel) {
  const auto fitted = FitUpload(FillBars(Png(500, 1, std::vector<uint8_t>(500, 9))), 4, 4);
  ASSERT_TRUE(fitted.ok()) << fitted.status();
  EXPECT_EQ(std::count(fitted->region.begin(), fitted->region.end(), 0), 4);
}

TEST(EditSheetTest, ABoxBeyondTheUploadIsCutOff) {
  const auto fitted = FitUpload(
      RegenerateBox(Numbered(2, 2), {.x0 = 1, .y0 = 0, .x1 = 4294967295, .y1 = 4294967295}), 2, 2);
  ASSERT_TRUE(fitted.ok()) << fitted.status();
  EXPECT_THAT(fitted->region, ElementsAre(0, 1, 0, 1));
}

TEST(EditSheetTest, WhatIsNoPictureIsAnErrorThatNamesIt) {
  const auto image = FitUpload(RegenerateMask("image", Png(1, 1, {0})), 2, 2);
  EXPECT_THAT(std::string(image.status().message()), HasSubstr("the image: not a PNG"));
  const auto mask = FitUpload(RegenerateMask(Numbered(2, 2), "mask"), 2, 2);
  EXPECT_THAT(std::string(mask.status().message()), HasSubstr("the mask: not a PNG"));
  const auto size = FitUpload(RegenerateMask(Numbered(2, 2), Numbered(2, 1)), 2, 2);
  EXPECT_EQ(size.status(),
            absl::InvalidArgumentError("the mask has 2 x 1 pixels, the image 2 x 2"));
}

TEST(EditSheetTest, TheRegionIsTintedStronglyItsTokensFaintlyAndTheRestNotAtAll) {
  // 4 x 4 pixels of black, 2 x 2 tokens: the upper right one is generated for one pixel of it.
  FittedUpload upload{.source = {4, 4, std::vector<uint8_t>(48, 0)},
                      .region = std::vector<uint8_t>(16, 0)};
  upload.region[3] = 1;
  const auto marked = MarkRegion(upload, Tokens({false, true, false, false}));
  ASSERT_TRUE(marked.ok()) << marked.status();
  constexpr int kStrong = 153;  // 60 % of 255.
  constexpr int kFaint = 64;    // 25 %.
  EXPECT_THAT(Reds(*marked), ElementsAre(0, 0, kFaint, kStrong, 0, 0, kFaint, kFaint,  //
                                         0, 0, 0, 0, 0, 0, 0, 0));
  EXPECT_THAT(upload.source.rgb, Each(0));
}

TEST(EditSheetTest, TokensThatDoNotDivideThePictureAreMarkedWhereTheyLie) {
  const FittedUpload upload{.source = {5, 5, std::vector<uint8_t>(75, 0)},
                            .region = std::vector<uint8_t>(25, 0)};
  const auto marked = MarkRegion(upload, Tokens({true, false, false, false}));
  ASSERT_TRUE(marked.ok()) << marked.status();
  EXPECT_THAT(Reds(*marked), ElementsAre(64, 64, 64, 0, 0, 64, 64, 64, 0, 0, 64, 64, 64, 0, 0,  //
                                         0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
}

TEST(EditSheetTest, WithoutTokensTheRegionAloneIsMarked) {
  const FittedUpload upload{.source = {2, 1, std::vector<uint8_t>(6, 0)}, .region = {1, 0}};
  EXPECT_THAT(Reds(MarkRegion(upload, {}).value()), ElementsAre(153, 0));
}

TEST(EditSheetTest, TokensThatAreNoSquareAreAnError) {
  const FittedUpload upload{.source = {2, 1, std::vector<uint8_t>(6, 0)}, .region = {1, 0}};
  EXPECT_EQ(MarkRegion(upload, Tokens({true, false, true})).status(),
            absl::DataLossError("generated_tokens: 3 tokens make no square"));
}

}  // namespace
}  // namespace hmar
