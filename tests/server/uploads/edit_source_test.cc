#include "server/uploads/edit_source.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tests/server/uploads/png_maker.h"

namespace hmar {
namespace {

constexpr uint32_t kSide = 16;
const UploadLimits kLimits;

std::vector<uint8_t> RandomBytes(size_t count) {
  std::mt19937 random(static_cast<uint32_t>(count));
  std::vector<uint8_t> bytes(count);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

std::string RgbPng(uint32_t width, uint32_t height) {
  const auto bytes = RandomBytes(size_t{3} * width * height);
  return MakePng({.width = width, .height = height}, {bytes.begin(), bytes.end()});
}

std::string GrayPng(uint32_t width, uint32_t height, const std::vector<uint16_t>& samples) {
  return MakePng({.width = width, .height = height, .color_type = PNG_COLOR_TYPE_GRAY}, samples);
}

EditSource Read(const EditUpload& upload) {
  EXPECT_TRUE(CheckEditUpload(upload, kSide, kLimits).empty());
  auto source = ReadEditSource(upload, kSide, kLimits);
  if (const auto* violation = std::get_if<Violation>(&source)) {
    ADD_FAILURE() << violation->field << ": " << violation->description;
    return {};
  }
  return std::get<EditSource>(std::move(source));
}

// "field: description [reason]" of each violation, one a line.
std::string TextOf(const std::vector<Violation>& violations) {
  std::string text;
  for (const Violation& violation : violations) {
    text += violation.field + ": " + violation.description + " [" + RowOf(violation.reason).name +
            "]\n";
  }
  return text;
}

void ExpectRefused(const EditUpload& upload, const std::string& expected) {
  const auto violations = CheckEditUpload(upload, kSide, kLimits);
  EXPECT_EQ(TextOf(violations), expected);
  const auto source = ReadEditSource(upload, kSide, kLimits);
  ASSERT_TRUE(std::holds_alternative<Violation>(source));
  EXPECT_EQ(TextOf({std::get<Violation>(source)}), TextOf({violations.front()}));
}

TEST(EditSourceTest, WithoutResizeThePictureIsTheUploadsOwnBytes) {
  const EditSource source = Read({RgbPng(kSide, kSide), GenerateBox{{3, 4, 10, 9}}});
  EXPECT_EQ(source.picture.width, kSide);
  EXPECT_EQ(source.picture.height, kSide);
  EXPECT_EQ(source.picture.rgb, RandomBytes(3 * kSide * kSide));
  EXPECT_EQ(source.region,
            BoxRegion({3, 4, 10, 9}, FitInto(kSide, kSide, kSide, ResizeMode::kNone), kSide));
}

TEST(EditSourceTest, EveryRegionFollowsTheResize) {
  for (const ResizeMode mode : {ResizeMode::kCover, ResizeMode::kContain}) {
    const Fit fit = FitInto(50, 30, kSide, mode);
    std::vector<uint16_t> gray(50 * 30);
    for (size_t i = 0; i < gray.size(); ++i) gray[i] = i % 31 == 0 ? 255 : 0;
    const PictureMask mask{50, 30, {gray.begin(), gray.end()}};
    PictureMask white = mask;
    for (uint8_t& pixel : white.white) pixel = pixel != 0;
    const PixelBox box{20, 3, 31, 20};
    const auto region = [&](UploadRegion given) {
      const EditSource source = Read({RgbPng(50, 30), std::move(given), mode});
      EXPECT_EQ(source.picture.rgb.size(), size_t{3} * kSide * kSide);
      return source.region;
    };
    EXPECT_EQ(region(GenerateBox{box}), BoxRegion(box, fit, kSide));
    EXPECT_EQ(region(KeepBox{box}), KeepBoxRegion(box, fit, kSide));
    EXPECT_EQ(region(GenerateMask{GrayPng(50, 30, gray)}), MaskRegion(white, fit, kSide));
  }
}

TEST(EditSourceTest, ContainGoesWithoutARegion) {
  const EditSource wide = Read({RgbPng(32, 16), {}, ResizeMode::kContain});
  EXPECT_EQ(wide.region, BarsRegion(FitInto(32, 16, kSide, ResizeMode::kContain), kSide));
  const EditSource square = Read({RgbPng(30, 30), {}, ResizeMode::kContain});
  EXPECT_EQ(square.region, Region(kSide * kSide, 0));
}

TEST(EditSourceTest, AMaskMayBeAllBlackOrAllWhite) {
  for (const uint16_t gray : {0, 255}) {
    const EditSource source =
        Read({RgbPng(kSide, kSide),
              GenerateMask{GrayPng(kSide, kSide, std::vector<uint16_t>(kSide * kSide, gray))}});
    EXPECT_EQ(source.region, Region(kSide * kSide, gray / 255));
  }
}

// Whatever its colour, and in every way that a PNG can be transparent.
TEST(EditSourceTest, AMaskMayBeWhatIsTransparent) {
  const Fit fit = FitInto(kSide, kSide, kSide, ResizeMode::kNone);
  const PixelBox hole{3, 4, 10, 9};
  const auto inside = [&](uint32_t x, uint32_t y) {
    return x >= hole.x0 && x < hole.x1 && y >= hole.y0 && y < hole.y1;
  };
  const auto png_of = [&](PngSpec spec, std::vector<uint16_t> in, std::vector<uint16_t> out) {
    spec.width = spec.height = kSide;
    std::vector<uint16_t> samples;
    for (uint32_t i = 0; i < kSide * kSide; ++i) {
      const std::vector<uint16_t>& pixel = inside(i % kSide, i / kSide) ? in : out;
      samples.insert(samples.end(), pixel.begin(), pixel.end());
    }
    return MakePng(spec, samples);
  };
  const std::string rgba =
      png_of({.color_type = PNG_COLOR_TYPE_RGBA}, {255, 255, 255, 0}, {0, 0, 0, 1});
  const std::string gray =
      png_of({.color_type = PNG_COLOR_TYPE_GRAY_ALPHA, .interlaced = true}, {0, 0}, {255, 255});
  const std::string palette = png_of({.color_type = PNG_COLOR_TYPE_PALETTE,
                                      .palette = {{9, 9, 9}, {1, 2, 3}},
                                      .palette_alpha = {0, 255}},
                                     {0}, {1});
  for (const std::string& mask : {rgba, gray, palette}) {
    const EditSource source =
        Read({RgbPng(kSide, kSide), GenerateMask{mask, /*transparent=*/true}});
    EXPECT_EQ(source.region, BoxRegion(hole, fit, kSide));
  }
}

TEST(EditSourceTest, AMaskWithoutTransparencyIsRefusedWhereThatCounts) {
  const EditUpload opaque{RgbPng(kSide, kSide),
                          GenerateMask{RgbPng(kSide, kSide), /*transparent=*/true}};
  const auto source = ReadEditSource(opaque, kSide, kLimits);
  ASSERT_TRUE(std::holds_alternative<Violation>(source));
  EXPECT_EQ(TextOf({std::get<Violation>(source)}),
            "edit.mask: the PNG has no transparency, which is what its mask is made of "
            "[IMAGE_INVALID]\n");
}

TEST(EditSourceTest, WhatIsMissingIsNamed) {
  ExpectRefused({},
                "edit.image: missing; a PNG, JPEG or WebP of what to edit [FIELD_MISSING]\n"
                "edit.region: missing; give box, mask or keep_box (only RESIZE_CONTAIN goes "
                "without) [FIELD_MISSING]\n");
  ExpectRefused({RgbPng(30, 20), {}, ResizeMode::kCover},
                "edit.region: missing; give box, mask or keep_box (only RESIZE_CONTAIN goes "
                "without) [FIELD_MISSING]\n");
}

TEST(EditSourceTest, WrongSizesAreNamedWithTheRightOnes) {
  ExpectRefused({RgbPng(17, 16), GenerateBox{{0, 0, 1, 1}}},
                "edit.image: 17 x 16 pixels; without resize it must have the model's 16 x 16 "
                "[IMAGE_SIZE_MISMATCH]\n");
  ExpectRefused({RgbPng(20, 30), GenerateMask{RgbPng(kSide, kSide)}, ResizeMode::kCover},
                "edit.mask: 16 x 16 pixels; it must have the image's 20 x 30 "
                "[IMAGE_SIZE_MISMATCH]\n");
}

TEST(EditSourceTest, BoxesMustHoldPixelsOfTheImage) {
  const std::string image = RgbPng(kSide, kSide);
  ExpectRefused({image, GenerateBox{{5, 2, 5, 9}}},
                "edit.box: x 5 to 5, y 2 to 9 is empty; x0 < x1 and y0 < y1 must hold "
                "[FIELD_OUT_OF_RANGE]\n");
  ExpectRefused({image, KeepBox{{5, 9, 6, 2}}},
                "edit.keep_box: x 5 to 6, y 9 to 2 is empty; x0 < x1 and y0 < y1 must hold "
                "[FIELD_OUT_OF_RANGE]\n");
  ExpectRefused({image, KeepBox{{0, 0, 16, 17}}},
                "edit.keep_box: x 0 to 16, y 0 to 17 is not inside the image of 16 x 16 pixels "
                "[FIELD_OUT_OF_RANGE]\n");
  ExpectRefused({image, GenerateBox{{4294967294u, 0, 4294967295u, 1}}},
                "edit.box: x 4294967294 to 4294967295, y 0 to 1 is not inside the image of 16 x 16 "
                "pixels [FIELD_OUT_OF_RANGE]\n");
}

TEST(EditSourceTest, BadPngsAreToldByTheirHeaders) {
  ExpectRefused({"GIF89a", GenerateMask{""}},
                "edit.image: not a PNG, JPEG or WebP: 6 bytes that begin as none of these "
                "[IMAGE_INVALID]\n"
                "edit.mask: not a PNG, JPEG or WebP: 0 bytes that begin as none of these "
                "[IMAGE_INVALID]\n");
  std::string huge = RgbPng(kSide, kSide);
  auto chunks = SplitChunks(huge);
  chunks[0].data.replace(0, 8, "\0\0\x7f\xff\0\0\x7f\xff", 8);
  ExpectRefused({JoinChunks(chunks), GenerateBox{{0, 0, 1, 1}}, ResizeMode::kCover},
                "edit.image: 32767 x 32767 pixels, 1073676289 in all; at most 64000000 "
                "[IMAGE_INVALID]\n");
}

// The header is fine, so only reading tells; the field that is at fault is still named.
TEST(EditSourceTest, DamageInsideNamesItsField) {
  const std::string good = RgbPng(kSide, kSide);
  const std::string cut = good.substr(0, good.size() - 20);
  const EditUpload bad_image{cut, GenerateMask{good}}, bad_mask{good, GenerateMask{cut}};
  for (const auto& [upload, field] :
       {std::pair(bad_image, "edit.image"), {bad_mask, "edit.mask"}}) {
    EXPECT_TRUE(CheckEditUpload(upload, kSide, kLimits).empty());
    const auto source = ReadEditSource(upload, kSide, kLimits);
    ASSERT_TRUE(std::holds_alternative<Violation>(source));
    EXPECT_EQ(TextOf({std::get<Violation>(source)}),
              std::string(field) + ": truncated PNG: it ends after " + std::to_string(cut.size()) +
                  " bytes, before IEND [IMAGE_INVALID]\n");
  }
}

// However often it is asked before it says yes: in the image, in the resize or in the mask.
TEST(EditSourceTest, ACancelledReadSaysSoWhereverItIs) {
  const EditUpload upload{RgbPng(40, 30), GenerateMask{RgbPng(40, 30)}, ResizeMode::kCover};
  int whole = 0;
  ReadEditSource(upload, kSide, kLimits, [&whole] { return ++whole < 0; });
  EXPECT_GE(whole, 30 + static_cast<int>(kSide) + 30);
  for (int asks = 0; asks < whole; ++asks) {
    int asked = 0;
    const auto source =
        ReadEditSource(upload, kSide, kLimits, [&asked, asks] { return asked++ >= asks; });
    ASSERT_TRUE(std::holds_alternative<Violation>(source)) << asks;
    EXPECT_EQ(std::get<Violation>(source).reason, Reason::kCancelled) << asks;
    EXPECT_EQ(asked, asks + 1);
  }
}

TEST(EditSourceTest, HeadersTellWhatAnUploadTakes) {
  const std::string image = RgbPng(40, 30), mask = GrayPng(40, 30, std::vector<uint16_t>(1200));
  EXPECT_EQ(DecodedBytes({image, GenerateMask{mask}}, kLimits), 3600u);
  EXPECT_EQ(EncodedBytes({image, GenerateMask{mask}}), image.size() + mask.size());
  EXPECT_EQ(EncodedBytes({image, KeepBox{}}), image.size());
  EXPECT_EQ(DecodedBytes({"no PNG", {}}, kLimits), 0u);
}

}  // namespace
}  // namespace hmar
