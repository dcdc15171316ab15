#include "client/png_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <png.h>
#include <unistd.h>

#include "tests/client/fake_service.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

TEST(PngFileTest, PicturesSurviveARoundTrip) {
  Picture picture{3, 2, {}};
  for (uint8_t i = 0; i < 18; ++i) picture.rgb.push_back(14 * i);
  const auto png = EncodePng(picture);
  ASSERT_TRUE(png.ok()) << png.status();
  const auto decoded = DecodePng(*png, "test");
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->width, 3);
  EXPECT_EQ(decoded->height, 2);
  EXPECT_EQ(decoded->rgb, picture.rgb);
}

TEST(PngFileTest, TextThatIsNoPngIsAnErrorThatNamesItsSource) {
  const auto decoded = DecodePng("not a png", "ship.png");
  EXPECT_EQ(decoded.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(decoded.status()), HasSubstr("ship.png: not a PNG"));
}

TEST(PngFileTest, EveryTruncationIsAnError) {
  const std::string png = EncodePng(Square(8, 3)).value();
  for (size_t bytes = 0; bytes + 12 < png.size(); ++bytes) {  // Without IEND the pixels are whole.
    EXPECT_FALSE(DecodePng(png.substr(0, bytes), "cut").ok()) << bytes << " of " << png.size();
  }
}

TEST(PngFileTest, AHugePictureIsRefusedByItsHeader) {
  const auto decoded =
      DecodePng(EncodePng(Picture{32769, 1, std::vector<uint8_t>(3 * 32769)}).value(), "wide");
  EXPECT_EQ(decoded.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(decoded.status()), HasSubstr("32769 x 1"));
}

// Writes 8-bit RGBA.
std::string EncodeRgba(uint32_t width, uint32_t height, const std::vector<uint8_t>& rgba) {
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  image.width = width;
  image.height = height;
  image.format = PNG_FORMAT_RGBA;
  std::string png(PNG_IMAGE_PNG_SIZE_MAX(image), '\0');
  png_alloc_size_t bytes = png.size();
  EXPECT_TRUE(png_image_write_to_memory(&image, png.data(), &bytes, 0, rgba.data(), 0, nullptr));
  png.resize(bytes);
  return png;
}

TEST(PngFileTest, TransparencyLiesOverTheBackgroundAskedFor) {
  const std::string png = EncodeRgba(2, 1, {9, 9, 9, 0, 10, 20, 30, 255});
  EXPECT_THAT(DecodePng(png, "test")->rgb, ElementsAre(0, 0, 0, 10, 20, 30));
  EXPECT_THAT(DecodePng(png, "test", 255)->rgb, ElementsAre(255, 255, 255, 10, 20, 30));
}

TEST(PngFileTest, AMaskIsWhiteFromALumaOf128WhateverItsAlpha) {
  const std::string png = EncodeRgba(3, 2, {127, 127, 127, 255, 128, 128, 128, 255,  //
                                            255, 255, 255, 0,   0,   0,   0,   0,    //
                                            0,   255, 0,   255, 255, 0,   255, 255});
  const auto mask = DecodePngMask(png, "test");
  ASSERT_TRUE(mask.ok()) << mask.status();
  EXPECT_EQ(mask->width, 3);
  EXPECT_EQ(mask->height, 2);
  EXPECT_THAT(mask->white, ElementsAre(0, 1, 1, 0, 1, 0));  // Green is 150 of 255, magenta 105.
}

TEST(PngFileTest, AMaskThatIsNoPngIsAnErrorThatNamesItsSource) {
  EXPECT_THAT(Message(DecodePngMask("white", "the mask").status()),
              HasSubstr("the mask: not a PNG"));
}

TEST(PngFileTest, FilesSurviveARoundTrip) {
  const std::string path = testing::TempDir() + "/png_file_test." + std::to_string(getpid());
  const std::string bytes("a\0b\nc", 5);
  ASSERT_TRUE(WriteFile(path, bytes).ok());
  EXPECT_EQ(ReadFile(path).value(), bytes);
  ASSERT_TRUE(WriteFile(path, "x").ok());
  EXPECT_EQ(ReadFile(path).value(), "x");
  ASSERT_TRUE(WriteFile(path, "").ok());
  EXPECT_EQ(ReadFile(path).value(), "");
  unlink(path.c_str());
}

TEST(PngFileTest, FilesThatCannotBeOpenedAreNamedWithTheReason) {
  EXPECT_EQ(ReadFile("/no/such/file").status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Message(ReadFile("/no/such/file").status()),
              HasSubstr("'/no/such/file': No such file"));
  EXPECT_THAT(Message(ReadFile("/").status()), HasSubstr("'/': Is a directory"));
  EXPECT_THAT(Message(WriteFile("/no/such/file", "x")), HasSubstr("'/no/such/file'"));
}

TEST(PngFileTest, AFileIsReadUpToItsLimitAndNoFurther) {
  const std::string path = testing::TempDir() + "/png_file_test.limit." + std::to_string(getpid());
  ASSERT_TRUE(WriteFile(path, "12345").ok());
  EXPECT_EQ(ReadFile(path, 5).value(), "12345");
  EXPECT_EQ(ReadFile(path, 4).status(),
            absl::InvalidArgumentError("'" + path + "' has 5 bytes; at most 4"));
  unlink(path.c_str());
  EXPECT_EQ(ReadFile("/dev/zero", 1000).status(),
            absl::InvalidArgumentError("'/dev/zero' has more than 1000 bytes; at most 1000"));
}

}  // namespace
}  // namespace hmar
