#include "client/terminal/text_columns.h"

#include <gtest/gtest.h>

namespace hmar {
namespace {

constexpr char kWide[] = "\xe8\x88\xb9";   // A CJK character: two columns.
constexpr char kAccented[] = "e\xcc\x81";  // Two code points, one column.

TEST(TextColumnsTest, ColumnsAreNotBytes) {
  EXPECT_EQ(ColumnsOf(""), 0U);
  EXPECT_EQ(ColumnsOf("ship"), 4U);
  EXPECT_EQ(ColumnsOf(std::string(kWide) + kWide), 4U);
  EXPECT_EQ(ColumnsOf(kAccented), 1U);
}

TEST(TextColumnsTest, NothingIsCutInTheMiddleOfACharacter) {
  EXPECT_EQ(CutToColumns("ship", 3), "shi");
  EXPECT_EQ(CutToColumns("ship", 9), "ship");
  EXPECT_EQ(CutToColumns(std::string("a") + kWide, 2), "a");
  EXPECT_EQ(CutToColumns(std::string(kAccented) + "x", 1), kAccented);
}

TEST(TextColumnsTest, PaddingCountsColumns) {
  EXPECT_EQ(PadRight(kWide, 4), std::string(kWide) + "  ");
  EXPECT_EQ(PadLeft("7", 3), "  7");
  EXPECT_EQ(PadRight(std::string("a") + kWide, 2), "a ");
}

}  // namespace
}  // namespace hmar
