#include "server/uploads/jpeg_reader.h"

#include <gtest/gtest.h>

#include <cstdio>
// jpeglib.h needs FILE.
#include <jpeglib.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "server/uploads/picture_reader.h"
#include "tests/server/uploads/picture_maker.h"

namespace hmar {
namespace {

const UploadLimits kLimits;

std::string NameOf(const JpegSpec& spec) {
  return std::to_string(spec.components) + " components, " + std::to_string(spec.across) + " x " +
         std::to_string(spec.down) + (spec.progressive ? ", progressive" : "") +
         (spec.separate_scans ? ", separate scans" : "") + ", " + std::to_string(spec.width) +
         " x " + std::to_string(spec.height);
}

std::vector<uint8_t> SmoothSamples(const JpegSpec& spec) {
  const Picture picture = SmoothPicture(spec.width, spec.height);
  std::vector<uint8_t> samples;
  for (size_t i = 0; i < picture.rgb.size(); i += 3) {
    for (int c = 0; c < spec.components; ++c) samples.push_back(picture.rgb[i + c % 3]);
  }
  return samples;
}

std::string Smooth(const JpegSpec& spec) { return MakeJpeg(spec, SmoothSamples(spec)); }

// By libjpeg's simplest use, which shares no code of ours.
std::vector<uint8_t> Decode(const std::string& file) {
  jpeg_decompress_struct jpeg = {};
  jpeg_error_mgr errors;
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_decompress(&jpeg);
  jpeg_mem_src(&jpeg, reinterpret_cast<const unsigned char*>(file.data()), file.size());
  jpeg_read_header(&jpeg, TRUE);
  jpeg.out_color_space = JCS_RGB;
  jpeg_start_decompress(&jpeg);
  std::vector<uint8_t> rgb(size_t{3} * jpeg.output_width * jpeg.output_height);
  while (jpeg.output_scanline < jpeg.output_height) {
    JSAMPLE* row = rgb.data() + size_t{3} * jpeg.output_width * jpeg.output_scanline;
    jpeg_read_scanlines(&jpeg, &row, 1);
  }
  jpeg_destroy_decompress(&jpeg);
  return rgb;
}

TEST(JpegReaderTest, EveryKindReadsAsLibjpegDecodesIt) {
  for (JpegSpec spec : EveryJpegKind()) {
    for (const auto& [width, height] :
         std::vector<std::pair<int, int>>{{1, 1}, {8, 8}, {9, 17}, {16, 16}, {61, 37}}) {
      spec.width = width;
      spec.height = height;
      const std::string jpeg = Smooth(spec);
      const auto picture = ReadPicture(jpeg, kLimits);
      const auto mask = ReadMask(jpeg, kLimits);
      ASSERT_TRUE(picture.ok()) << NameOf(spec) << ": " << picture.status();
      ASSERT_TRUE(mask.ok()) << NameOf(spec) << ": " << mask.status();
      EXPECT_EQ(picture->width, spec.width);
      EXPECT_EQ(picture->height, spec.height);
      const std::vector<uint8_t> rgb = Decode(jpeg);
      EXPECT_EQ(picture->rgb, rgb) << NameOf(spec);
      for (size_t i = 0; i < mask->white.size(); ++i) {
        const double luma = 0.299 * rgb[3 * i] + 0.587 * rgb[3 * i + 1] + 0.114 * rgb[3 * i + 2];
        EXPECT_EQ(mask->white[i], luma >= 127.5) << NameOf(spec) << ", pixel " << i;
      }
    }
  }
}

TEST(JpegReaderTest, EveryOrientationIsTurnedUpright) {
  for (JpegSpec spec :
       {JpegSpec{.width = 21, .height = 13}, JpegSpec{.width = 21, .height = 13, .components = 1},
        JpegSpec{.width = 21, .height = 13, .across = 2, .down = 2, .progressive = true}}) {
    const Picture stored{21, 13, Decode(Smooth(spec))};
    for (spec.orientation = 1; spec.orientation <= 8; ++spec.orientation) {
      const std::string jpeg = Smooth(spec);
      const Picture upright = Upright(stored, spec.orientation);
      const auto header = ReadPictureHeader(jpeg, kLimits);
      ASSERT_TRUE(header.ok()) << header.status();
      EXPECT_EQ(header->width, upright.width);
      EXPECT_EQ(header->height, upright.height);
      const auto picture = ReadPicture(jpeg, kLimits);
      ASSERT_TRUE(picture.ok()) << picture.status();
      EXPECT_EQ(picture->width, upright.width);
      EXPECT_EQ(picture->rgb, upright.rgb) << NameOf(spec) << ", " << spec.orientation;
      const auto mask = ReadMask(jpeg, kLimits);
      const auto plain =
          ReadMask(Smooth({.width = 21, .height = 13, .components = spec.components}), kLimits);
      EXPECT_EQ(mask->white.size(), plain->white.size());
      EXPECT_EQ(mask->width, upright.width);
    }
  }
}

TEST(JpegReaderTest, TheHeaderSaysWhatIsKeptBetweenScans) {
  const auto kept = [](JpegSpec spec) {
    spec.width = 100;
    spec.height = 60;
    return ReadJpegHeader(Smooth(spec), kLimits)->coefficient_bytes;
  };
  EXPECT_EQ(kept({}), 0u);
  EXPECT_EQ(kept({.across = 2, .down = 2}), 0u);
  EXPECT_EQ(kept({.components = 1, .progressive = true}), 13u * 8 * 128);
  EXPECT_EQ(kept({.progressive = true}), 3u * 13 * 8 * 128);
  // 7 x 4 of 16 x 16 pixels, each four blocks of luma and two of colour.
  EXPECT_EQ(kept({.across = 2, .down = 2, .progressive = true}), 7u * 4 * 6 * 128);
  EXPECT_EQ(kept({.across = 2, .down = 2, .separate_scans = true}), 7u * 4 * 6 * 128);
  JpegSpec spec{.width = 100, .height = 60, .progressive = true};
  const auto header = ReadPictureHeader(Smooth(spec), kLimits);
  EXPECT_EQ(header->picture_bytes, 3u * 6000 + kept({.progressive = true}));
  EXPECT_EQ(header->mask_bytes, 6000 + kept({.progressive = true}));
}

void ExpectRefused(const std::string& jpeg, const UploadLimits& limits,
                   const std::string& message) {
  for (const absl::Status& status :
       {ReadPicture(jpeg, limits).status(), ReadMask(jpeg, limits).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << message;
    EXPECT_EQ(std::string(status.message()), message);
  }
}

// The place of the frame's segment, and of its parts.
size_t FrameOf(const std::string& jpeg) {
  for (size_t at = 2;;) {
    const auto marker = static_cast<uint8_t>(jpeg.at(at + 1));
    if (marker >= 0xC0 && marker <= 0xC2) return at;
    at += 2 + (static_cast<uint8_t>(jpeg.at(at + 2)) << 8 | static_cast<uint8_t>(jpeg.at(at + 3)));
  }
}

std::string WithFrame(size_t place, const std::string& bytes) {
  std::string jpeg = Smooth({9, 7});
  return jpeg.replace(FrameOf(jpeg) + place, bytes.size(), bytes);
}

TEST(JpegReaderTest, KindsThatAreNotReadAreNamed) {
  const std::string read = "; read are baseline and progressive JPEGs, 8 bits, grey or colour";
  ExpectRefused(Smooth({.width = 9, .height = 7, .arithmetic = true}), kLimits,
                "an arithmetic-coded JPEG" + read);
  ExpectRefused(Smooth({.width = 9, .height = 7, .progressive = true, .arithmetic = true}), kLimits,
                "an arithmetic-coded JPEG" + read);
  ExpectRefused(Smooth({.width = 9, .height = 7, .components = 4}), kLimits, "a CMYK JPEG" + read);
  ExpectRefused(WithFrame(1, "\xC3"), kLimits, "a lossless JPEG" + read);
  ExpectRefused(WithFrame(1, "\xC5"), kLimits, "a hierarchical JPEG" + read);
  ExpectRefused(WithFrame(4, "\x0C"), kLimits, "a JPEG of 12 bits" + read);
  ExpectRefused(WithFrame(9, "\x02"), kLimits, "a JPEG of 2 components" + read);
}

TEST(JpegReaderTest, SizesOutOfTheLimitsAreRefusedByTheHeader) {
  const std::string jpeg = Smooth({9, 7});
  ExpectRefused(jpeg, {.max_bytes = jpeg.size() - 1},
                std::to_string(jpeg.size()) + " bytes; at most " + std::to_string(jpeg.size() - 1));
  ExpectRefused(jpeg, {.max_pixels = 62}, "9 x 7 pixels, 63 in all; at most 62");
  ExpectRefused(jpeg, {.max_side_pixels = 8}, "9 x 7 pixels; at most 8 a side");
  ExpectRefused(WithFrame(5, std::string("\0\0", 2)), kLimits, "9 x 0 pixels; at least 1 x 1");
  ExpectRefused(WithFrame(5, "\xFF\xFF\xFF\xFF"), kLimits,
                "65535 x 65535 pixels; at most 32768 a side");
  ExpectRefused(WithFrame(5, "\x7F\xFF\x7F\xFF"), kLimits,
                "32767 x 32767 pixels, 1073676289 in all; at most 64000000");
}

TEST(JpegReaderTest, WhatContradictsItselfIsRefused) {
  ExpectRefused(WithFrame(11, "\x51"), kLimits, "damaged JPEG: sampling factors 5 x 1; 1 to 4");
  ExpectRefused(WithFrame(11, std::string(1, '\0')), kLimits,
                "damaged JPEG: sampling factors 0 x 0; 1 to 4");
  std::string twice = Smooth({9, 7});
  const size_t frame = FrameOf(twice);
  twice.insert(frame, twice.substr(frame, 2 + 17));
  ExpectRefused(twice, kLimits, "damaged JPEG: it has two frames");
  std::string no_frame = Smooth({9, 7});
  no_frame.erase(FrameOf(no_frame), 2 + 17);
  ExpectRefused(no_frame, kLimits, "damaged JPEG: its first scan comes before its frame");
  ExpectRefused("\xFF\xD8\xFF\xD9", kLimits, "damaged JPEG: it has no scan");
  ExpectRefused(std::string("\xFF\xD8\xFF\xE0\0\1xx", 8), kLimits,
                "damaged JPEG: a segment of 1 bytes at 4");
  ExpectRefused(std::string("\xFF\xD8\xFF\xE0\0\2xx", 8), kLimits,
                "damaged JPEG: no marker at byte 6");
}

TEST(JpegReaderTest, ATruncationAnywhereIsRefused) {
  for (JpegSpec spec : EveryJpegKind()) {
    spec.width = 61;
    spec.height = 37;
    const std::string jpeg = Smooth(spec);
    for (size_t bytes = 4; bytes < jpeg.size(); bytes += 5) {
      const auto picture = ReadPicture(jpeg.substr(0, bytes), kLimits);
      EXPECT_EQ(picture.status().code(), absl::StatusCode::kInvalidArgument) << NameOf(spec);
      EXPECT_TRUE(absl::StartsWith(picture.status().message(),
                                   "truncated JPEG: it ends after " + std::to_string(bytes)))
          << NameOf(spec) << ": " << picture.status();
    }
    EXPECT_TRUE(ReadPicture(jpeg + "after the end", kLimits).ok());
  }
}

TEST(JpegReaderTest, DamagedDataIsRefusedAndNotFilledWithGrey) {
  std::string jpeg = Smooth({61, 37});
  const size_t scan = jpeg.find("\xFF\xDA");
  jpeg.replace(scan + 40, 2, "\xFF\xD9");  // The end, in the middle.
  ExpectRefused(jpeg, kLimits, "damaged JPEG: Corrupt JPEG data: premature end of data segment");
}

// A JPEG of three scans whose last comes again and again.
std::string ManyScans(int scans) {
  const std::string jpeg = Smooth({.width = 64, .height = 64, .separate_scans = true});
  const size_t last = jpeg.rfind("\xFF\xDA"), end = jpeg.size() - 2;
  std::string many = jpeg.substr(0, last);
  for (int i = 2; i < scans; ++i) many += jpeg.substr(last, end - last);
  return many + jpeg.substr(end);
}

TEST(JpegReaderTest, ScansWithoutEndAreRefused) {
  EXPECT_TRUE(ReadPicture(ManyScans(kMaxJpegScans), kLimits).ok());
  ExpectRefused(ManyScans(kMaxJpegScans + 1), kLimits, "a JPEG of more than 100 scans");
  ExpectRefused(ManyScans(1000), kLimits, "a JPEG of more than 100 scans");
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

TEST(JpegReaderTest, ACancelledReadEndsAtTheNextRow) {
  const std::string jpeg = Smooth({9, 7});
  CancelAfter check(3);
  EXPECT_EQ(ReadPicture(jpeg, kLimits, check).status(),
            absl::CancelledError("cancelled after 3 of 7 rows"));
  EXPECT_EQ(check.left(), -1);  // Not asked again.
  CancelAfter too_late(1000);
  EXPECT_TRUE(ReadPicture(jpeg, kLimits, too_late).ok());
}

TEST(JpegReaderTest, SeveralScansAreCancelledBeforeTheirFirstRow) {
  const std::string jpeg = Smooth({.width = 61, .height = 37, .progressive = true});
  CancelAfter check(7);
  EXPECT_EQ(ReadPicture(jpeg, kLimits, check).status(),
            absl::CancelledError("cancelled after 0 of 37 rows"));
}

// Nothing to compare with: under the sanitizers this is what finds a read or write out of bounds.
TEST(JpegReaderTest, MutatedBytesEndInAPictureOrAnError) {
  std::mt19937 random(4);
  int pictures = 0, errors = 0;
  for (JpegSpec spec : EveryJpegKind()) {
    spec.width = 33;
    spec.height = 20;
    spec.orientation = 1 + static_cast<int>(random() % 8);
    const std::string jpeg = Smooth(spec);
    for (int round = 0; round < 200; ++round) {
      std::string mutated = jpeg;
      for (uint32_t i = 0; i <= random() % 3; ++i) {
        mutated[2 + random() % (jpeg.size() - 2)] = static_cast<char>(random());
      }
      const auto picture = ReadPicture(mutated, {.max_pixels = 10'000});
      const auto mask = ReadMask(mutated, {.max_pixels = 10'000});
      EXPECT_EQ(picture.status(), mask.status());
      ++(picture.ok() ? pictures : errors);
      if (picture.ok()) {
        EXPECT_EQ(picture->rgb.size(), size_t{3} * picture->width * picture->height);
      } else {
        EXPECT_EQ(picture.status().code(), absl::StatusCode::kInvalidArgument);
      }
    }
  }
  EXPECT_GT(pictures, 100);
  EXPECT_GT(errors, 100);
}

}  // namespace
}  // namespace hmar
