#include "server/uploads/exif.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/server/uploads/picture_maker.h"

namespace hmar {
namespace {

int Number(Orientation orientation) { return static_cast<int>(orientation); }

TEST(ExifTest, TheOrientationIsReadInBothByteOrders) {
  for (int orientation = 1; orientation <= 8; ++orientation) {
    for (const bool big_endian : {false, true}) {
      const std::string exif = MakeExif(orientation, big_endian);
      EXPECT_EQ(Number(OrientationOf(exif)), orientation);
      EXPECT_EQ(Number(OrientationOf(exif.substr(6))), orientation) << "without Exif";
    }
  }
}

TEST(ExifTest, WhatMakesNoSenseIsUpright) {
  for (const int orientation : {0, 9, 200, 65535}) {
    EXPECT_EQ(OrientationOf(MakeExif(orientation)), Orientation::kUpright) << orientation;
  }
  std::string long_type = MakeExif(6);
  long_type[6 + 8 + 2 + 12 + 2] = 4;
  EXPECT_EQ(OrientationOf(long_type), Orientation::kUpright);
  std::string far_directory = MakeExif(6);
  far_directory.replace(6 + 4, 4, "\xFF\xFF\xFF\xFF");
  EXPECT_EQ(OrientationOf(far_directory), Orientation::kUpright);
  std::string no_tiff = MakeExif(6);
  no_tiff[6 + 2] = 43;
  EXPECT_EQ(OrientationOf(no_tiff), Orientation::kUpright);
}

TEST(ExifTest, ATruncationAnywhereIsUpright) {
  const std::string exif = MakeExif(6);
  const size_t value_end = 6 + 8 + 2 + 12 + 10;
  for (size_t bytes = 0; bytes < value_end; ++bytes) {
    EXPECT_EQ(OrientationOf(exif.substr(0, bytes)), Orientation::kUpright) << bytes;
  }
  EXPECT_EQ(OrientationOf(exif.substr(0, value_end)), Orientation::kTurnClockwise);
}

TEST(ExifTest, EveryPathLeadsToTheUprightPicture) {
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const Picture stored{5, 3, NoiseSamples(45)};
    const Picture upright = Upright(stored, orientation);
    for (uint32_t y = 0; y < 3; ++y) {
      const RowPath path = PathOfRow(static_cast<Orientation>(orientation), y, 5, 3);
      for (uint32_t x = 0; x < 5; ++x) {
        const size_t pixel = static_cast<size_t>(path.first + ptrdiff_t{x} * path.step);
        ASSERT_LT(pixel, 15u);
        for (size_t c = 0; c < 3; ++c) {
          EXPECT_EQ(upright.rgb[3 * pixel + c], stored.rgb[(size_t{y} * 5 + x) * 3 + c])
              << "orientation " << orientation;
        }
      }
    }
  }
}

}  // namespace
}  // namespace hmar
