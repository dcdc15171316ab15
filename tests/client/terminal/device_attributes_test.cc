#include "client/terminal/device_attributes.h"

#include <gtest/gtest.h>

#include <string>

namespace hmar {
namespace {

TEST(DeviceAttributesTest, FourMeansSixel) {
  DeviceAttributesReader reader;
  EXPECT_TRUE(reader.Take("\x1b[?62;4;22c"));
  EXPECT_TRUE(reader.sixel());
  EXPECT_EQ(reader.typed(), "");
}

TEST(DeviceAttributesTest, OtherNumbersDoNot) {
  for (const char* answer : {"\x1b[?6c", "\x1b[?62;22;44c", "\x1b[?14;40c"}) {
    DeviceAttributesReader reader;
    EXPECT_TRUE(reader.Take(answer));
    EXPECT_FALSE(reader.sixel()) << answer + 1;
  }
}

TEST(DeviceAttributesTest, AnAnswerMayComeByteByByteBetweenKeys) {
  DeviceAttributesReader reader;
  bool whole = false;
  for (const char c : std::string("ls\x1b\x1b[A\x1b[?1;4c\r")) whole = reader.Take({&c, 1});
  EXPECT_TRUE(whole);
  EXPECT_TRUE(reader.sixel());
  EXPECT_EQ(reader.typed(), "ls\x1b\x1b[A\r");  // An arrow key is no answer.
}

TEST(DeviceAttributesTest, WhatIsNoAnswerWasTyped) {
  DeviceAttributesReader reader;
  EXPECT_FALSE(reader.Take("\x1b[?62;4"));  // It is cut off.
  EXPECT_EQ(reader.typed(), "\x1b[?62;4");
  EXPECT_FALSE(reader.Take("x"));
  EXPECT_EQ(reader.typed(), "\x1b[?62;4x");
  const std::string endless(1000, '4');
  EXPECT_FALSE(reader.Take("\x1b[?" + endless));
  EXPECT_FALSE(reader.Take("c"));
  EXPECT_EQ(reader.typed(), "\x1b[?62;4x\x1b[?" + endless + "c");
}

}  // namespace
}  // namespace hmar
