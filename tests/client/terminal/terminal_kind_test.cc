#include "client/terminal/terminal_kind.h"

#include <gtest/gtest.h>

namespace hmar {
namespace {

constexpr char kUtf8[] = "de_DE.UTF-8";

TerminalKind AutoKind(Variables variables, bool says_sixel = false) {
  variables.emplace("LANG", kUtf8);
  return KindOf(variables, "auto", [says_sixel] { return says_sixel; });
}

// Fails the test if the terminal is asked.
Graphics UnaskedGraphics(Variables variables) {
  variables.emplace("LANG", kUtf8);
  return KindOf(variables, "auto",
                [] {
                  ADD_FAILURE() << "asked";
                  return false;
                })
      .graphics;
}

TEST(TerminalKindTest, ProtocolsAreKnownByTheirTerminals) {
  EXPECT_EQ(UnaskedGraphics({{"TERM", "xterm-kitty"}}), Graphics::kKitty);
  EXPECT_EQ(UnaskedGraphics({{"TERM", "xterm-256color"}, {"KITTY_WINDOW_ID", "1"}}),
            Graphics::kKitty);
  EXPECT_EQ(UnaskedGraphics({{"TERM", "xterm-ghostty"}}), Graphics::kKitty);
  for (const char* program : {"iTerm.app", "WezTerm", "mintty"}) {
    EXPECT_EQ(UnaskedGraphics({{"TERM", "xterm-256color"}, {"TERM_PROGRAM", program}}),
              Graphics::kIterm2);
  }
  EXPECT_EQ(UnaskedGraphics({{"TERM", "xterm-256color"}, {"LC_TERMINAL", "iTerm2"}}),
            Graphics::kIterm2);
  EXPECT_EQ(UnaskedGraphics({{"TERM", "foot"}}), Graphics::kSixel);
  EXPECT_EQ(UnaskedGraphics({{"TERM", "xterm-256color"}, {"KONSOLE_VERSION", "230801"}}),
            Graphics::kSixel);
}

TEST(TerminalKindTest, OthersAreAskedForSixelsAndGetBlocksElse) {
  const Variables xterm = {{"TERM", "xterm-256color"}, {"COLORTERM", "truecolor"}};
  EXPECT_EQ(AutoKind(xterm, true).graphics, Graphics::kSixel);
  EXPECT_EQ(AutoKind(xterm, false).graphics, Graphics::kBlocks);
  EXPECT_EQ(AutoKind(xterm).picture_colours, Colours::k24Bit);
  EXPECT_EQ(AutoKind({{"TERM", "xterm-256color"}}).graphics, Graphics::kBlocks);
  EXPECT_EQ(AutoKind({{"TERM", "xterm-256color"}}).picture_colours, Colours::k256);
  EXPECT_EQ(AutoKind({{"TERM", "xterm"}}).graphics, Graphics::kNone);
}

TEST(TerminalKindTest, WhatWouldPrintTheQuestionIsNotAsked) {
  EXPECT_EQ(UnaskedGraphics({{"TERM", "linux"}}), Graphics::kNone);
  EXPECT_EQ(UnaskedGraphics({{"TERM", "xterm-256color"}, {"TERM_PROGRAM", "Apple_Terminal"}}),
            Graphics::kBlocks);
  EXPECT_EQ(UnaskedGraphics({{"TERM", "screen-256color"}, {"STY", "1.tty"}}), Graphics::kBlocks);
}

TEST(TerminalKindTest, InsideAMultiplexerTheTerminalOutsideDoesNotCount) {
  const Variables tmux = {{"TERM", "tmux-256color"},
                          {"TMUX", "/tmp/t,1,0"},
                          {"KITTY_WINDOW_ID", "1"},
                          {"TERM_PROGRAM", "iTerm.app"}};
  EXPECT_EQ(AutoKind(tmux, true).graphics, Graphics::kSixel);
  EXPECT_EQ(AutoKind(tmux, false).graphics, Graphics::kBlocks);
  EXPECT_EQ(AutoKind(tmux).colours, Colours::k256);
}

TEST(TerminalKindTest, WithoutUtf8ThereAreNoBlocks) {
  const Variables latin = {
      {"TERM", "xterm-256color"}, {"LC_ALL", "C"}, {"LANG", kUtf8}, {"COLORTERM", "24bit"}};
  EXPECT_EQ(AutoKind(latin).graphics, Graphics::kNone);
  EXPECT_FALSE(AutoKind(latin).utf8);
  EXPECT_TRUE(AutoKind({{"TERM", "xterm"}, {"LC_CTYPE", "C.utf8"}}).utf8);
}

TEST(TerminalKindTest, NoColorTakesColoursAndBlocksButNoPictures) {
  const Variables variables = {{"TERM", "xterm-256color"}, {"NO_COLOR", "1"}};
  EXPECT_EQ(AutoKind(variables).colours, Colours::kNone);
  EXPECT_EQ(AutoKind(variables).graphics, Graphics::kNone);
  EXPECT_EQ(AutoKind({{"TERM", "xterm-kitty"}, {"NO_COLOR", "1"}}).graphics, Graphics::kKitty);
  EXPECT_EQ(AutoKind({{"TERM", "xterm"}, {"NO_COLOR", ""}}).colours, Colours::kAnsi);
}

TEST(TerminalKindTest, WhoeverNamesAProtocolGetsItUnasked) {
  const auto named = [](const char* show) {
    return KindOf({{"TERM", "xterm-kitty"}, {"NO_COLOR", "1"}}, show, [] {
      ADD_FAILURE() << "asked";
      return false;
    });
  };
  EXPECT_EQ(named("never").graphics, Graphics::kNone);
  EXPECT_EQ(named("kitty").graphics, Graphics::kKitty);
  EXPECT_EQ(named("iterm2").graphics, Graphics::kIterm2);
  EXPECT_EQ(named("sixel").graphics, Graphics::kSixel);
  EXPECT_EQ(named("blocks").graphics, Graphics::kBlocks);
  EXPECT_EQ(named("blocks").colours, Colours::kNone);
  EXPECT_EQ(named("blocks").picture_colours, Colours::k24Bit);
}

TEST(TerminalKindTest, DumbTerminalsAndNoneAtAllGetLines) {
  EXPECT_FALSE(MovesItsCursor({}));
  EXPECT_FALSE(MovesItsCursor({{"TERM", ""}}));
  EXPECT_FALSE(MovesItsCursor({{"TERM", "dumb"}}));
  EXPECT_TRUE(MovesItsCursor({{"TERM", "vt100"}}));
}

TEST(TerminalKindTest, WhoWrapsLinesAnewIsKnown) {
  EXPECT_TRUE(AutoKind({{"TERM", "xterm-256color"}, {"VTE_VERSION", "7200"}}).reflows);
  EXPECT_TRUE(AutoKind({{"TERM", "xterm-kitty"}}).reflows);
  EXPECT_FALSE(AutoKind({{"TERM", "xterm-256color"}}).reflows);
}

}  // namespace
}  // namespace hmar
