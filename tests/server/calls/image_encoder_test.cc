#include "server/calls/image_encoder.h"

#include <gtest/gtest.h>
#include <png.h>

#include <cstdio>
// jpeglib.h needs FILE.
#include <jpeglib.h>
#include <webp/decode.h>
#include <webp/mux.h>

#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/server/uploads/picture_maker.h"

namespace hmar {
namespace {

const std::string kReceipt = "{\"request_id\":\"caf\xc3\xa9 & <tea>\"}";
const std::string kEscapedReceipt = "{\"request_id\":\"caf\xc3\xa9 \\u0026 \\u003ctea\\u003e\"}";

Picture TestPicture(uint32_t width, uint32_t height) {
  Picture picture{width, height, {}};
  uint32_t state = 1;
  for (uint32_t i = 0; i < 3 * width * height; ++i) {
    state = state * 1664525 + 1013904223;
    picture.rgb.push_back(static_cast<uint8_t>(i % 251 / 2 + (state >> 28)));
  }
  return picture;
}

OutputChoice Png(int compression) {
  return {.format = PictureFormat::kPng, .png_compression = compression};
}
OutputChoice Jpeg(int quality) { return {.format = PictureFormat::kJpeg, .quality = quality}; }
OutputChoice Webp(int quality) { return {.format = PictureFormat::kWebp, .quality = quality}; }
OutputChoice LosslessWebp() { return {.format = PictureFormat::kWebp, .lossless = true}; }

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
    const auto png = EncodePicture(picture, Png(level), "");
    ASSERT_TRUE(png.ok()) << png.status();
    const Picture decoded = Decode(*png);
    EXPECT_EQ(decoded.width, 17u);
    EXPECT_EQ(decoded.height, 5u);
    EXPECT_EQ(decoded.rgb, picture.rgb) << "level " << level;
  }
}

TEST(ImageEncoderTest, ALevelAboveNoneCompresses) {
  const Picture picture = TestPicture(64, 64);
  EXPECT_LT(EncodePicture(picture, Png(1), "")->size(), EncodePicture(picture, Png(0), "")->size());
}

TEST(ImageEncoderTest, TheSamePictureGivesTheSameBytes) {
  const Picture picture = TestPicture(32, 32);
  EXPECT_EQ(*EncodePicture(picture, Png(1), "{\"seed\":7}"),
            *EncodePicture(picture, Png(1), "{\"seed\":7}"));
}

TEST(ImageEncoderTest, TheReceiptIsAnUncompressedTextChunk) {
  const Picture picture = TestPicture(8, 8);
  const std::string json = "{\"request_id\":\"caf\xc3\xa9\"}";
  const auto png = EncodePicture(picture, Png(1), json);
  ASSERT_TRUE(png.ok()) << png.status();
  const auto chunks = Chunks(*png);
  ASSERT_EQ(chunks.count("iTXt"), 1u);
  // Keyword, 0, uncompressed, method 0, no language, no translated keyword, text.
  const std::string head = std::string("hmar-receipt") + std::string(5, '\0');
  EXPECT_EQ(chunks.find("iTXt")->second, head + json);
  EXPECT_EQ(Decode(*png).rgb, picture.rgb);
}

TEST(ImageEncoderTest, WithoutAReceiptThereIsNoTextChunk) {
  EXPECT_EQ(Chunks(*EncodePicture(TestPicture(8, 8), Png(1), "")).count("iTXt"), 0u);
}

// By libjpeg's simplest use.
Picture DecodeJpeg(const std::string& file) {
  jpeg_decompress_struct jpeg = {};
  jpeg_error_mgr errors;
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_decompress(&jpeg);
  jpeg_mem_src(&jpeg, reinterpret_cast<const unsigned char*>(file.data()), file.size());
  jpeg_read_header(&jpeg, TRUE);
  jpeg_start_decompress(&jpeg);
  EXPECT_EQ(jpeg.out_color_space, JCS_RGB);
  EXPECT_FALSE(jpeg.progressive_mode);
  Picture picture{jpeg.output_width, jpeg.output_height,
                  std::vector<uint8_t>(size_t{3} * jpeg.output_width * jpeg.output_height)};
  while (jpeg.output_scanline < jpeg.output_height) {
    JSAMPLE* row = picture.rgb.data() + size_t{3} * jpeg.output_width * jpeg.output_scanline;
    jpeg_read_scanlines(&jpeg, &row, 1);
  }
  jpeg_destroy_decompress(&jpeg);
  return picture;
}

Picture DecodeWebp(const std::string& file) {
  int width = 0, height = 0;
  uint8_t* rgb =
      WebPDecodeRGB(reinterpret_cast<const uint8_t*>(file.data()), file.size(), &width, &height);
  if (rgb == nullptr) return {};
  Picture picture{static_cast<uint32_t>(width), static_cast<uint32_t>(height),
                  std::vector<uint8_t>(rgb, rgb + size_t{3} * width * height)};
  WebPFree(rgb);
  return picture;
}

// Root of the mean squared difference of two pictures of one size.
double Distance(const Picture& a, const Picture& b) {
  EXPECT_EQ(a.rgb.size(), b.rgb.size());
  if (a.rgb.size() != b.rgb.size()) return INFINITY;
  double sum = 0;
  for (size_t i = 0; i < a.rgb.size(); ++i) sum += std::pow(a.rgb[i] - b.rgb[i], 2);
  return std::sqrt(sum / static_cast<double>(a.rgb.size()));
}

TEST(ImageEncoderTest, LossyPicturesAreCloseAndCloserWithMoreQuality) {
  const Picture picture = SmoothPicture(123, 77);
  for (const bool jpeg : {true, false}) {
    double last_distance = INFINITY;
    size_t last_size = 0;
    for (const int quality : {1, 30, 60, 85, 90, 100}) {
      const auto file = EncodePicture(picture, jpeg ? Jpeg(quality) : Webp(quality), "");
      ASSERT_TRUE(file.ok()) << file.status();
      const Picture decoded = jpeg ? DecodeJpeg(*file) : DecodeWebp(*file);
      EXPECT_EQ(decoded.width, 123u);
      EXPECT_EQ(decoded.height, 77u);
      const double distance = Distance(picture, decoded);
      EXPECT_LT(distance, last_distance) << jpeg << " " << quality;
      EXPECT_GT(file->size(), last_size) << jpeg << " " << quality;
      last_distance = distance;
      last_size = file->size();
    }
    EXPECT_LT(last_distance, jpeg ? 1 : 3);
  }
}

TEST(ImageEncoderTest, ALosslessWebpHasThePixelsThemselves) {
  for (const Picture& picture : {TestPicture(17, 5), TestPicture(1, 1), SmoothPicture(64, 48)}) {
    const auto file = EncodePicture(picture, LosslessWebp(), "");
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_EQ(DecodeWebp(*file).rgb, picture.rgb);
  }
}

TEST(ImageEncoderTest, Rgb8IsThePixelsThemselves) {
  const Picture picture = TestPicture(7, 5);
  const auto bytes = EncodePicture(picture, {.format = PictureFormat::kRgb8}, "");
  EXPECT_EQ(*bytes, std::string(picture.rgb.begin(), picture.rgb.end()));
}

TEST(ImageEncoderTest, EveryFormatGivesTheSameBytesAgainAndOnAnyThread) {
  const Picture picture = TestPicture(96, 80);
  for (const OutputChoice& output : {Png(6), Jpeg(85), Jpeg(95), Webp(85), LosslessWebp()}) {
    const std::string alone = *EncodePicture(picture, output, kReceipt);
    std::vector<std::string> others(4);
    std::vector<std::thread> threads;
    for (std::string& other : others) {
      threads.emplace_back([&] { other = *EncodePicture(picture, output, kReceipt); });
    }
    for (std::thread& thread : threads) thread.join();
    for (const std::string& other : others) EXPECT_EQ(other, alone);
  }
}

// What lies between the tags of the property; empty where there is none.
std::string ReceiptIn(const std::string& xmp) {
  const std::string open = "<hmar:receipt>", close = "</hmar:receipt>";
  const size_t start = xmp.find(open), end = xmp.find(close);
  if (start == std::string::npos || end == std::string::npos) return "";
  return xmp.substr(start + open.size(), end - start - open.size());
}

// The payloads of a JPEG's APP1 segments, by the file format alone.
std::vector<std::string> App1Segments(const std::string& jpeg) {
  std::vector<std::string> segments;
  for (size_t at = 2; at + 4 <= jpeg.size() && jpeg[at + 1] != '\xDA';) {
    const size_t length =
        static_cast<uint8_t>(jpeg[at + 2]) << 8 | static_cast<uint8_t>(jpeg[at + 3]);
    if (jpeg[at + 1] == '\xE1') segments.push_back(jpeg.substr(at + 4, length - 2));
    at += 2 + length;
  }
  return segments;
}

TEST(ImageEncoderTest, AJpegHasItsReceiptInXmp) {
  const Picture picture = SmoothPicture(16, 16);
  const auto file = EncodePicture(picture, Jpeg(90), kReceipt);
  ASSERT_TRUE(file.ok()) << file.status();
  const std::vector<std::string> segments = App1Segments(*file);
  ASSERT_EQ(segments.size(), 1u);
  EXPECT_EQ(segments[0].substr(0, 29), std::string("http://ns.adobe.com/xap/1.0/\0", 29));
  EXPECT_EQ(ReceiptIn(segments[0]), kEscapedReceipt);
  EXPECT_TRUE(App1Segments(*EncodePicture(picture, Jpeg(90), "")).empty());
  EXPECT_EQ(DecodeJpeg(*file).rgb, DecodeJpeg(*EncodePicture(picture, Jpeg(90), "")).rgb);
}

uint32_t BigEndian(const std::string& bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = at; i < at + 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

// As XMP's specification, part 3, has it.
TEST(ImageEncoderTest, AReceiptTooLongForASegmentIsContinuedInOthers) {
  const std::string extension("http://ns.adobe.com/xmp/extension/\0", 35);
  for (const size_t bytes : {65'000u, 65'533u, 66'000u, 131'000u, 200'000u}) {
    const std::string json = "{\"prefix\":\"" + std::string(bytes, '1') + "\"}";
    const auto file = EncodePicture(SmoothPicture(16, 16), Jpeg(85), json);
    ASSERT_TRUE(file.ok()) << file.status();
    const std::vector<std::string> segments = App1Segments(*file);
    if (segments.size() == 1) {
      EXPECT_EQ(ReceiptIn(segments[0]), json);
      continue;
    }
    const std::string id = segments[1].substr(35, 32);
    EXPECT_NE(segments[0].find("xmpNote:HasExtendedXMP=\"" + id + "\""), std::string::npos);
    std::string xmp;
    for (size_t i = 1; i < segments.size(); ++i) {
      EXPECT_EQ(segments[i].substr(0, 67), extension + id);
      EXPECT_EQ(BigEndian(segments[i], 71), xmp.size());
      xmp += segments[i].substr(75);
    }
    EXPECT_EQ(BigEndian(segments[1], 67), xmp.size());
    EXPECT_EQ(ReceiptIn(xmp), json) << bytes;
    EXPECT_EQ(DecodeJpeg(*file).width, 16u);
  }
}

TEST(ImageEncoderTest, AWebpHasItsReceiptInXmp) {
  for (const OutputChoice& output : {Webp(85), LosslessWebp()}) {
    const Picture picture = SmoothPicture(16, 16);
    const auto file = EncodePicture(picture, output, kReceipt);
    ASSERT_TRUE(file.ok()) << file.status();
    const WebPData data{reinterpret_cast<const uint8_t*>(file->data()), file->size()};
    const std::unique_ptr<WebPMux, decltype(&WebPMuxDelete)> mux(WebPMuxCreate(&data, 0),
                                                                 WebPMuxDelete);
    ASSERT_NE(mux, nullptr);
    WebPData xmp = {};
    ASSERT_EQ(WebPMuxGetChunk(mux.get(), "XMP ", &xmp), WEBP_MUX_OK);
    EXPECT_EQ(ReceiptIn(std::string(reinterpret_cast<const char*>(xmp.bytes), xmp.size)),
              kEscapedReceipt);
    EXPECT_EQ(DecodeWebp(*file).rgb, DecodeWebp(*EncodePicture(picture, output, "")).rgb);
  }
}

// The pictures that compress least: noise, and noise of nothing but extremes.
TEST(ImageEncoderTest, NoPictureTakesMoreThanItsBound) {
  for (const uint32_t side : {1u, 8u, 33u, 256u, 600u}) {
    Picture noise{side, side, NoiseSamples(size_t{3} * side * side)};
    Picture extremes = noise;
    for (uint8_t& sample : extremes.rgb) sample = sample < 128 ? 0 : 255;
    for (const Picture& picture : {noise, extremes}) {
      for (const OutputChoice& output : {Png(0), Png(1), Jpeg(100), Webp(100), LosslessWebp()}) {
        const auto file = EncodePicture(picture, output, "");
        ASSERT_TRUE(file.ok()) << file.status();
        EXPECT_LE(file->size(), MaxPictureBytes(side, side)) << static_cast<int>(output.format);
      }
    }
  }
}

TEST(ImageEncoderTest, AJpegBeyondTheBoundLosesQualityInstead) {
  Picture extremes{400, 400, NoiseSamples(480'000)};
  for (uint8_t& sample : extremes.rgb) sample = sample < 128 ? 0 : 255;
  const auto best = EncodePicture(extremes, Jpeg(100), "");
  const auto less = EncodePicture(extremes, Jpeg(95), "");
  ASSERT_TRUE(best.ok() && less.ok());
  EXPECT_EQ(*best, *less);
}

TEST(ImageEncoderTest, SizesThatAFormatCannotHoldAreErrors) {
  for (const OutputChoice& output : {Jpeg(85), Webp(85), LosslessWebp()}) {
    const auto empty = EncodePicture(Picture{0, 4, {}}, output, "");
    EXPECT_EQ(empty.status().code(), absl::StatusCode::kInternal);
    EXPECT_NE(empty.status().message().find("0 x 4"), absl::string_view::npos);
  }
  const Picture wide{16384, 1, std::vector<uint8_t>(3 * 16384)};
  const auto webp = EncodePicture(wide, Webp(85), "");
  EXPECT_EQ(webp.status().code(), absl::StatusCode::kInternal);
  EXPECT_NE(webp.status().message().find("16383"), absl::string_view::npos);
  const Picture wider{70'000, 1, std::vector<uint8_t>(3 * 70'000)};
  EXPECT_EQ(EncodePicture(wider, Jpeg(85), "").status().code(), absl::StatusCode::kInternal);
}

TEST(ImageEncoderTest, APictureThatPngCannotHoldIsAnError) {
  const auto png = EncodePicture(Picture{0, 4, {}}, Png(1), "");
  EXPECT_EQ(png.status().code(), absl::StatusCode::kInternal);
  EXPECT_NE(png.status().message().find("0 x 4"), absl::string_view::npos);
}

}  // namespace
}  // namespace hmar
