#include "server/uploads/edit_region.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>
#include <string>

namespace hmar {
namespace {

// The rule, pixel by pixel: in the region if any pixel of the upload under it is `wanted`.
Region AnyCoverage(uint32_t side, const Fit& fit,
                   const std::function<bool(uint32_t, uint32_t)>& wanted) {
  const PixelBox &source = fit.source, &target = fit.target;
  Region region(size_t{side} * side, 1);
  // Pixel `i` of `length` target pixels and source pixel `at` of `pixels` overlap.
  const auto touch = [](uint64_t i, uint64_t length, uint64_t at, uint64_t pixels) {
    return i * pixels < (at + 1) * length && (i + 1) * pixels > at * length;
  };
  for (uint32_t y = 0; y < target.height(); ++y) {
    for (uint32_t x = 0; x < target.width(); ++x) {
      bool any = false;
      for (uint32_t v = 0; v < source.height(); ++v) {
        if (!touch(y, target.height(), v, source.height())) continue;
        for (uint32_t u = 0; u < source.width(); ++u) {
          any = any || (touch(x, target.width(), u, source.width()) &&
                        wanted(source.x0 + u, source.y0 + v));
        }
      }
      region[size_t{target.y0 + y} * side + target.x0 + x] = any;
    }
  }
  return region;
}

bool Inside(const PixelBox& box, uint32_t x, uint32_t y) {
  return x >= box.x0 && x < box.x1 && y >= box.y0 && y < box.y1;
}

class RandomUpload {
 public:
  explicit RandomUpload(uint32_t seed) : random_(seed) {
    width = 1 + random_() % 50;
    height = 1 + random_() % 50;
    box.x0 = random_() % width;
    box.y0 = random_() % height;
    box.x1 = box.x0 + 1 + random_() % (width - box.x0);
    box.y1 = box.y0 + 1 + random_() % (height - box.y0);
    mask = {width, height, std::vector<uint8_t>(size_t{width} * height)};
    const uint32_t rarity = 1 + random_() % 100;
    for (uint8_t& pixel : mask.white) pixel = random_() % rarity == 0;
    mode = random_() % 2 ? ResizeMode::kCover : ResizeMode::kContain;
    side = 1 + random_() % 40;
  }

  uint32_t width, height, side;
  PixelBox box;
  PictureMask mask;
  ResizeMode mode;

 private:
  std::mt19937 random_;
};

TEST(EditRegionTest, APixelIsGeneratedIfAnythingUnderItIs) {
  for (uint32_t seed = 0; seed < 300; ++seed) {
    const RandomUpload upload(seed);
    const Fit fit = FitInto(upload.width, upload.height, upload.side, upload.mode);
    SCOPED_TRACE("seed " + std::to_string(seed));
    EXPECT_EQ(BoxRegion(upload.box, fit, upload.side),
              AnyCoverage(upload.side, fit,
                          [&](uint32_t x, uint32_t y) { return Inside(upload.box, x, y); }));
    EXPECT_EQ(KeepBoxRegion(upload.box, fit, upload.side),
              AnyCoverage(upload.side, fit,
                          [&](uint32_t x, uint32_t y) { return !Inside(upload.box, x, y); }));
    EXPECT_EQ(MaskRegion(upload.mask, fit, upload.side),
              AnyCoverage(upload.side, fit, [&](uint32_t x, uint32_t y) {
                return upload.mask.white[size_t{y} * upload.width + x] == 1;
              }));
  }
}

TEST(EditRegionTest, WithoutResizeTheRegionIsWhatWasGiven) {
  const Fit fit = FitInto(8, 8, 8, ResizeMode::kNone);
  Region expected(64, 0);
  for (const uint32_t i : {10, 11, 12, 18, 19, 20}) expected[i] = 1;
  EXPECT_EQ(BoxRegion({2, 1, 5, 3}, fit, 8), expected);
  EXPECT_EQ(MaskRegion({8, 8, expected}, fit, 8), expected);
  for (uint8_t& pixel : expected) pixel = 1 - pixel;
  EXPECT_EQ(KeepBoxRegion({2, 1, 5, 3}, fit, 8), expected);
}

TEST(EditRegionTest, BarsAreGenerated) {
  const Region wide = BarsRegion(FitInto(40, 20, 8, ResizeMode::kContain), 8);
  for (uint32_t i = 0; i < 64; ++i) EXPECT_EQ(wide[i], i < 16 || i >= 48) << "pixel " << i;
  EXPECT_EQ(BarsRegion(FitInto(40, 40, 8, ResizeMode::kContain), 8), Region(64, 0));
}

TEST(EditRegionTest, ABoxThatCoverCutsOffLeavesNothingToGenerate) {
  EXPECT_EQ(BoxRegion({0, 0, 10, 20}, FitInto(60, 20, 8, ResizeMode::kCover), 8), Region(64, 0));
}

}  // namespace
}  // namespace hmar
