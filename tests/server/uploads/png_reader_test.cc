#include "server/uploads/png_reader.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "server/uploads/picture_reader.h"
#include "tests/server/uploads/png_maker.h"

namespace hmar {
namespace {

const UploadLimits kLimits;

std::string NameOf(const PngSpec& spec) {
  return "colour type " + std::to_string(spec.color_type) + ", " + std::to_string(spec.bit_depth) +
         " bits" + (spec.transparent || !spec.palette_alpha.empty() ? ", tRNS" : "") +
         (spec.interlaced ? ", interlaced" : "") + ", " + std::to_string(spec.width) + " x " +
         std::to_string(spec.height);
}

struct Rgba {
  int r, g, b, a;
};

// What the format says a pixel is, scaled to 8 bits.
Rgba PixelOf(const PngSpec& spec, const uint16_t* stored) {
  const auto scaled = [&](int value) {
    return static_cast<int>(std::lround(value * 255.0 / ((1 << spec.bit_depth) - 1)));
  };
  switch (spec.color_type) {
    case PNG_COLOR_TYPE_PALETTE: {
      const png_color& color = spec.palette[stored[0]];
      const bool opaque = stored[0] >= spec.palette_alpha.size();
      return {color.red, color.green, color.blue, opaque ? 255 : spec.palette_alpha[stored[0]]};
    }
    case PNG_COLOR_TYPE_GRAY:
    case PNG_COLOR_TYPE_GRAY_ALPHA: {
      const int gray = scaled(stored[0]);
      const bool clear = spec.transparent && stored[0] == spec.transparent->gray;
      const bool has_alpha = spec.color_type == PNG_COLOR_TYPE_GRAY_ALPHA;
      return {gray, gray, gray, has_alpha ? scaled(stored[1]) : clear ? 0 : 255};
    }
    default: {
      const bool clear = spec.transparent && stored[0] == spec.transparent->red &&
                         stored[1] == spec.transparent->green &&
                         stored[2] == spec.transparent->blue;
      const bool has_alpha = spec.color_type == PNG_COLOR_TYPE_RGB_ALPHA;
      return {scaled(stored[0]), scaled(stored[1]), scaled(stored[2]),
              has_alpha ? scaled(stored[3])
              : clear   ? 0
                        : 255};
    }
  }
}

uint8_t OverWhite(int sample, int alpha) {
  return static_cast<uint8_t>(std::lround((sample * alpha + 255.0 * (255 - alpha)) / 255));
}

void ExpectReadAsStored(const PngSpec& spec, const std::vector<uint16_t>& samples) {
  const std::string png = MakePng(spec, samples);
  const auto picture = ReadPicture(png, kLimits);
  const auto mask = ReadMask(png, kLimits);
  ASSERT_TRUE(picture.ok()) << NameOf(spec) << ": " << picture.status();
  ASSERT_TRUE(mask.ok()) << NameOf(spec) << ": " << mask.status();
  std::vector<uint8_t> rgb, white;
  for (size_t i = 0; i < samples.size(); i += ChannelsOf(spec)) {
    const Rgba pixel = PixelOf(spec, &samples[i]);
    for (const int sample : {pixel.r, pixel.g, pixel.b}) rgb.push_back(OverWhite(sample, pixel.a));
    white.push_back(299 * pixel.r + 587 * pixel.g + 114 * pixel.b >= 127500);
  }
  EXPECT_EQ(picture->width, spec.width);
  EXPECT_EQ(picture->height, spec.height);
  EXPECT_EQ(picture->rgb, rgb) << NameOf(spec);
  EXPECT_EQ(mask->width, spec.width);
  EXPECT_EQ(mask->height, spec.height);
  EXPECT_EQ(mask->white, white) << NameOf(spec);
}

TEST(PngReaderTest, EveryKindReadsAsTheFormatSays) {
  std::mt19937 random(1);
  for (PngSpec spec : EveryPngKind()) {
    for (const bool interlaced : {false, true}) {
      spec.interlaced = interlaced;
      for (const auto& [width, height] :
           std::vector<std::pair<int, int>>{{1, 1}, {2, 9}, {4, 4}, {5, 3}, {16, 8}, {37, 23}}) {
        spec.width = width;
        spec.height = height;
        ExpectReadAsStored(spec, RandomSamples(spec, &random));
      }
    }
  }
}

TEST(PngReaderTest, AMaskIsWhiteFrom128On) {
  const PngSpec gray8{.width = 2, .height = 1, .color_type = PNG_COLOR_TYPE_GRAY};
  EXPECT_EQ(ReadMask(MakePng(gray8, {127, 128}), kLimits)->white, (std::vector<uint8_t>{0, 1}));
  const PngSpec gray16{.width = 2, .height = 1, .bit_depth = 16, .color_type = PNG_COLOR_TYPE_GRAY};
  EXPECT_EQ(ReadMask(MakePng(gray16, {0x7FFF, 0x8000}), kLimits)->white,
            (std::vector<uint8_t>{0, 1}));
  const PngSpec rgb{.width = 4, .height = 1};  // Red, green, blue and magenta alone.
  EXPECT_EQ(ReadMask(MakePng(rgb, {255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 0, 255}), kLimits)->white,
            (std::vector<uint8_t>{0, 1, 0, 0}));
}

// A picture of the plain kind, and its parts.
const PngSpec kPlain{.width = 9, .height = 7};

std::string PlainPng() {
  std::mt19937 random(2);
  return MakePng(kPlain, RandomSamples(kPlain, &random));
}

PngChunk& ChunkOf(const std::string& type, std::vector<PngChunk>* chunks) {
  for (PngChunk& chunk : *chunks) {
    if (chunk.type == type) return chunk;
  }
  ADD_FAILURE() << "no chunk " << type;
  return chunks->front();
}

TEST(PngReaderTest, TheHeaderAloneTellsSizeAndKind) {
  PngSpec spec{.width = 12,
               .height = 5,
               .bit_depth = 16,
               .color_type = PNG_COLOR_TYPE_GRAY_ALPHA,
               .interlaced = true};
  const std::string png = MakePng(spec, std::vector<uint16_t>(120));
  const auto header = ReadPngHeader(png.substr(0, 33), kLimits);
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_EQ(header->width, 12u);
  EXPECT_EQ(header->height, 5u);
  EXPECT_EQ(header->bit_depth, 16);
  EXPECT_EQ(header->color_type, PNG_COLOR_TYPE_GRAY_ALPHA);
  EXPECT_TRUE(header->interlaced);
}

TEST(PngReaderTest, ChunksThatAreNotPixelsChangeNothing) {
  const std::string png = PlainPng();
  auto chunks = SplitChunks(png);
  const std::string broken_profile = std::string("icc\0\0", 5) + "this is no zlib stream";
  chunks.insert(chunks.begin() + 1, {{"gAMA", std::string("\0\0\x27\x10", 4)},  // Gamma 0.1.
                                     {"iCCP", broken_profile},
                                     {"zTXt", broken_profile},
                                     {"bKGD", "odd"},
                                     {"quUx", std::string(1000, 'q')}});
  const auto plain = ReadPicture(png, kLimits);
  const auto decorated = ReadPicture(JoinChunks(chunks), kLimits);
  ASSERT_TRUE(decorated.ok()) << decorated.status();
  EXPECT_EQ(decorated->rgb, plain->rgb);
}

TEST(PngReaderTest, WhatFollowsThePixelsIsIgnored) {
  const std::string png = PlainPng();
  const auto plain = ReadPicture(png, kLimits);
  auto chunks = SplitChunks(png);
  ChunkOf("IDAT", &chunks).data += "more than the pixels need";
  for (const std::string& odd : {JoinChunks(chunks), png + "after the end"}) {
    const auto picture = ReadPicture(odd, kLimits);
    ASSERT_TRUE(picture.ok()) << picture.status();
    EXPECT_EQ(picture->rgb, plain->rgb);
  }
}

// Says yes when it has been asked so many times.
class CancelAfter {
 public:
  explicit CancelAfter(int asks) : left_(asks) {}
  bool operator()() const { return left_-- <= 0; }
  int left() const { return left_; }

 private:
  mutable int left_;
};

TEST(PngReaderTest, ACancelledReadEndsAtTheNextRow) {
  const std::string png = PlainPng();
  CancelAfter picture_check(3), mask_check(6);
  const absl::Status picture = ReadPicture(png, kLimits, picture_check).status();
  EXPECT_EQ(picture, absl::CancelledError("cancelled after 3 of 7 rows"));
  EXPECT_EQ(picture_check.left(), -1);  // Not asked again.
  EXPECT_EQ(ReadMask(png, kLimits, mask_check).status(),
            absl::CancelledError("cancelled after 6 of 7 rows"));
  CancelAfter too_late(7);
  EXPECT_TRUE(ReadPicture(png, kLimits, too_late).ok());
}

TEST(PngReaderTest, AnInterlacedReadEndsAtTheNextRowOfItsPass) {
  PngSpec spec = kPlain;
  spec.interlaced = true;
  CancelAfter check(1);
  EXPECT_EQ(ReadPicture(MakePng(spec, std::vector<uint16_t>(9 * 7 * 3)), kLimits, check).status(),
            absl::CancelledError("cancelled after 1 of 14 rows"));
}

void ExpectRefused(const std::string& png, const UploadLimits& limits, const std::string& message) {
  for (const absl::Status& status :
       {ReadPicture(png, limits).status(), ReadMask(png, limits).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << message;
    EXPECT_EQ(std::string(status.message()), message);
  }
}

TEST(PngReaderTest, WhatIsNoPngIsRefused) {
  ExpectRefused("\x89PNG, it says", kLimits, "not a PNG: 13 bytes without a PNG's signature");
  ExpectRefused(PlainPng().substr(0, 8), kLimits, "truncated PNG: 8 bytes; the header takes 33");
  auto chunks = SplitChunks(PlainPng());
  std::swap(chunks[0], chunks[1]);
  ExpectRefused(JoinChunks(chunks), kLimits, "damaged PNG: its first chunk is not IHDR");
}

TEST(PngReaderTest, SizesOutOfTheLimitsAreRefusedByTheHeader) {
  const std::string png = PlainPng();
  ExpectRefused(png, {.max_bytes = png.size() - 1},
                std::to_string(png.size()) + " bytes; at most " + std::to_string(png.size() - 1));
  ExpectRefused(png, {.max_pixels = 62}, "9 x 7 pixels, 63 in all; at most 62");
  ExpectRefused(png, {.max_side_pixels = 8}, "9 x 7 pixels; at most 8 a side");
  EXPECT_TRUE(ReadPicture(png, {png.size(), 63, 9}).ok());

  auto chunks = SplitChunks(png);
  const auto with_size = [&](const char* big_endian) {
    chunks[0].data.replace(0, 8, big_endian, 8);
    return JoinChunks(chunks);
  };
  ExpectRefused(with_size("\0\0\0\0\0\0\0\x05"), kLimits, "0 x 5 pixels; at least 1 x 1");
  ExpectRefused(with_size("\0\0\x80\x01\0\0\0\x01"), kLimits,
                "32769 x 1 pixels; at most 32768 a side");
  ExpectRefused(with_size("\xff\xff\xff\xff\xff\xff\xff\xff"), kLimits,
                "4294967295 x 4294967295 pixels; at most 32768 a side");
  ExpectRefused(with_size("\0\0\x1f\x40\0\0\x1f\x41"), kLimits,
                "8000 x 8001 pixels, 64008000 in all; at most 64000000");
}

TEST(PngReaderTest, UnknownKindsAreRefusedByTheHeader) {
  const auto with_kind = [](const char* kind) {
    auto chunks = SplitChunks(PlainPng());
    chunks[0].data.replace(8, 5, kind, 5);
    return JoinChunks(chunks);
  };
  ExpectRefused(with_kind("\x04\x02\0\0\0"), kLimits,
                "damaged PNG: IHDR: no 4 bit pictures of colour type 2");
  ExpectRefused(with_kind("\x18\x00\0\0\0"), kLimits,
                "damaged PNG: IHDR: no 24 bit pictures of colour type 0");
  ExpectRefused(with_kind("\x08\x05\0\0\0"), kLimits,
                "damaged PNG: IHDR: no 8 bit pictures of colour type 5");
  ExpectRefused(with_kind("\x00\x02\0\0\0"), kLimits,
                "damaged PNG: IHDR: no 0 bit pictures of colour type 2");
  ExpectRefused(with_kind("\x08\x02\x01\0\x02"), kLimits,
                "damaged PNG: IHDR: unknown compression 1, filter 0 or interlace method 2");
}

TEST(PngReaderTest, DamageIsNamedWithItsChunk) {
  std::string png = PlainPng();
  png[20] ^= 1;  // In IHDR.
  ExpectRefused(png, kLimits, "damaged PNG: IHDR: CRC error");
  png = PlainPng();
  png[png.size() - 13] ^= 1;  // The checksum of IDAT, before the 12 bytes of IEND.
  ExpectRefused(png, kLimits, "damaged PNG: IDAT: CRC error");
  PngSpec palette{.width = 4, .height = 4, .color_type = PNG_COLOR_TYPE_PALETTE};
  palette.palette.resize(3);
  auto chunks = SplitChunks(MakePng(palette, std::vector<uint16_t>(16, 2)));
  chunks.erase(chunks.begin() + 1);
  ExpectRefused(JoinChunks(chunks), kLimits, "damaged PNG: Missing PLTE before IDAT");
  chunks = SplitChunks(PlainPng());
  chunks.insert(chunks.begin() + 1, {"CRIT", "a critical chunk from the future"});
  ExpectRefused(JoinChunks(chunks), kLimits, "damaged PNG: CRIT: unhandled critical chunk");
  chunks = SplitChunks(PlainPng());
  ChunkOf("IDAT", &chunks).data.resize(40);
  ExpectRefused(JoinChunks(chunks), kLimits, "damaged PNG: Not enough compressed data");
}

TEST(PngReaderTest, ATruncationAnywhereIsRefused) {
  for (PngSpec spec : EveryPngKind()) {
    spec.width = 19;
    spec.height = 11;
    for (const bool interlaced : {false, true}) {
      spec.interlaced = interlaced;
      std::mt19937 random(3);
      const std::string png = MakePng(spec, RandomSamples(spec, &random));
      for (size_t bytes = 33; bytes < png.size(); bytes += 7) {
        ExpectRefused(
            png.substr(0, bytes), kLimits,
            "truncated PNG: it ends after " + std::to_string(bytes) + " bytes, before IEND");
      }
    }
  }
}

// Nothing to compare with: under the sanitizers this is what finds a read or write out of bounds.
TEST(PngReaderTest, MutatedBytesEndInAPictureOrAnError) {
  std::mt19937 random(4);
  int pictures = 0, errors = 0;
  for (PngSpec spec : EveryPngKind()) {
    spec.width = 15;
    spec.height = 10;
    spec.interlaced = random() % 2;
    const std::string png = MakePng(spec, RandomSamples(spec, &random));
    for (int round = 0; round < 200; ++round) {
      std::string mutated = png;
      for (uint32_t i = 0; i <= random() % 4; ++i) {
        mutated[8 + random() % (png.size() - 8)] = static_cast<char>(random());
      }
      if (round % 2) mutated = JoinChunks(SplitChunks(mutated));  // Past the checksums.
      const auto picture = ReadPicture(mutated, {.max_pixels = 10'000});
      const auto mask = ReadMask(mutated, {.max_pixels = 10'000});
      EXPECT_EQ(picture.status(), mask.status());
      ++(picture.ok() ? pictures : errors);
      if (picture.ok()) {
        EXPECT_EQ(picture->rgb.size(), size_t{3} * picture->width * picture->height);
        EXPECT_EQ(mask->white.size(), size_t{1} * mask->width * mask->height);
      } else {
        EXPECT_EQ(picture.status().code(), absl::StatusCode::kInvalidArgument);
      }
    }
  }
  EXPECT_GT(pictures, 100);
  EXPECT_GT(errors, 1000);
}

}  // namespace
}  // namespace hmar
