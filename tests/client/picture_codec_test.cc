#include "client/picture_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "client/picture_header.h"
#include "client/png_codec.h"
#include "tests/server/uploads/picture_maker.h"

namespace hmar {
namespace {

using ::testing::HasSubstr;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

void ExpectClose(const Picture& a, const Picture& b) {
  ASSERT_EQ(a.width, b.width);
  ASSERT_EQ(a.height, b.height);
  ASSERT_EQ(a.rgb.size(), b.rgb.size());
  double sum = 0;
  for (size_t i = 0; i < a.rgb.size(); ++i) sum += std::abs(a.rgb[i] - b.rgb[i]);
  EXPECT_LT(sum / static_cast<double>(a.rgb.size()), 8);
}

TEST(PictureCodecTest, EveryFormatIsDecodedUpright) {
  const Picture picture = SmoothPicture(40, 24);
  EXPECT_EQ(DecodePicture(EncodePng(picture).value(), "png")->rgb, picture.rgb);
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const Picture upright = Upright(picture, orientation);
    const auto jpeg = DecodePicture(
        MakeJpeg({.width = 40, .height = 24, .orientation = orientation}, picture.rgb), "jpeg");
    ASSERT_TRUE(jpeg.ok()) << jpeg.status();
    ExpectClose(*jpeg, upright);
    for (const bool lossless : {false, true}) {
      const auto webp = DecodePicture(
          MakeWebp({.width = 40, .height = 24, .lossless = lossless, .orientation = orientation},
                   picture.rgb),
          "webp");
      ASSERT_TRUE(webp.ok()) << webp.status();
      if (lossless) {
        EXPECT_EQ(webp->rgb, upright.rgb);
      }
      ExpectClose(*webp, upright);
    }
  }
}

TEST(PictureCodecTest, HeadersSayTheStoredSize) {
  const Picture picture = SmoothPicture(40, 24);
  const std::vector<std::string> files = {
      MakeJpeg({.width = 40, .height = 24, .progressive = true, .orientation = 6}, picture.rgb),
      MakeWebp({.width = 40, .height = 24}, picture.rgb),
      MakeWebp({.width = 40, .height = 24, .lossless = true}, picture.rgb),
      MakeWebp({.width = 40, .height = 24, .orientation = 6}, picture.rgb)};
  for (const std::string& file : files) {
    const auto size = ReadPictureSize(file);
    ASSERT_TRUE(size.has_value());
    EXPECT_EQ(size->width, 40u);
    EXPECT_EQ(size->height, 24u);
    EXPECT_FALSE(size->animated);
    for (size_t bytes = 0; bytes < 30; ++bytes) {
      EXPECT_FALSE(ReadPictureSize(file.substr(0, bytes)).has_value()) << bytes;
    }
  }
  EXPECT_TRUE(ReadPictureSize(MakeAnimatedWebp(16))->animated);
}

TEST(PictureCodecTest, AMaskOfAnyFormatIsWhiteFromALumaOf128) {
  std::vector<uint8_t> half(size_t{3} * 16 * 16, 255);
  for (size_t i = 0; i < half.size(); ++i) half[i] = i / 3 % 16 < 8 ? 0 : 255;
  for (const std::string& file :
       {MakeJpeg({.width = 16, .height = 16}, half), MakeWebp({.width = 16, .height = 16}, half),
        EncodePng({16, 16, half}).value()}) {
    const auto mask = DecodeMask(file, "mask");
    ASSERT_TRUE(mask.ok()) << mask.status();
    for (size_t i = 0; i < 256; ++i) EXPECT_EQ(mask->white[i], i % 16 >= 8) << i;
  }
}

TEST(PictureCodecTest, TransparencyLiesOverTheBackgroundAskedFor) {
  const std::vector<uint8_t> rgba = {9, 9, 9, 0, 10, 20, 30, 255};
  const std::string webp =
      MakeWebp({.width = 2, .height = 1, .lossless = true, .alpha = true}, rgba);
  EXPECT_EQ(DecodePicture(webp, "w")->rgb, (std::vector<uint8_t>{0, 0, 0, 10, 20, 30}));
  EXPECT_EQ(DecodePicture(webp, "w", 255)->rgb, (std::vector<uint8_t>{255, 255, 255, 10, 20, 30}));
}

TEST(PictureCodecTest, WhatIsDamagedOrNotReadIsAnErrorThatNamesItsSource) {
  const Picture picture = SmoothPicture(40, 24);
  const std::string jpeg = MakeJpeg({.width = 40, .height = 24}, picture.rgb);
  const std::string webp = MakeWebp({.width = 40, .height = 24}, picture.rgb);
  EXPECT_THAT(Message(DecodePicture("GIF89a", "cat.gif").status()),
              HasSubstr("cat.gif: not a PNG, JPEG or WebP"));
  EXPECT_THAT(Message(DecodePicture(jpeg.substr(0, jpeg.size() / 2 + 300), "cat.jpg").status()),
              HasSubstr("cat.jpg: damaged JPEG: "));
  EXPECT_THAT(Message(DecodePicture(webp.substr(0, webp.size() / 2), "cat.webp").status()),
              HasSubstr("cat.webp: damaged WebP"));
  EXPECT_THAT(Message(DecodePicture(MakeAnimatedWebp(16), "cat.webp").status()),
              HasSubstr("cat.webp: an animated WebP"));
  const std::string cmyk =
      MakeJpeg({.width = 8, .height = 8, .components = 4}, std::vector<uint8_t>(256, 100));
  EXPECT_THAT(Message(DecodePicture(cmyk, "cmyk.jpg").status()), HasSubstr("cmyk.jpg: "));
  EXPECT_FALSE(DecodePicture(cmyk, "cmyk.jpg").ok());
}

TEST(PictureCodecTest, AHugeSizeIsRefusedByTheHeader) {
  std::string jpeg = MakeJpeg({.width = 40, .height = 24}, SmoothPicture(40, 24).rgb);
  const size_t frame = jpeg.find("\xFF\xC0");
  jpeg.replace(frame + 5, 4, "\xFF\xFF\xFF\xFF");
  EXPECT_THAT(Message(DecodePicture(jpeg, "huge").status()),
              HasSubstr("huge: 65535 x 65535 pixels; 1 to 32768 a side"));
}

}  // namespace
}  // namespace hmar
