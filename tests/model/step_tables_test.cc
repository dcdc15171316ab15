#include "model/cuda/step_tables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace hmar {
namespace {

using kernels::PassKind;

constexpr int32_t kNullRow = 10;

ImageStep Image(int32_t slot, uint16_t scale, uint16_t step, uint32_t tokens, bool guided,
                uint32_t reopen) {
  ImageStep image;
  image.slot = slot;
  image.class_row = 3;
  image.pass = {.scale = scale,
                .step = step,
                .guided = guided,
                .settles_scale = reopen == 0,
                .tokens = tokens,
                .reopened = tokens};
  image.reopen = reopen;
  return image;
}

// Stand for the device's: nobody reads them.
constexpr uint8_t kMaskOpen[9] = {}, kEdited[100] = {};

ImageStep Drawing(ImageStep image, const uint8_t* open) {
  image.open = open;
  return image;
}

// A guided next-scale pass between two mask passes.
class StepTablesTest : public testing::Test {
 protected:
  StepTablesTest()
      : images_({Drawing(Image(5, 2, 1, 9, false, 4), kMaskOpen),
                 Drawing(Image(6, 4, 0, 100, true, 0), kEdited), Image(7, 1, 1, 4, false, 0)}),
        sizes_(MeasureStep(images_)),
        memory_(StepTables(sizes_, nullptr).bytes),
        tables_(sizes_, memory_.data()) {
    FillStep(images_, kNullRow, tables_);
  }

  const std::vector<ImageStep> images_;
  const StepSizes sizes_;
  std::vector<uint8_t> memory_;
  const StepTables tables_;
};

TEST_F(StepTablesTest, NextScaleRowsComeFirst) {
  EXPECT_EQ(sizes_.ns_rows, 200);
  EXPECT_EQ(sizes_.mask_rows, 13);
  EXPECT_EQ(sizes_.segments, 4);
  EXPECT_EQ(tables_.segments[0].slot, 6);
  EXPECT_EQ(tables_.segments[1].class_row, kNullRow);
  EXPECT_EQ(tables_.segments[2].first_row, 200);
  EXPECT_EQ(tables_.segments[2].kind, PassKind::kMask);
  EXPECT_EQ(tables_.segments[3].first_row, 209);
}

TEST_F(StepTablesTest, EveryRowKnowsItsSegmentAndClass) {
  for (int64_t row = 0; row < sizes_.rows(); ++row) {
    const kernels::Segment& segment = tables_.segments[tables_.segment_of_row[row]];
    EXPECT_GE(row, segment.first_row);
    EXPECT_LT(row, segment.first_row + segment.tokens);
    EXPECT_EQ(tables_.class_of_row[row], segment.class_row);
  }
}

TEST_F(StepTablesTest, TilesCoverEveryQueryOnceLongSegmentsFirst) {
  EXPECT_EQ(sizes_.ns_tiles, 4);
  EXPECT_EQ(sizes_.mask_tiles, 2);
  std::set<int32_t> queries;
  for (int i = 0; i < sizes_.ns_tiles + sizes_.mask_tiles; ++i) {
    const kernels::AttentionTile& tile = tables_.tiles[i];
    EXPECT_LT(tile.first_query, tile.tokens);
    for (int32_t q = tile.first_query;
         q < std::min(tile.tokens, tile.first_query + kernels::kAttentionTileQueries); ++q) {
      EXPECT_TRUE(queries.insert(tile.first_row + q).second);
    }
  }
  EXPECT_EQ(static_cast<int64_t>(queries.size()), sizes_.rows());
  EXPECT_EQ(tables_.tiles[4].tokens, 9);
  EXPECT_EQ(tables_.tiles[5].tokens, 4);
}

TEST_F(StepTablesTest, DrawsStandInTheOrderOfTheImages) {
  EXPECT_EQ(sizes_.drawn_tokens, 113);
  EXPECT_EQ(tables_.draws[0].slot, 5);
  EXPECT_EQ(tables_.draws[0].first_row, 200);
  EXPECT_EQ(tables_.draws[0].first_uncond_row, -1);
  EXPECT_EQ(tables_.draws[1].first_uncond_row, 100);
  EXPECT_EQ(tables_.draws[2].first_token, 109);
  EXPECT_EQ(tables_.image_of_token[8], 0);
  EXPECT_EQ(tables_.image_of_token[9], 1);
  EXPECT_EQ(tables_.image_of_token[112], 2);
}

TEST_F(StepTablesTest, JobsFollowThePasses) {
  EXPECT_EQ(sizes_.own_maps, 2);
  EXPECT_EQ(sizes_.reopened, 1);
  EXPECT_EQ(sizes_.settled_maps, 2);
  EXPECT_EQ(tables_.reopened[0].slot, 5);
  EXPECT_EQ(tables_.reopened[0].count, 4);
  EXPECT_EQ(tables_.settled_maps[0].slot, 6);
  EXPECT_EQ(tables_.settled_maps[1].slot, 7);
}

// What an edit's pass draws is no matter of its kind: rows and sizes, and so graphs, are a
// generation's.
TEST_F(StepTablesTest, DrawsAndReopeningKnowWhereThePassDraws) {
  EXPECT_EQ(tables_.draws[0].open, kMaskOpen);
  EXPECT_EQ(tables_.draws[1].open, kEdited);
  EXPECT_EQ(tables_.draws[2].open, nullptr);
  EXPECT_EQ(tables_.reopened[0].drawn, kMaskOpen);
  EXPECT_EQ(tables_.segments[0].kind, PassKind::kNextScale);
  std::vector<ImageStep> generations = images_;
  for (ImageStep& image : generations) image.open = nullptr;
  EXPECT_EQ(MeasureStep(generations), sizes_);
}

TEST_F(StepTablesTest, TheBoundHoldsAndTablesAreAligned) {
  EXPECT_LE(tables_.bytes, MostStepBytes(sizes_.rows(), sizes_.images));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(tables_.draws) % alignof(kernels::DrawImage),
            reinterpret_cast<uintptr_t>(memory_.data()) % alignof(kernels::DrawImage));
}

}  // namespace
}  // namespace hmar
