#include "server/base/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace hmar {
namespace {

// What is hidden: the first and last of each run, by general category (Unicode 15.0).
struct Hidden {
  const char* category;
  uint32_t first;
  uint32_t last;
};

constexpr Hidden kHidden[] = {
    {"Cc", 0x0, 0x1f},
    {"Cc", 0x7f, 0x9f},
    {"Cf", 0xad, 0xad},
    {"Cf", 0x600, 0x605},
    {"Cf", 0x61c, 0x61c},
    {"Cf", 0x6dd, 0x6dd},
    {"Cf", 0x70f, 0x70f},
    {"Cf", 0x890, 0x891},
    {"Cf", 0x8e2, 0x8e2},
    {"Cf", 0x180e, 0x180e},
    {"Cf", 0x200b, 0x200f},
    {"Zl, Zp, Cf", 0x2028, 0x202e},
    {"Cf", 0x2060, 0x2064},
    {"Cf", 0x2066, 0x206f},
    {"Cs, Co", 0xd800, 0xf8ff},
    {"Cn", 0xfdd0, 0xfdef},
    {"Cf", 0xfeff, 0xfeff},
    {"Cf", 0xfff9, 0xfffb},
    {"Cn", 0xfffe, 0xffff},
    {"Cf", 0x110bd, 0x110bd},
    {"Cf", 0x110cd, 0x110cd},
    {"Cf", 0x13430, 0x1343f},
    {"Cf", 0x1bca0, 0x1bca3},
    {"Cf", 0x1d173, 0x1d17a},
    {"Cn", 0x1fffe, 0x1ffff},
    {"Cn", 0x2fffe, 0x2ffff},
    {"Cn", 0x3fffe, 0x3ffff},
    {"Cn", 0x4fffe, 0x4ffff},
    {"Cn", 0x5fffe, 0x5ffff},
    {"Cn", 0x6fffe, 0x6ffff},
    {"Cn", 0x7fffe, 0x7ffff},
    {"Cn", 0x8fffe, 0x8ffff},
    {"Cn", 0x9fffe, 0x9ffff},
    {"Cn", 0xafffe, 0xaffff},
    {"Cn", 0xbfffe, 0xbffff},
    {"Cn", 0xcfffe, 0xcffff},
    {"Cn", 0xdfffe, 0xdffff},
    {"Cf", 0xe0001, 0xe0001},
    {"Cf", 0xe0020, 0xe007f},
    {"Cn", 0xefffe, 0xeffff},
    {"Co, Cn", 0xf0000, 0x10ffff},
};

// In UTF-8 as RFC 3629 has it; surrogates too, which it forbids.
std::string Utf8(uint32_t code) {
  const auto tail = [code](int shift) { return static_cast<char>(0x80 | (code >> shift & 0x3f)); };
  if (code < 0x80) return {static_cast<char>(code)};
  if (code < 0x800) return {static_cast<char>(0xc0 | code >> 6), tail(0)};
  if (code < 0x10000) return {static_cast<char>(0xe0 | code >> 12), tail(6), tail(0)};
  return {static_cast<char>(0xf0 | code >> 18), tail(12), tail(6), tail(0)};
}

TEST(Utf8Test, ExactlyTheHiddenCharactersAreNotPrintable) {
  uint32_t next = 0;  // After the run before.
  for (const Hidden& hidden : kHidden) {
    ASSERT_LE(next, hidden.first);
    for (uint32_t code = next; code < hidden.first; ++code) {
      ASSERT_TRUE(IsPrintableUtf8(Utf8(code))) << std::hex << code;
    }
    for (uint32_t code = hidden.first; code <= hidden.last; ++code) {
      ASSERT_FALSE(IsPrintableUtf8(Utf8(code))) << std::hex << code << " " << hidden.category;
      ASSERT_FALSE(IsPrintable(code)) << std::hex << code << " " << hidden.category;
    }
    next = hidden.last + 1;
  }
  EXPECT_EQ(next, 0x110000u);
  EXPECT_FALSE(IsPrintable(0x110000));
  EXPECT_FALSE(IsPrintable(~uint32_t{0}));
}

TEST(Utf8Test, WellFormedPrintableTextPasses) {
  for (const char* text : {"", "a b~", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x90\xb1",
                           "\xd8\xb3\xd9\x84\xd8\xa7\xd9\x85"}) {
    EXPECT_TRUE(IsPrintableUtf8(text)) << text;
  }
}

TEST(Utf8Test, TextThatTurnsAroundBreaksOrHidesDoesNot) {
  for (const char* text : {"a\u202Eb", "a\u2028b", "a\u200Bb", "\uFEFFa", "a\u00ADb",
                           "\u2066a\u2069", "\U000E0041", "\uE000"}) {
    EXPECT_FALSE(IsPrintableUtf8(text)) << text;
  }
}

TEST(Utf8Test, ControlsAndMalformedTextDoNot) {
  for (const char* text : {"\n", "\x7f", "\xc2\x80", "\x80", "\xc3", "\xc0\xaf", "\xe0\x80\xaf",
                           "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "a\xff"}) {
    EXPECT_FALSE(IsPrintableUtf8(text)) << text;
  }
  EXPECT_FALSE(IsPrintableUtf8(absl::string_view("a\0b", 3)));
}

TEST(Utf8Test, AnyTextHasCodePoints) {
  EXPECT_EQ(CodePointsOf(""), U"");
  EXPECT_EQ(CodePointsOf("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\xb1"), U"a\u00e9\u20ac\U0001f431");
  EXPECT_EQ(CodePointsOf("\x80z\xc3"), U"\ufffdz\ufffd");
  EXPECT_EQ(CodePointsOf("\xed\xa0\x80"), U"\ufffd\ufffd\ufffd");            // A surrogate.
  EXPECT_EQ(CodePointsOf("\xf4\x90\x80\x80"), U"\ufffd\ufffd\ufffd\ufffd");  // U+110000.
}

}  // namespace
}  // namespace hmar
