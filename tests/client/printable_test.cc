#include "client/printable.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

TEST(PrintableTest, TextStaysAsItIs) {
  for (const char* text : {"", "a cat, 3.5 \\ \"q\" ~", "Füchse и кот 猫 🐈 שלום"}) {
    EXPECT_EQ(Printable(text), text);
    EXPECT_EQ(PrintableLines(text), text);
    EXPECT_EQ(PrintableJson(text), text);
  }
}

struct Escape {
  std::string text;
  const char* printable;
  const char* json;
};

class EscapeTest : public testing::TestWithParam<Escape> {};

TEST_P(EscapeTest, WhatATerminalWouldActOnIsEscaped) {
  const auto& [text, printable, json] = GetParam();
  EXPECT_EQ(Printable(absl::StrCat("a", text, "b")), absl::StrCat("a", printable, "b"));
  EXPECT_EQ(PrintableLines(absl::StrCat("a", text, "b")), absl::StrCat("a", printable, "b"));
  EXPECT_EQ(PrintableJson(absl::StrCat("a", text, "b")), absl::StrCat("a", json, "b"));
}

INSTANTIATE_TEST_SUITE_P(
    Characters, EscapeTest,
    testing::Values(
        Escape{"\x1b[2J", "\\u001B[2J", "\\u001b[2J"},                       // ANSI: clear.
        Escape{"\x1b]0;t\x07", "\\u001B]0;t\\u0007", "\\u001b]0;t\\u0007"},  // OSC: title.
        Escape{"\r", "\\r", "\\u000d"}, Escape{"\t", "\\t", "\\u0009"},
        Escape{std::string(1, '\0'), "\\u0000", "\\u0000"}, Escape{"\x7f", "\\u007F", "\\u007f"},
        Escape{"\xc2\x9b", "\\u009B", "\\u009b"},                     // C1: CSI in one character.
        Escape{"\xc2\xad", "\\u00AD", "\\u00ad"},                     // Soft hyphen.
        Escape{"\xd8\x9c", "\\u061C", "\\u061c"},                     // Arabic letter mark.
        Escape{"\xe2\x80\xae", "\\u202E", "\\u202e"},                 // Right-to-left override.
        Escape{"\xe2\x81\xa6", "\\u2066", "\\u2066"},                 // Left-to-right isolate.
        Escape{"\xe2\x80\x8b", "\\u200B", "\\u200b"},                 // Zero width space.
        Escape{"\xef\xbb\xbf", "\\uFEFF", "\\ufeff"},                 // Zero width no-break space.
        Escape{"\xe2\x80\xa8", "\\u2028", "\\u2028"},                 // Line separator.
        Escape{"\xe2\x80\xa9", "\\u2029", "\\u2029"},                 // Paragraph separator.
        Escape{"\xe3\x85\xa4", "\\u3164", "\\u3164"},                 // Hangul filler.
        Escape{"\xef\xb8\x8f", "\\uFE0F", "\\ufe0f"},                 // Variation selector.
        Escape{"\xee\x80\x80", "\\uE000", "\\ue000"},                 // Private use.
        Escape{"\xf3\xa0\x81\x81", "\\U000E0041", "\\udb40\\udc41"},  // Tag.
        Escape{"\xff", "\\xFF", "\\ufffd"}, Escape{"\x9b", "\\x9B", "\\ufffd"},
        Escape{"\xc0\x8a", "\\xC0\\x8A", "\\ufffd\\ufffd"},  // A line feed, overlong.
        Escape{"\xed\xa0\x80", "\\xED\\xA0\\x80", "\\ufffd\\ufffd\\ufffd"}));  // A surrogate.

TEST(PrintableTest, ACharacterCutOffAtTheEndIsBytes) {
  EXPECT_EQ(Printable("a\xe2\x80"), "a\\xE2\\x80");
}

TEST(PrintableTest, LineFeedsStayOnlyWhereTheyAreOurs) {
  EXPECT_EQ(Printable("a\nb"), "a\\nb");
  EXPECT_EQ(PrintableLines("a\nb"), "a\nb");
  EXPECT_EQ(PrintableJson("{\n}"), "{\n}");
}

TEST(PrintableTest, LongTextIsCutBetweenCharactersAndEscapes) {
  EXPECT_EQ(Printable(std::string(16, 'x'), 16), std::string(16, 'x'));
  EXPECT_EQ(Printable(std::string(17, 'x'), 16), std::string(13, 'x') + "...");
  EXPECT_EQ(Printable("123456789\x1b....", 16), "123456789...");  // An escape takes six.
  EXPECT_EQ(Printable("123456789012猫猫", 16), "123456789012...");
  EXPECT_EQ(Printable(std::string(size_t{1} << 20, '\x1b')).size(), 6 * 170 + 3);  // Of 1,024.
}

TEST(PrintableTest, WhatItMadeItLeavesAlone) {
  const std::string hostile = "\x1b[2J\n\xe2\x80\xae\xff";
  EXPECT_EQ(Printable(Printable(hostile)), Printable(hostile));
  EXPECT_EQ(PrintableLines(Printable(hostile)), Printable(hostile));
}

}  // namespace
}  // namespace hmar
