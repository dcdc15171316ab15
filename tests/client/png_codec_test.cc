#include "client/png_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <png.h>
#include <sys/resource.h>
#include <zlib.h>

#include <ctime>

#include "client/picture_codec.h"
#include "tests/client/crafted_png.h"
#include "tests/client/fake_service.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

TEST(PngCodecTest, PicturesSurviveARoundTrip) {
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

TEST(PngCodecTest, TextThatIsNoPngIsAnErrorThatNamesItsSource) {
  const auto decoded = DecodePng("not a png", "ship.png");
  EXPECT_EQ(decoded.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(decoded.status()), HasSubstr("ship.png: not a PNG"));
}

TEST(PngCodecTest, EveryTruncationIsAnError) {
  const std::string png = EncodePng(Square(8, 3)).value();
  for (size_t bytes = 0; bytes < png.size(); ++bytes) {
    EXPECT_FALSE(DecodePng(png.substr(0, bytes), "cut").ok()) << bytes << " of " << png.size();
  }
}

TEST(PngCodecTest, AHugePictureIsRefusedByItsHeader) {
  const auto decoded =
      DecodePng(EncodePng(Picture{32769, 1, std::vector<uint8_t>(3 * 32769)}).value(), "wide");
  EXPECT_EQ(decoded.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(decoded.status()), HasSubstr("32769 x 1"));
}

struct Kind {
  uint32_t width;
  uint32_t height;
  int color_type;
  int bit_depth;
  int interlace;
};

int ChannelsOf(int color_type) {
  return (color_type & PNG_COLOR_MASK_COLOR ? 3 : 1) + (color_type & PNG_COLOR_MASK_ALPHA ? 1 : 0);
}

// 8 bits; a 16-bit sample has it twice.
uint8_t Sample(size_t pixel, int channel) {
  return static_cast<uint8_t>(17 * pixel + 29 * channel);
}

uint8_t AlphaOf(int color_type, size_t pixel) {
  return color_type & PNG_COLOR_MASK_ALPHA ? Sample(pixel, ChannelsOf(color_type) - 1) : 255;
}

uint8_t OverWhite(uint8_t sample, uint8_t alpha) {
  return static_cast<uint8_t>((sample * alpha + 255 * (255 - alpha) + 127) / 255);
}

std::string Encode(const Kind& kind) {
  std::string bytes;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(
      png, &bytes,
      [](png_structp p, png_bytep data, size_t size) {
        static_cast<std::string*>(png_get_io_ptr(p))->append(reinterpret_cast<char*>(data), size);
      },
      nullptr);
  png_set_IHDR(png, info, kind.width, kind.height, kind.bit_depth, kind.color_type, kind.interlace,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  std::vector<std::vector<uint8_t>> rows(kind.height);
  std::vector<png_bytep> pointers;
  for (uint32_t y = 0; y < kind.height; ++y) {
    for (uint32_t x = 0; x < kind.width; ++x) {
      for (int channel = 0; channel < ChannelsOf(kind.color_type); ++channel) {
        rows[y].insert(rows[y].end(), kind.bit_depth / 8, Sample(y * kind.width + x, channel));
      }
    }
    pointers.push_back(rows[y].data());
  }
  png_set_rows(png, info, pointers.data());
  png_write_png(png, info, PNG_TRANSFORM_IDENTITY, nullptr);
  png_destroy_write_struct(&png, &info);
  return bytes;
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

TEST(PngCodecTest, TransparencyLiesOverTheBackgroundAskedFor) {
  const std::string png = EncodeRgba(2, 1, {9, 9, 9, 0, 10, 20, 30, 255});
  EXPECT_THAT(DecodePng(png, "test")->rgb, ElementsAre(0, 0, 0, 10, 20, 30));
  EXPECT_THAT(DecodePng(png, "test", 255)->rgb, ElementsAre(255, 255, 255, 10, 20, 30));
}

TEST(PngCodecTest, AMaskIsWhiteFromALumaOf128WhateverItsAlpha) {
  const std::string png = EncodeRgba(3, 2, {127, 127, 127, 255, 128, 128, 128, 255,  //
                                            255, 255, 255, 0,   0,   0,   0,   0,    //
                                            0,   255, 0,   255, 255, 0,   255, 255});
  const auto mask = DecodeMask(png, "test");
  ASSERT_TRUE(mask.ok()) << mask.status();
  EXPECT_EQ(mask->width, 3);
  EXPECT_EQ(mask->height, 2);
  EXPECT_THAT(mask->white, ElementsAre(0, 1, 1, 0, 1, 0));  // Green is 150 of 255, magenta 105.
}

TEST(PngCodecTest, AMaskThatIsNoPngIsAnErrorThatNamesItsSource) {
  EXPECT_THAT(Message(DecodeMask("white", "the mask").status()), HasSubstr("the mask: not a PNG"));
}

// Rows as PNG's zlib stream has them, each after its filter's number.
std::string Deflated(const std::string& rows) {
  std::string bytes(compressBound(rows.size()), '\0');
  uLongf size = bytes.size();
  compress(reinterpret_cast<Bytef*>(bytes.data()), &size,
           reinterpret_cast<const Bytef*>(rows.data()), rows.size());
  bytes.resize(size);
  return bytes;
}

// A black picture of 2 x 2 pixels, with chunks before and after its pixels.
std::string Black(const std::string& before, const std::string& after) {
  return PngStart(2, 2) + before + PngChunk("IDAT", Deflated(std::string(14, '\0'))) + after +
         PngEnd();
}

TEST(PngCodecTest, EveryKindIsReadAsItsSamplesSayAndInterlacedOnesAlike) {
  // 5 x 3 pixels of each kind, interlaced or not, written by libpng and compared with what it reads
  // in the simplest way.
  for (const int type : {PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB,
                         PNG_COLOR_TYPE_RGB_ALPHA}) {
    for (const int depth : {8, 16}) {
      const auto plain = DecodePng(Encode({5, 3, type, depth, PNG_INTERLACE_NONE}), "plain", 255);
      const auto interlaced =
          DecodePng(Encode({5, 3, type, depth, PNG_INTERLACE_ADAM7}), "interlaced", 255);
      ASSERT_TRUE(plain.ok()) << plain.status();
      ASSERT_TRUE(interlaced.ok()) << interlaced.status();
      EXPECT_EQ(plain->rgb, interlaced->rgb);
      for (size_t pixel = 0; pixel < 15; ++pixel) {
        EXPECT_EQ(plain->rgb[pixel * 3], OverWhite(Sample(pixel, 0), AlphaOf(type, pixel)))
            << type << " " << depth << " " << pixel;
      }
    }
  }
}

TEST(PngCodecTest, ChunksBesideThePixelsAreNeitherReadNorKept) {
  // Each would inflate to 8 MB; two hundred of them to more than a test may take.
  const std::string text = PngChunk("zTXt", std::string("key\0\0", 5) + DeflatedZeros(7'900'000));
  std::string texts;
  for (int i = 0; i < 200; ++i) texts += text;
  const auto decoded = DecodePng(Black(texts, text), "texts");
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->rgb, std::vector<uint8_t>(12, 0));
  struct rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LT(usage.ru_maxrss, 500'000) << "KiB";
#endif
}

TEST(PngCodecTest, AColourProfileChangesNothing) {
  EXPECT_TRUE(DecodePng(Black(PngChunk("gAMA", std::string("\0\0\x27\x10", 4)), ""), "gamma").ok());
  const std::string grey = PngChunk("gAMA", std::string("\0\0\x27\x10", 4));
  const std::string png =
      PngStart(1, 1) + grey + PngChunk("IDAT", Deflated({0, 100, 100, 100})) + PngEnd();
  EXPECT_THAT(DecodePng(png, "test")->rgb, ElementsAre(100, 100, 100));
}

TEST(PngCodecTest, NothingIsInflatedBehindTheLastRow) {
  // 64 GB of zeros behind two rows: a minute for who reads on.
  const std::string png =
      PngStart(2, 2) + PngChunk("IDAT", PixelsAndZeros(2, 2, 64'000)) + PngEnd();
  const std::clock_t before = std::clock();
  const auto decoded = DecodePng(png, "bomb");
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->rgb, std::vector<uint8_t>(12, 0));
  EXPECT_LT(std::clock() - before, 10 * CLOCKS_PER_SEC);
}

TEST(PngCodecTest, DataThatIsMissingOrDamagedIsAnError) {
  const std::string rows = Deflated(std::string(14, '\0'));
  for (const std::string& png :
       {PngStart(2, 2) + PngEnd(),                                // No pixels.
        PngStart(2, 3) + PngChunk("IDAT", rows) + PngEnd(),       // A row less.
        PngStart(2, 2) + PngChunk("IDAT", "no zlib") + PngEnd(),  //
        PngStart(2, 2) + PngChunk("IDAT", rows),                  // No end.
        PngStart(2, 2) + PngStart(2, 2).substr(8) + PngChunk("IDAT", rows) + PngEnd()}) {
    const auto decoded = DecodePng(png, "test");
    EXPECT_EQ(decoded.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(Message(decoded.status()), HasSubstr("test: damaged PNG: "));
  }
}

}  // namespace
}  // namespace hmar
