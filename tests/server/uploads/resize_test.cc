#include "server/uploads/resize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

namespace hmar {
namespace {

using Sizes = std::vector<std::pair<uint32_t, uint32_t>>;

Picture RandomPicture(uint32_t width, uint32_t height) {
  std::mt19937 random(width * 1000 + height);
  Picture picture{width, height, std::vector<uint8_t>(size_t{3} * width * height)};
  for (uint8_t& sample : picture.rgb) sample = static_cast<uint8_t>(random());
  return picture;
}

Picture Resized(Picture picture, uint32_t side, ResizeMode mode) {
  const Fit fit = FitInto(picture.width, picture.height, side, mode);
  auto resized = Resize(std::move(picture), fit, side);
  EXPECT_TRUE(resized.ok()) << resized.status();
  return *std::move(resized);
}

const uint8_t* PixelAt(const Picture& picture, uint32_t x, uint32_t y) {
  return picture.rgb.data() + (size_t{y} * picture.width + x) * 3;
}

TEST(FitTest, CoverTakesTheMiddleSquareAndContainLeavesBars) {
  const Fit wide_cover = FitInto(101, 40, 16, ResizeMode::kCover);
  EXPECT_EQ(wide_cover.source, (PixelBox{30, 0, 70, 40}));
  EXPECT_EQ(wide_cover.target, (PixelBox{0, 0, 16, 16}));
  const Fit tall_cover = FitInto(40, 100, 16, ResizeMode::kCover);
  EXPECT_EQ(tall_cover.source, (PixelBox{0, 30, 40, 70}));
  const Fit wide = FitInto(100, 40, 16, ResizeMode::kContain);
  EXPECT_EQ(wide.source, (PixelBox{0, 0, 100, 40}));
  EXPECT_EQ(wide.target, (PixelBox{0, 5, 16, 11}));  // 6.4 rows, rounded.
  const Fit tall = FitInto(3, 32768, 16, ResizeMode::kContain);
  EXPECT_EQ(tall.target, (PixelBox{7, 0, 8, 16}));  // Never less than a column.
}

TEST(CoveredPixelsTest, SpansAreExactlyThePixelsTouched) {
  for (const auto& [source, target] : Sizes{{1, 1}, {5, 5}, {10, 4}, {4, 10}, {1, 7}, {997, 64}}) {
    const auto spans = CoveredPixels(source, target);
    ASSERT_EQ(spans.size(), target);
    for (uint64_t i = 0; i < target; ++i) {
      for (uint64_t pixel = 0; pixel < source; ++pixel) {
        // [i, i + 1) * source / target and [pixel, pixel + 1) share more than a point.
        const bool touched = i * source < (pixel + 1) * target && (i + 1) * source > pixel * target;
        EXPECT_EQ(touched, spans[i].first <= pixel && pixel < spans[i].last)
            << source << " to " << target << ": pixel " << pixel << " under " << i;
      }
    }
  }
}

TEST(ResizeTest, APictureOfTheRightSizeKeepsItsBytesInEveryMode) {
  const Picture picture = RandomPicture(32, 32);
  for (const ResizeMode mode : {ResizeMode::kNone, ResizeMode::kCover, ResizeMode::kContain}) {
    EXPECT_EQ(Resized(picture, 32, mode).rgb, picture.rgb);
  }
}

TEST(ResizeTest, WhatNeedsNoScalingIsMovedByteForByte) {
  const Picture cropped = Resized(RandomPicture(40, 16), 16, ResizeMode::kCover);
  const Picture contained = Resized(RandomPicture(16, 10), 16, ResizeMode::kContain);
  for (uint32_t y = 0; y < 16; ++y) {
    for (uint32_t x = 0; x < 16; ++x) {
      EXPECT_EQ(std::memcmp(PixelAt(cropped, x, y), PixelAt(RandomPicture(40, 16), x + 12, y), 3),
                0);
      if (y < 3 || y >= 13) continue;
      EXPECT_EQ(std::memcmp(PixelAt(contained, x, y), PixelAt(RandomPicture(16, 10), x, y - 3), 3),
                0);
    }
  }
}

TEST(ResizeTest, BarsRepeatTheEdgePixels) {
  for (const auto& [width, height] : Sizes{{50, 20}, {20, 50}, {7, 3}}) {
    const Picture square = Resized(RandomPicture(width, height), 16, ResizeMode::kContain);
    const PixelBox box = FitInto(width, height, 16, ResizeMode::kContain).target;
    for (uint32_t y = 0; y < 16; ++y) {
      for (uint32_t x = 0; x < 16; ++x) {
        const uint32_t inside_x = std::min(std::max(x, box.x0), box.x1 - 1);
        const uint32_t inside_y = std::min(std::max(y, box.y0), box.y1 - 1);
        EXPECT_EQ(std::memcmp(PixelAt(square, x, y), PixelAt(square, inside_x, inside_y), 3), 0);
      }
    }
  }
}

TEST(ResizeTest, AFlatPictureStaysFlatAtEveryScale) {
  for (const auto& [width, height] :
       Sizes{{1, 1}, {2, 3}, {15, 16}, {300, 200}, {4000, 3}, {3, 4000}, {32768, 1}, {1, 32768}}) {
    for (const ResizeMode mode : {ResizeMode::kCover, ResizeMode::kContain}) {
      Picture flat{width, height, std::vector<uint8_t>(size_t{3} * width * height, 77)};
      EXPECT_EQ(Resized(std::move(flat), 32, mode).rgb, std::vector<uint8_t>(3 * 32 * 32, 77))
          << width << " x " << height;
    }
  }
}

// Stripes of one pixel are finer than the small picture can show: without antialiasing they would
// come out as false broad stripes; with it as an even grey.
TEST(ResizeTest, ReducingAntialiases) {
  Picture stripes{330, 330, {}};
  for (uint32_t i = 0; i < 330 * 330; ++i)
    stripes.rgb.insert(stripes.rgb.end(), 3, i % 2 ? 255 : 0);
  const Picture small = Resized(std::move(stripes), 32, ResizeMode::kCover);
  for (uint32_t i = 0; i < 32 * 32; ++i) {
    if (i % 32 == 0 || i % 32 == 31) continue;  // The filter sees half stripes there.
    EXPECT_NEAR(small.rgb[3 * i], 128, 6) << "pixel " << i;
  }
}

TEST(ResizeTest, AGradientStaysInPlace) {
  Picture gradient{256, 256, {}};
  for (uint32_t y = 0; y < 256; ++y) {
    for (uint32_t x = 0; x < 256; ++x) {
      gradient.rgb.insert(gradient.rgb.end(),
                          {static_cast<uint8_t>(x), static_cast<uint8_t>(y), 0});
    }
  }
  for (const uint32_t side : {64u, 512u}) {
    const Picture scaled = Resized(gradient, side, ResizeMode::kCover);
    const double scale = 256.0 / side;
    const uint32_t border = side / 32;  // The filter's reach past the edge.
    for (uint32_t y = border; y < side - border; ++y) {
      for (uint32_t x = border; x < side - border; ++x) {
        // Centre to centre.
        EXPECT_NEAR(PixelAt(scaled, x, y)[0], (x + 0.5) * scale - 0.5, 0.76);
        EXPECT_NEAR(PixelAt(scaled, x, y)[1], (y + 0.5) * scale - 0.5, 0.76);
      }
    }
  }
}

TEST(ResizeTest, ACancelledResizeEndsAtTheNextRow) {
  const Fit fit = FitInto(64, 48, 16, ResizeMode::kCover);
  for (const int rows : {0, 1, 9}) {
    int asked = 0;
    const auto resized =
        Resize(RandomPicture(64, 48), fit, 16, [&asked, rows] { return asked++ >= rows; });
    EXPECT_EQ(resized.status().code(), absl::StatusCode::kCancelled);
    EXPECT_EQ(asked, rows + 1);
  }
  int asked = 0;
  const auto never = [&asked] { return ++asked < 0; };
  const auto resized = Resize(RandomPicture(64, 48), fit, 16, never);
  ASSERT_TRUE(resized.ok()) << resized.status();
  EXPECT_GE(asked, 16);
  EXPECT_EQ(resized->rgb, Resized(RandomPicture(64, 48), 16, ResizeMode::kCover).rgb);
}

}  // namespace
}  // namespace hmar
