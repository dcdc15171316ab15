#include "client/edit_options.h"

#include <gtest/gtest.h>

namespace hmar {
namespace {

constexpr EditBox kBox = {.x0 = 1, .y0 = 2, .x1 = 30, .y1 = 40};

void ExpectBox(const v1::EditOptions::Box& box) {
  EXPECT_EQ(box.x0(), 1);
  EXPECT_EQ(box.y0(), 2);
  EXPECT_EQ(box.x1(), 30);
  EXPECT_EQ(box.y1(), 40);
}

TEST(EditOptionsTest, EachKindOfEditSetsItsOwnRegion) {
  const v1::EditOptions box = RegenerateBox("image", kBox);
  ASSERT_EQ(box.region_case(), v1::EditOptions::kBox);
  ExpectBox(box.box());

  const v1::EditOptions mask = RegenerateMask("image", std::string("m\0k", 3));
  ASSERT_EQ(mask.region_case(), v1::EditOptions::kMask);
  EXPECT_EQ(mask.mask(), std::string("m\0k", 3));

  const v1::EditOptions keep_box = KeepOnlyBox("image", kBox);
  ASSERT_EQ(keep_box.region_case(), v1::EditOptions::kKeepBox);
  ExpectBox(keep_box.keep_box());

  const v1::EditOptions bars = FillBars("image");
  EXPECT_EQ(bars.region_case(), v1::EditOptions::REGION_NOT_SET);
  EXPECT_EQ(bars.resize(), v1::EditOptions::RESIZE_CONTAIN);
  for (const auto& edit : {box, mask, keep_box, bars}) EXPECT_EQ(edit.image(), "image");
}

TEST(EditOptionsTest, TheRestIsLeftToTheServer) {
  const v1::EditOptions edit = RegenerateBox("image", kBox);
  EXPECT_EQ(edit.resize(), v1::EditOptions::RESIZE_UNSPECIFIED);
  EXPECT_FALSE(edit.has_composite());
  EXPECT_EQ(edit.feather(), 0);
}

}  // namespace
}  // namespace hmar
