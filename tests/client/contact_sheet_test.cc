#include "client/contact_sheet.h"

#include <gtest/gtest.h>

#include "tests/client/fake_service.h"

namespace hmar {
namespace {

uint8_t RedAt(const Picture& sheet, uint32_t x, uint32_t y) {
  return sheet.rgb[(size_t{y} * sheet.width + x) * 3];
}

TEST(ContactSheetTest, RowsGoDownAndPicturesRight) {
  const std::vector<std::vector<Picture>> rows = {{Square(2, 1), Square(2, 2), Square(2, 3)},
                                                  {Square(2, 4), Square(2, 5), Square(2, 6)}};
  const auto sheet = MakeContactSheet(
      rows, {.min_cell_pixels = 2, .gap_pixels = 1, .background = 9, .max_sheet_pixels = 1000});
  ASSERT_TRUE(sheet.ok()) << sheet.status();
  ASSERT_EQ(sheet->width, 10);  // 3 cells of 2, 4 gaps of 1.
  ASSERT_EQ(sheet->height, 7);
  for (uint32_t row = 0; row < 2; ++row) {
    for (uint32_t column = 0; column < 3; ++column) {
      for (uint32_t pixel = 0; pixel < 4; ++pixel) {
        EXPECT_EQ(RedAt(*sheet, 1 + 3 * column + pixel % 2, 1 + 3 * row + pixel / 2),
                  1 + 3 * row + column);
      }
    }
  }
  for (uint32_t x = 0; x < 10; ++x) {
    EXPECT_EQ(RedAt(*sheet, x, 0), 9);
    EXPECT_EQ(RedAt(*sheet, x, 3), 9);
    EXPECT_EQ(RedAt(*sheet, x, 6), 9);
  }
}

TEST(ContactSheetTest, SmallPicturesAreMagnifiedByAWholeNumber) {
  const std::vector<std::vector<Picture>> rows = {{Square(30, 1)}};
  const auto sheet = MakeContactSheet(rows, {.min_cell_pixels = 100, .gap_pixels = 0});
  ASSERT_TRUE(sheet.ok()) << sheet.status();
  EXPECT_EQ(sheet->width, 120);
  EXPECT_EQ(sheet->height, 120);
}

TEST(ContactSheetTest, PreviewsGrowToTheFinalsSizeByNearestNeighbour) {
  Picture preview = Square(2, 0);
  for (uint8_t i = 0; i < 4; ++i) preview.rgb[3 * i] = 50 + i;
  const std::vector<std::vector<Picture>> rows = {{preview, Square(4, 7)}};
  const auto sheet = MakeContactSheet(rows, {.min_cell_pixels = 1, .gap_pixels = 0});
  ASSERT_TRUE(sheet.ok()) << sheet.status();
  ASSERT_EQ(sheet->width, 8);
  ASSERT_EQ(sheet->height, 4);
  for (uint32_t y = 0; y < 4; ++y) {
    for (uint32_t x = 0; x < 4; ++x) EXPECT_EQ(RedAt(*sheet, x, y), 50 + y / 2 * 2 + x / 2);
  }
}

TEST(ContactSheetTest, OtherProportionsAreKeptAndCentred) {
  const Picture wide{4, 2, std::vector<uint8_t>(24, 200)};
  const std::vector<std::vector<Picture>> rows = {{wide, Square(4, 7)}};
  const auto sheet =
      MakeContactSheet(rows, {.min_cell_pixels = 1, .gap_pixels = 0, .background = 0});
  ASSERT_TRUE(sheet.ok()) << sheet.status();
  EXPECT_EQ(RedAt(*sheet, 0, 0), 0);
  EXPECT_EQ(RedAt(*sheet, 0, 1), 200);
  EXPECT_EQ(RedAt(*sheet, 3, 2), 200);
  EXPECT_EQ(RedAt(*sheet, 0, 3), 0);
}

TEST(ContactSheetTest, ShortRowsEndInBackground) {
  const std::vector<std::vector<Picture>> rows = {{Square(1, 1), Square(1, 2)}, {Square(1, 3)}};
  const auto sheet =
      MakeContactSheet(rows, {.min_cell_pixels = 1, .gap_pixels = 0, .background = 77});
  ASSERT_TRUE(sheet.ok()) << sheet.status();
  EXPECT_EQ(RedAt(*sheet, 0, 1), 3);
  EXPECT_EQ(RedAt(*sheet, 1, 1), 77);
}

TEST(ContactSheetTest, CellsShrinkUntilThePageFits) {
  const std::vector<std::vector<Picture>> rows(10, std::vector<Picture>(10, Square(64, 1)));
  const auto sheet = MakeContactSheet(
      rows, {.min_cell_pixels = 1, .gap_pixels = 0, .background = 0, .max_sheet_pixels = 200'000});
  ASSERT_TRUE(sheet.ok()) << sheet.status();
  EXPECT_EQ(sheet->width, 320);
  EXPECT_EQ(sheet->height, 320);
}

TEST(ContactSheetTest, WhatCannotFitIsAnError) {
  const std::vector<std::vector<Picture>> rows(10, std::vector<Picture>(10, Square(1, 1)));
  const auto sheet = MakeContactSheet(rows, {.max_sheet_pixels = 50});
  EXPECT_EQ(sheet.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ContactSheetTest, NoPictureIsAnError) {
  EXPECT_EQ(MakeContactSheet({}).status().code(), absl::StatusCode::kInvalidArgument);
  const std::vector<std::vector<Picture>> empty_row(1);
  EXPECT_EQ(MakeContactSheet(empty_row).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ContactSheetTest, BytesThatDoNotMatchTheSizeAreAnError) {
  Picture cut = Square(4, 1);
  cut.rgb.pop_back();
  const std::vector<std::vector<Picture>> rows = {{cut}};
  EXPECT_EQ(MakeContactSheet(rows).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace hmar
