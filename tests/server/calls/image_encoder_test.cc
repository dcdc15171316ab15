#include "server/calls/image_encoder.h"

#include <gtest/gtest.h>
#include <png.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace hmar {
namespace {

Picture TestPicture(uint32_t width, uint32_t height) {
  Picture picture{width, height, {}};
  uint32_t state = 1;
  for (uint32_t i = 0; i < 3 * width * height; ++i) {
    state = state * 1664525 + 1013904223;
    picture.rgb.push_back(static_cast<uint8_t>(i % 251 / 2 + (state >> 28)));
  }
  return picture;
}

// Decodes with libpng's simplified API, which shares no code of ours.
Picture Decode(const std::string& png) {
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  EXPECT_TRUE(png_image_begin_read_from_memory(&image, png.data(), png.size())) << image.message;
  EXPECT_EQ(image.format, static_cast<png_uint_32>(PNG_FORMAT_RGB));
  Picture picture{image.width, image.height, std::vector<uint8_t>(PNG_IMAGE_SIZE(image))};
  EXPECT_TRUE(png_image_finish_read(&image, nullptr, picture.rgb.data(), 0, nullptr))
      << image.message;
  return picture;
}

// Chunks by type, in file order where a type repeats: read by the file format alone.
std::multimap<std::string, std::string> Chunks(const std::string& png) {
  std::multimap<std::string, std::string> chunks;
  for (size_t at = 8; at + 12 <= png.size();) {
    uint32_t length = 0;
    for (int i = 0; i < 4; ++i) length = length << 8 | static_cast<uint8_t>(png[at + i]);
    chunks.emplace(png.substr(at + 4, 4), png.substr(at + 8, length));
    at += 12 + length;
  }
  return chunks;
}

TEST(ImageEncoderTest, EveryLevelDecodesToTheSamePixels) {
  const Picture picture = TestPicture(17, 5);
  for (int level = 0; level <= 9; ++level) {
    const auto png = EncodePng(picture, {level, ""});
    ASSERT_TRUE(png.ok()) << png.status();
    const Picture decoded = Decode(*png);
    EXPECT_EQ(decoded.width, 17u);
    EXPECT_EQ(decoded.height, 5u);
    EXPECT_EQ(decoded.rgb, picture.rgb) << "level " << level;
  }
}

TEST(ImageEncoderTest, ALevelAboveNoneCompresses) {
  const Picture picture = TestPicture(64, 64);
  EXPECT_LT(EncodePng(picture, {1, ""})->size(), EncodePng(picture, {0, ""})->size());
}

TEST(ImageEncoderTest, TheSamePictureGivesTheSameBytes) {
  const Picture picture = TestPicture(32, 32);
  EXPECT_EQ(*EncodePng(picture, {1, "{\"seed\":7}"}), *EncodePng(picture, {1, "{\"seed\":7}"}));
}

TEST(ImageEncoderTest, TheReceiptIsAnUncompressedTextChunk) {
  const Picture picture = TestPicture(8, 8);
  const std::string json = "{\"request_id\":\"caf\xc3\xa9\"}";
  const auto png = EncodePng(picture, {1, json});
  ASSERT_TRUE(png.ok()) << png.status();
  const auto chunks = Chunks(*png);
  ASSERT_EQ(chunks.count("iTXt"), 1u);
  // Keyword, 0, uncompressed, method 0, no language, no translated keyword, text.
  const std::string head = std::string("hmar-receipt") + std::string(5, '\0');
  EXPECT_EQ(chunks.find("iTXt")->second, head + json);
  EXPECT_EQ(Decode(*png).rgb, picture.rgb);
}

TEST(ImageEncoderTest, WithoutAReceiptThereIsNoTextChunk) {
  EXPECT_EQ(Chunks(*EncodePng(TestPicture(8, 8), {1, ""})).count("iTXt"), 0u);
}

TEST(ImageEncoderTest, APictureThatPngCannotHoldIsAnError) {
  const auto png = EncodePng(Picture{0, 4, {}}, {1, ""});
  EXPECT_EQ(png.status().code(), absl::StatusCode::kInternal);
  EXPECT_NE(png.status().message().find("0 x 4"), absl::string_view::npos);
}

}  // namespace
}  // namespace hmar
