#include "server/wire/edit_distance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace hmar {
namespace {

// The table of distances of all beginnings, row by row.
size_t ByTable(const std::u32string& a, const std::u32string& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t exchanged = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({exchanged, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

TEST(EditDistanceTest, CountsWhatIsPutInLeftOutAndExchanged) {
  EXPECT_EQ(EditDistance(U"").To(U""), 0u);
  EXPECT_EQ(EditDistance(U"").To(U"ship"), 4u);
  EXPECT_EQ(EditDistance(U"ship").To(U""), 4u);
  EXPECT_EQ(EditDistance(U"ship").To(U"ship"), 0u);
  EXPECT_EQ(EditDistance(U"shp").To(U"ship"), 1u);
  EXPECT_EQ(EditDistance(U"shipp").To(U"ship"), 1u);
  EXPECT_EQ(EditDistance(U"chip").To(U"ship"), 1u);
  EXPECT_EQ(EditDistance(U"kitten").To(U"sitting"), 3u);
  EXPECT_EQ(EditDistance(U"caf\u00e9").To(U"cafe"), 1u);  // A character, not two bytes.
}

TEST(EditDistanceTest, AgreesWithTheTableOnRandomTexts) {
  const std::u32string letters = U"ab\u00e9\u4e00\U0001f431";  // Few: so that much is equal.
  std::mt19937 random(1);
  const auto text = [&](size_t longest) {
    std::u32string made(random() % (longest + 1), U' ');
    for (char32_t& c : made) c = letters[random() % letters.size()];
    return made;
  };
  for (int i = 0; i < 3000; ++i) {
    const std::u32string a = text(EditDistance::kMaxCharacters);
    const std::u32string b = text(100);
    ASSERT_EQ(EditDistance(a).To(b), ByTable(a, b)) << i;
  }
}

TEST(EditDistanceTest, OfALongTextTheFirstCharactersCount) {
  const std::u32string longest(EditDistance::kMaxCharacters, U'a');
  EXPECT_EQ(EditDistance(longest + U"b").To(longest), 0u);
  EXPECT_EQ(EditDistance(std::u32string(1 << 20, U'a')).To(U"a"), 63u);
}

}  // namespace
}  // namespace hmar
