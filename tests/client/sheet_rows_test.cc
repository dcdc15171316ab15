#include "client/sheet_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/client/fake_service.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;

std::vector<int> RedsOf(const std::vector<Picture>& row) {
  std::vector<int> reds;
  for (const Picture& picture : row) reds.push_back(picture.rgb[0]);
  return reds;
}

TEST(SheetRowsTest, RowsComeInOrderWithTheirPicturesInOrder) {
  SheetRows rows;
  rows.Append(5, Square(2, 51));
  rows.Append(3, Square(2, 31));
  rows.Append(5, Square(2, 52));
  rows.Prepend(5, Square(2, 50));
  EXPECT_EQ(rows.bytes(), 4 * 12);
  const std::vector<std::vector<Picture>> taken = rows.Take();
  ASSERT_EQ(taken.size(), 2);
  EXPECT_THAT(RedsOf(taken[0]), ElementsAre(31));
  EXPECT_THAT(RedsOf(taken[1]), ElementsAre(50, 51, 52));
  EXPECT_EQ(rows.bytes(), 0);
  EXPECT_TRUE(rows.Take().empty());
}

TEST(SheetRowsTest, WhatDoesNotFitIsKeptAtHalfItsSizeByAllAlike) {
  SheetRows rows(/*max_bytes=*/500);
  rows.Append(0, Square(8, 1));
  rows.Append(0, Square(8, 2));
  EXPECT_EQ(rows.bytes(), 384);
  rows.Append(0, Square(8, 3));
  EXPECT_EQ(rows.bytes(), 3 * 48);
  rows.Append(0, Square(16, 4));  // Comes halved, too.
  EXPECT_EQ(rows.bytes(), 3 * 48 + 192);
  const std::vector<Picture> row = rows.Take()[0];
  EXPECT_EQ(row[0].width, 4);
  EXPECT_EQ(row[3].width, 8);
  EXPECT_THAT(RedsOf(row), ElementsAre(1, 2, 3, 4));
}

TEST(SheetRowsTest, EverySecondPixelStaysAndOddSizesKeepTheirLast) {
  Picture picture{3, 2, {}};
  for (uint8_t i = 0; i < 6; ++i) picture.rgb.insert(picture.rgb.end(), 3, i);
  SheetRows rows(/*max_bytes=*/17);
  rows.Append(0, picture);
  const Picture half = rows.Take()[0][0];
  EXPECT_EQ(half.width, 2);
  EXPECT_EQ(half.height, 1);
  EXPECT_THAT(half.rgb, ElementsAre(0, 0, 0, 2, 2, 2));
}

TEST(SheetRowsTest, APixelIsTheLeastThatStays) {
  SheetRows rows(/*max_bytes=*/1);
  for (uint32_t i = 0; i < 100; ++i) rows.Append(i, Square(64, 1));
  EXPECT_EQ(rows.bytes(), 300);
}

TEST(SheetRowsTest, HowManyPicturesComeDoesNotMatter) {
  SheetRows rows(/*max_bytes=*/100'000);
  for (uint32_t i = 0; i < 1000; ++i) {
    rows.Append(i % 10, Square(64, 1));
    ASSERT_LE(rows.bytes(), 100'000);
  }
}

}  // namespace
}  // namespace hmar
