#include "client/terminal/frame.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/png_codec.h"

namespace hmar {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr ScreenSize kScreen = {.columns = 20, .rows = 10};

Frame FrameOf(const std::vector<std::string>& lines) {
  Frame frame;
  for (const std::string& line : lines) frame.lines.push_back(PlainLine(line));
  return frame;
}

// A blank frame with a picture over it.
Frame FrameWithPicture(uint64_t version, uint32_t column = 3) {
  Frame frame = FrameOf({"title", "", ""});
  frame.pictures.push_back(
      {.line = 1,
       .column = column,
       .cells = {4, 2},
       .version = version,
       .pixels = std::make_shared<const Picture>(Picture{2, 2, std::vector<uint8_t>(12, 9)})});
  return frame;
}

std::string Updated(const std::string& bytes) {
  return absl::StrCat("\x1b[?2026h", bytes, "\x1b[?2026l");
}

FrameWriter Writer(Graphics graphics, bool reflows = false) {
  return {{.graphics = graphics,
           .colours = Colours::kNone,
           .picture_colours = Colours::k24Bit,
           .utf8 = true,
           .reflows = reflows},
          500};
}

TEST(FrameTest, TheFirstFrameIsWrittenLineByLine) {
  FrameWriter writer = Writer(Graphics::kNone);
  EXPECT_EQ(writer.Draw(FrameOf({"a", "b"}), kScreen), Updated("\x1b[2Ka\r\n\x1b[2K"
                                                               "b\r\n"));
}

TEST(FrameTest, OnlyWhatChangedIsWrittenAgain) {
  FrameWriter writer = Writer(Graphics::kNone);
  writer.Draw(FrameOf({"a", "b", "c"}), kScreen);
  EXPECT_EQ(writer.Draw(FrameOf({"a", "B", "c"}), kScreen), Updated("\x1b[3A\r\n\x1b[2KB\r\n\r\n"));
  EXPECT_EQ(writer.Draw(FrameOf({"a", "B", "c"}), kScreen), "");
}

TEST(FrameTest, AFrameGrowsAndShrinksInPlace) {
  FrameWriter writer = Writer(Graphics::kNone);
  writer.Draw(FrameOf({"a"}), kScreen);
  EXPECT_EQ(writer.Draw(FrameOf({"a", "b"}), kScreen), Updated("\x1b[1A\r\n\x1b[2K"
                                                               "b\r\n"));
  EXPECT_EQ(writer.Draw(FrameOf({"a"}), kScreen), Updated("\r\x1b[2A\x1b[J\x1b[2K"
                                                          "a\r\n"));
}

TEST(FrameTest, ALineOfTheScreenStaysFree) {
  FrameWriter writer = Writer(Graphics::kNone);
  EXPECT_EQ(writer.Draw(FrameOf({"a", "b", "c"}), {.columns = 20, .rows = 3}),
            Updated("\x1b[2Ka\r\n\x1b[2K"
                    "b\r\n"));
}

TEST(FrameTest, AnotherSizeDrawsAllAnewFromTheTop) {
  FrameWriter writer = Writer(Graphics::kNone);
  writer.Draw(FrameOf({"a", "b", "c"}), kScreen);
  EXPECT_EQ(writer.Draw(FrameOf({"a", "b", "c"}), {.columns = 15, .rows = 10}),
            Updated("\r\x1b[3A\x1b[J\x1b[2Ka\r\n\x1b[2K"
                    "b\r\n\x1b[2K"
                    "c\r\n"));
  // The upper lines have left the screen.
  EXPECT_EQ(writer.Draw(FrameOf({"a"}), {.columns = 15, .rows = 2}),
            Updated("\r\x1b[1A\x1b[J\x1b[2Ka\r\n"));
}

TEST(FrameTest, LinesThatTheTerminalWrappedAreCounted) {
  const Frame frame = FrameOf({"0123456789", "", "x"});
  const ScreenSize narrow = {.columns = 4, .rows = 10};
  FrameWriter wraps = Writer(Graphics::kNone, /*reflows=*/true);
  wraps.Draw(frame, kScreen);
  EXPECT_THAT(wraps.Draw(frame, narrow), HasSubstr("\r\x1b[5A\x1b[J"));
  FrameWriter cuts = Writer(Graphics::kNone, /*reflows=*/false);
  cuts.Draw(frame, kScreen);
  EXPECT_THAT(cuts.Draw(frame, narrow), HasSubstr("\r\x1b[3A\x1b[J"));
}

TEST(FrameTest, APictureIsPutOverItsLinesAndTheCursorGoesBack) {
  FrameWriter writer = Writer(Graphics::kKitty);
  const std::string png = EncodePng({2, 2, std::vector<uint8_t>(12, 9)}).value();
  const std::string picture = absl::StrCat(
      "\x1b"
      "7\x1b[2A\x1b[4G",
      KittyPicture(png, 500, {4, 2}),
      "\x1b"
      "8");
  EXPECT_EQ(writer.Draw(FrameWithPicture(1), kScreen),
            Updated("\x1b[2Ktitle\r\n\x1b[2K\r\n\x1b[2K\r\n" + picture));
  EXPECT_EQ(writer.Draw(FrameWithPicture(1), kScreen), "");
  EXPECT_EQ(writer.Draw(FrameWithPicture(2), kScreen), Updated(picture));
}

TEST(FrameTest, APictureThatMovesTakesItsOldSelfAway) {
  FrameWriter writer = Writer(Graphics::kKitty);
  writer.Draw(FrameWithPicture(1), kScreen);
  const std::string moved = writer.Draw(FrameWithPicture(1, /*column=*/8), kScreen);
  EXPECT_THAT(moved, HasSubstr("\r\x1b[3A\x1b[J" + KittyDelete(500)));
  EXPECT_THAT(moved, HasSubstr("\x1b[2A\x1b[9G\x1b_Ga=T"));
}

TEST(FrameTest, EachProtocolHasItsOwnBytes) {
  FrameWriter iterm2 = Writer(Graphics::kIterm2);
  EXPECT_THAT(iterm2.Draw(FrameWithPicture(1), kScreen), HasSubstr("\x1b]1337;File=inline=1"));
  FrameWriter sixel = Writer(Graphics::kSixel);
  EXPECT_THAT(sixel.Draw(FrameWithPicture(1), kScreen), HasSubstr("\"1;1;40;40"));  // Of 10 x 20.
  FrameWriter none = Writer(Graphics::kNone);
  EXPECT_EQ(none.Draw(FrameWithPicture(1), kScreen),
            Updated("\x1b[2Ktitle\r\n\x1b[2K\r\n\x1b[2K\r\n"));
}

TEST(FrameTest, BlocksAreText) {
  FrameWriter writer = Writer(Graphics::kBlocks);
  const std::string row = "   \x1b[38;2;9;9;9;48;2;9;9;9m▀▀▀▀\x1b[0m";
  EXPECT_EQ(writer.Draw(FrameWithPicture(1), kScreen),
            Updated("\x1b[2Ktitle\r\n\x1b[2K" + row + "\r\n\x1b[2K" + row + "\r\n"));
}

TEST(FrameTest, APictureWithoutRoomIsLeftOut) {
  FrameWriter writer = Writer(Graphics::kKitty);
  const std::string bytes = writer.Draw(FrameWithPicture(1), {.columns = 20, .rows = 3});
  EXPECT_THAT(bytes, Not(HasSubstr("\x1b_G")));
}

}  // namespace
}  // namespace hmar
