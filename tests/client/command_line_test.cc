#include "client/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "client/client.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::variant<CommandLine, EarlyExit> Parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "hmar");
  return ParseCommandLine(static_cast<int>(arguments.size()), arguments.data());
}

template <typename Command>
Command ParseAs(const std::vector<const char*>& arguments) {
  return std::get<Command>(std::get<CommandLine>(Parse(arguments)).command);
}

EarlyExit ParseMistake(const std::vector<const char*>& arguments) {
  return std::get<EarlyExit>(Parse(arguments));
}

TEST(CommandLineTest, WhatIsNotGivenIsLeftToTheServer) {
  const auto command = ParseAs<GenerateCommand>({"generate", "--out", "x"});
  EXPECT_EQ(command.target, "");
  EXPECT_EQ(command.seed, std::nullopt);
  EXPECT_EQ(command.count, 1);
  EXPECT_EQ(command.previews, "none");
  EXPECT_EQ(command.cfg_scale, std::nullopt);
  EXPECT_EQ(command.top_k, std::nullopt);
  EXPECT_EQ(command.top_p, std::nullopt);
  EXPECT_EQ(command.temperature, std::nullopt);
  EXPECT_EQ(command.deadline_seconds, std::nullopt);
  EXPECT_EQ(command.out, "x");
  EXPECT_EQ(command.show, "auto");
  EXPECT_FALSE(command.write_previews);
}

TEST(CommandLineTest, PicturesHaveAFolderUnlessOneIsGiven) {
  EXPECT_EQ(ParseAs<GenerateCommand>({"generate"}).out, "pictures");
  EXPECT_EQ(ParseAs<EditCommand>({"edit", "--image", "i.png", "--box", "1,2,3,4"}).out, "");
  EXPECT_THAT(ParseMistake({"generate", "--out", ""}).error, HasSubstr("--out"));
}

TEST(CommandLineTest, PreviewsAreWrittenWhereTheyAreAskedFor) {
  EXPECT_TRUE(ParseAs<GenerateCommand>({"generate", "--previews", "fast"}).write_previews);
  EXPECT_TRUE(ParseAs<GenerateCommand>({"generate", "--previews", "none"}).write_previews);
}

TEST(CommandLineTest, HowPicturesAreShownIsChosenByName) {
  for (const char* show : {"auto", "never", "kitty", "iterm2", "sixel", "blocks"}) {
    EXPECT_EQ(ParseAs<GenerateCommand>({"generate", "--show", show}).show, show);
  }
  EXPECT_THAT(ParseMistake({"generate", "--show", "ascii"}).error, HasSubstr("--show"));
}

TEST(CommandLineTest, WatchTakesAnAddressAndAnInterval) {
  const auto usual = ParseAs<WatchCommand>({"watch"});
  EXPECT_EQ(ShowAddress(usual.metrics), "http://localhost:9090/metrics");
  EXPECT_EQ(usual.interval_seconds, 1);
  EXPECT_FALSE(usual.once);
  const auto given =
      ParseAs<WatchCommand>({"watch", "--metrics", "h:1", "--interval", "0.5", "--once"});
  EXPECT_EQ(ShowAddress(given.metrics), "http://h:1/metrics");
  EXPECT_EQ(given.interval_seconds, 0.5);
  EXPECT_TRUE(given.once);
  EXPECT_THAT(ParseMistake({"watch", "--metrics", "h"}).error,
              HasSubstr("--metrics: was 'h', must be HOST:PORT"));
  for (const char* wrong : {"0", "0.05", "3601", "inf", "soon"}) {
    EXPECT_THAT(ParseMistake({"watch", "--interval", wrong}).error, HasSubstr("--interval"));
  }
}

TEST(CommandLineTest, EveryOptionOfGenerateIsRead) {
  const auto command = ParseAs<GenerateCommand>({"generate",
                                                 "--model",
                                                 "m",
                                                 "--class",
                                                 "ship",
                                                 "--seed",
                                                 "18446744073709551615",
                                                 "--count",
                                                 "4",
                                                 "--previews",
                                                 "full",
                                                 "--preview-scales",
                                                 "1,3",
                                                 "--cfg",
                                                 "1.5",
                                                 "--top-k",
                                                 "9",
                                                 "--top-p",
                                                 "0.5",
                                                 "--temperature",
                                                 "0.8",
                                                 "--schedule",
                                                 "quality",
                                                 "--format",
                                                 "rgb",
                                                 "--png-compression",
                                                 "3",
                                                 "--save-tokens",
                                                 "s.json",
                                                 "--from-tokens",
                                                 "f.json",
                                                 "--from-image",
                                                 "2",
                                                 "--scales",
                                                 "5",
                                                 "--receipt",
                                                 "--max-scales",
                                                 "6",
                                                 "--deadline",
                                                 "2.5",
                                                 "--on-deadline",
                                                 "degrade",
                                                 "--priority",
                                                 "-3",
                                                 "--retries",
                                                 "5",
                                                 "--request-id",
                                                 "id",
                                                 "--validate-only",
                                                 "--quiet",
                                                 "--out",
                                                 "x"});
  EXPECT_EQ(command.model, "m");
  EXPECT_EQ(command.target, "ship");
  EXPECT_EQ(command.seed, 18446744073709551615U);
  EXPECT_EQ(command.count, 4);
  EXPECT_EQ(command.previews, "full");
  EXPECT_THAT(command.preview_scales, ElementsAre(1, 3));
  EXPECT_EQ(command.cfg_scale, 1.5F);
  EXPECT_EQ(command.top_k, 9);
  EXPECT_EQ(command.top_p, 0.5F);
  EXPECT_EQ(command.temperature, 0.8F);
  EXPECT_EQ(command.schedule, "quality");
  EXPECT_EQ(command.format, "rgb");
  EXPECT_EQ(command.png_compression, 3);
  EXPECT_EQ(command.save_tokens, "s.json");
  EXPECT_EQ(command.from_tokens, "f.json");
  EXPECT_EQ(command.from_image, 2);
  EXPECT_EQ(command.scales, 5);
  EXPECT_EQ(command.max_scales, 6);
  EXPECT_EQ(command.on_deadline, "degrade");
  EXPECT_TRUE(command.receipt);
  EXPECT_EQ(command.deadline_seconds, 2.5);
  EXPECT_EQ(command.priority, -3);
  EXPECT_EQ(command.retries, 5);
  EXPECT_EQ(command.request_id, "id");
  EXPECT_TRUE(command.validate_only);
  EXPECT_TRUE(command.quiet);
}

TEST(CommandLineTest, AnEditNeedsAnImageAndARegion) {
  const auto command =
      ParseAs<EditCommand>({"edit", "--image", "i.png", "--box", "1,2,30,40", "--out", "o.png"});
  EXPECT_EQ(command.image, "i.png");
  EXPECT_EQ(command.box, (EditBox{1, 2, 30, 40}));
  EXPECT_EQ(command.keep_box, std::nullopt);
  EXPECT_EQ(command.mask, "");
  EXPECT_EQ(command.resize, "none");
  EXPECT_EQ(command.feather, 0);
  EXPECT_TRUE(command.composite);
  EXPECT_EQ(command.previews, "none");
  EXPECT_FALSE(command.write_previews);
  EXPECT_EQ(command.sheet, "");
  EXPECT_EQ(command.target, "");
  EXPECT_EQ(command.count, 1);
}

TEST(CommandLineTest, TheOptionsOfEditAreRead) {
  const auto command = ParseAs<EditCommand>({"edit",
                                             "--image",
                                             "i.png",
                                             "--keep-box",
                                             "4,0,8,4294967295",
                                             "--class",
                                             "cat",
                                             "--resize",
                                             "contain",
                                             "--feather",
                                             "3",
                                             "--out",
                                             "o.png",
                                             "--sheet",
                                             "s.png",
                                             "--count",
                                             "4",
                                             "--seed",
                                             "9",
                                             "--previews",
                                             "full",
                                             "--cfg",
                                             "2.5",
                                             "--from-tokens",
                                             "t.json",
                                             "--scales",
                                             "2",
                                             "--quiet",
                                             "--save-tokens",
                                             "u.json"});
  EXPECT_EQ(command.keep_box, (EditBox{4, 0, 8, 4294967295}));
  EXPECT_EQ(command.target, "cat");
  EXPECT_EQ(command.resize, "contain");
  EXPECT_EQ(command.feather, 3);
  EXPECT_EQ(command.out, "o.png");
  EXPECT_EQ(command.sheet, "s.png");
  EXPECT_EQ(command.count, 4);
  EXPECT_EQ(command.seed, 9);
  EXPECT_EQ(command.previews, "full");
  EXPECT_TRUE(command.write_previews);
  EXPECT_EQ(command.cfg_scale, 2.5F);
  EXPECT_EQ(command.from_tokens, "t.json");
  EXPECT_EQ(command.scales, 2);
  EXPECT_TRUE(command.quiet);
  EXPECT_EQ(command.save_tokens, "u.json");
}

TEST(CommandLineTest, AMaskOrBarsAreARegion) {
  const auto mask = ParseAs<EditCommand>(
      {"edit", "--image", "i.png", "--mask", "m.png", "--no-composite", "--out", "o.png"});
  EXPECT_EQ(mask.mask, "m.png");
  EXPECT_FALSE(mask.composite);
  const auto bars =
      ParseAs<EditCommand>({"edit", "--image", "i.png", "--resize", "contain", "--validate-only"});
  EXPECT_EQ(bars.resize, "contain");
}

TEST(CommandLineTest, ASheetBringsFastPreviewsForItselfAlone) {
  const std::vector<const char*> edit = {"edit",  "--image", "i.png",   "--box", "0,0,1,1",
                                         "--out", "o.png",   "--sheet", "s.png"};
  EXPECT_EQ(ParseAs<EditCommand>(edit).previews, "fast");
  EXPECT_FALSE(ParseAs<EditCommand>(edit).write_previews);
  std::vector<const char*> without = edit;
  without.insert(without.end(), {"--previews", "none"});
  EXPECT_EQ(ParseAs<EditCommand>(without).previews, "none");
}

TEST(CommandLineTest, OtherCommandsAreRead) {
  EXPECT_TRUE(ParseAs<ModelsCommand>({"models", "--json"}).json);
  EXPECT_TRUE(ParseAs<ModelsCommand>({"models", "--classes"}).classes);
  EXPECT_EQ(ParseAs<ModelsCommand>({"models", "--model", "m"}).model, "m");
  EXPECT_EQ(ParseAs<HealthCommand>({"health"}).service, kReadinessService);
  EXPECT_EQ(ParseAs<HealthCommand>({"health", "--wait", "9"}).wait_seconds, 9);
  EXPECT_EQ(ParseAs<HealthCommand>({"health", "--service", ""}).service, "");
  const auto sheet =
      ParseAs<SheetCommand>({"sheet", "--out", "s", "--columns", "2", "a", "b", "c"});
  EXPECT_EQ(sheet.columns, 2);
  EXPECT_THAT(sheet.pictures, ElementsAre("a", "b", "c"));
}

TEST(CommandLineTest, TheServerMayStandBeforeOrAfterTheCommand) {
  EXPECT_EQ(std::get<CommandLine>(Parse({"--server", "a:1", "models"})).server, "a:1");
  EXPECT_EQ(std::get<CommandLine>(Parse({"models", "--server", "a:1"})).server, "a:1");
  EXPECT_EQ(std::get<CommandLine>(Parse({"models"})).server, "localhost:50051");
}

TEST(CommandLineTest, TheEnvironmentNamesTheServerUnlessAFlagDoes) {
  setenv("HMAR_SERVER", "b:2", 1);
  EXPECT_EQ(std::get<CommandLine>(Parse({"models"})).server, "b:2");
  EXPECT_EQ(std::get<CommandLine>(Parse({"models", "--server", "a:1"})).server, "a:1");
  unsetenv("HMAR_SERVER");
}

TEST(CommandLineTest, HelpGoesToStandardOutputAndIsNoMistake) {
  for (const std::vector<const char*>& arguments :
       std::vector<std::vector<const char*>>{{"--help"},
                                             {"generate", "--help"},
                                             {"edit", "--help"},
                                             {"models", "--help"},
                                             {"health", "--help"},
                                             {"watch", "--help"},
                                             {"sheet", "--help"}}) {
    const EarlyExit help = ParseMistake(arguments);
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_THAT(help.out, HasSubstr("Usage: hmar"));
    EXPECT_THAT(help.error, IsEmpty());
  }
}

class MistakeTest : public testing::TestWithParam<std::vector<const char*>> {};

TEST_P(MistakeTest, ExitsWithUsageAndSaysWhyOnStandardError) {
  const EarlyExit mistake = ParseMistake(GetParam());
  EXPECT_EQ(mistake.exit_code, 2);
  EXPECT_NE(mistake.error, "");
  EXPECT_EQ(mistake.out, "");
}

INSTANTIATE_TEST_SUITE_P(
    Arguments, MistakeTest,
    testing::Values(
        std::vector<const char*>{}, std::vector<const char*>{"draw"},
        std::vector<const char*>{"generate", "--out", "x", "--count", "0"},
        std::vector<const char*>{"generate", "--out", "x", "--seed", "-1"},
        std::vector<const char*>{"generate", "--out", "x", "--seed", "abc"},
        std::vector<const char*>{"generate", "--out", "x", "--seed", "18446744073709551616"},
        std::vector<const char*>{"generate", "--out", "x", "--previews", "some"},
        std::vector<const char*>{"generate", "--out", "x", "--preview-scales", "1"},
        std::vector<const char*>{"generate", "--out", "x", "--format", "gif"},
        std::vector<const char*>{"generate", "--out", "x", "--quality", "-1"},
        std::vector<const char*>{"generate", "--out", "x", "--quality", "9", "--lossless"},
        std::vector<const char*>{"generate", "--out", "x", "--deadline", "0"},
        std::vector<const char*>{"generate", "--out", "x", "--deadline", "inf"},
        std::vector<const char*>{"generate", "--out", "x", "--deadline", "soon"},
        std::vector<const char*>{"generate", "--out", "x", "--scales", "2"},
        std::vector<const char*>{"generate", "--out", "x", "--from-tokens", "t", "--scales", "0"},
        std::vector<const char*>{"generate", "--out", "x", "--from-tokens", "t", "--from-image",
                                 "-1"},
        std::vector<const char*>{"generate", "--out", "x", "--top-k", "-1"},
        std::vector<const char*>{"generate", "--out", "x", "--colour"},
        std::vector<const char*>{"models", "extra"},
        std::vector<const char*>{"models", "--classes", "--json"},
        std::vector<const char*>{"sheet", "--out", "x"},
        std::vector<const char*>{"sheet", "a.png"}));

struct EditMistake {
  std::vector<const char*> arguments;  // After an image and an output.
  const char* error;
};

class EditMistakeTest : public testing::TestWithParam<EditMistake> {};

TEST_P(EditMistakeTest, ExitsWithUsageAndNamesTheFlag) {
  std::vector<const char*> arguments = {"edit", "--image", "i.png", "--out", "o.png"};
  const auto& more = GetParam().arguments;
  arguments.insert(arguments.end(), more.begin(), more.end());
  const EarlyExit mistake = ParseMistake(arguments);
  EXPECT_EQ(mistake.exit_code, 2);
  EXPECT_THAT(mistake.error, HasSubstr(GetParam().error));
}

constexpr char kNoRegion[] = "--box, --mask, --keep-box or --resize contain is required";

INSTANTIATE_TEST_SUITE_P(
    Arguments, EditMistakeTest,
    testing::Values(
        EditMistake{{}, kNoRegion}, EditMistake{{"--resize", "cover"}, kNoRegion},
        EditMistake{{"--box", "1,2,3"}, "--box: '1,2,3' is not x0,y0,x1,y1"},
        EditMistake{{"--box", "1,2,3,4,5"}, "--box: '1,2,3,4,5' is not"},
        EditMistake{{"--box", "1,2,3,"}, "--box: '1,2,3,' is not"},
        EditMistake{{"--box", "1,2,3,x"}, "--box: '1,2,3,x' is not"},
        EditMistake{{"--box", "1,2,3,-4"}, "--box: '1,2,3,-4' is not"},
        EditMistake{{"--box", "1,2,3,4.5"}, "--box: '1,2,3,4.5' is not"},
        EditMistake{{"--box", "1, 2,3,4"}, "--box: '1, 2,3,4' is not"},
        EditMistake{{"--box", "1,2,3,4294967296"}, "--box: '1,2,3,4294967296' is not"},
        EditMistake{{"--keep-box", ""}, "--keep-box: "},
        EditMistake{{"--box", "1,2,3,4", "--mask", "m.png"}, "--box excludes --mask"},
        EditMistake{{"--box", "1,2,3,4", "--keep-box", "1,2,3,4"}, "--box excludes --keep-box"},
        EditMistake{{"--mask", "m.png", "--keep-box", "1,2,3,4"}, "--keep-box"},
        EditMistake{{"--box", "1,2,3,4", "--resize", "stretch"}, "--resize"},
        EditMistake{{"--box", "1,2,3,4", "--feather", "-1"}, "--feather: '-1' is not in [0, 2^32)"},
        EditMistake{{"--box", "1,2,3,4", "--feather", "2", "--no-composite"}, "--feather"},
        EditMistake{{"--box", "1,2,3,4", "--sheet", "s.jpg"}, "--sheet: 's.jpg' does not end"},
        EditMistake{{"--box", "1,2,3,4", "--sheet", "o.png"}, "--sheet: 'o.png' is --out's"},
        EditMistake{{"--box", "1,2,3,4", "--scales", "2"}, "--from-tokens"}));

TEST(CommandLineTest, AnEditWithoutAnImageOrOntoNoPngIsAMistake) {
  EXPECT_THAT(ParseMistake({"edit", "--box", "1,2,3,4", "--out", "o.png"}).error,
              HasSubstr("--image is required"));
  EXPECT_THAT(ParseMistake({"edit", "--image", "i.png", "--box", "1,2,3,4", "--out", "o"}).error,
              HasSubstr("--out: 'o' does not end in .png, .jpg or .webp"));
}

TEST(CommandLineTest, TheOutputsEndChoosesTheFormat) {
  const auto format_of = [](std::vector<const char*> more) {
    std::vector<const char*> arguments = {"edit", "--image", "i.png", "--box", "0,0,1,1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return ParseAs<EditCommand>(arguments).format;
  };
  EXPECT_EQ(format_of({"--out", "o.png"}), "png");
  EXPECT_EQ(format_of({"--out", "o.jpg"}), "jpeg");
  EXPECT_EQ(format_of({"--out", "o.jpeg"}), "jpeg");
  EXPECT_EQ(format_of({"--out", "o.webp"}), "webp");
  EXPECT_EQ(format_of({"--out", "o.png", "--format", "rgb"}), "rgb");
  EXPECT_EQ(format_of({"--out", "o.webp", "--format", "webp", "--lossless"}), "webp");
  EXPECT_THAT(ParseMistake({"edit", "--image", "i.png", "--box", "0,0,1,1", "--out", "o.png",
                            "--format", "jpeg"})
                  .error,
              HasSubstr("--out: 'o.png' does not end in .jpg, as --format jpeg has it"));
}

TEST(CommandLineTest, FormatsHaveQualityAndLossless) {
  const auto jpeg =
      ParseAs<GenerateCommand>({"generate", "--out", "x", "--format", "jpeg", "--quality", "70"});
  EXPECT_EQ(jpeg.format, "jpeg");
  EXPECT_EQ(jpeg.quality, 70);
  EXPECT_FALSE(jpeg.lossless);
  const auto webp =
      ParseAs<GenerateCommand>({"generate", "--out", "x", "--format", "webp", "--lossless"});
  EXPECT_TRUE(webp.lossless);
  EXPECT_FALSE(webp.quality.has_value());
}

}  // namespace
}  // namespace hmar
