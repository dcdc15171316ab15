#include "client/load/load_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "client/files.h"
#include "client/load/findings.h"
#include "client/load/mix_fields.h"

namespace hmar::load {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::variant<LoadOptions, EarlyExit> Parse(const std::string& line) {
  std::vector<std::string> words = absl::StrSplit("hmar-load " + line, ' ', absl::SkipEmpty());
  std::vector<const char*> argv;
  for (const std::string& word : words) argv.push_back(word.c_str());
  return ParseLoadOptions(static_cast<int>(argv.size()), argv.data());
}

LoadOptions Options(const std::string& line) {
  auto parsed = Parse(line);
  const auto* early = std::get_if<EarlyExit>(&parsed);
  EXPECT_EQ(early, nullptr) << (early == nullptr ? "" : early->error);
  return early == nullptr ? std::get<LoadOptions>(parsed) : LoadOptions();
}

std::string ErrorOf(const std::string& line) {
  const auto parsed = Parse(line);
  const auto* early = std::get_if<EarlyExit>(&parsed);
  if (early == nullptr) return "no error";
  EXPECT_EQ(early->exit_code, kLoadUsage);
  return early->error;
}

TEST(LoadOptionsTest, AnOpenLoopIsRead) {
  const LoadOptions options = Options(
      "--server h:1 --rate 2.5 --arrivals constant --duration 3 --warm-up 0.5 --seed 9 --slo-ms 20 "
      "--max-outstanding 100 --timeout 7 --metrics h:2 --json a --html b --quiet");
  EXPECT_EQ(options.server, "h:1");
  EXPECT_EQ(options.rates, std::vector<double>{2.5});
  EXPECT_EQ(options.shape.arrivals, Arrivals::kConstant);
  EXPECT_EQ(options.shape.duration, absl::Seconds(3));
  EXPECT_FALSE(options.shape.requests);
  EXPECT_EQ(options.shape.warm_up, absl::Milliseconds(500));
  EXPECT_EQ(options.shape.timeout, absl::Seconds(7));
  EXPECT_EQ(options.shape.seed, 9U);
  EXPECT_EQ(options.shape.slo_ms, 20);
  EXPECT_EQ(options.connections, 2U);  // For 100 calls.
  EXPECT_EQ(options.metrics->port, 2);
  EXPECT_EQ(options.kinds.front().name, "generate-1");
  EXPECT_THAT(options.command, HasSubstr("--rate 2.5"));
}

TEST(LoadOptionsTest, SweepsAndClosedLoopsAreRead) {
  EXPECT_EQ(Options("--sweep 1,2.5,4 --requests 3").rates, (std::vector<double>{1, 2.5, 4}));
  const LoadOptions closed = Options("--concurrency 130 --requests 10");
  EXPECT_TRUE(closed.rates.empty());
  EXPECT_EQ(closed.shape.concurrency, 130U);
  EXPECT_EQ(closed.shape.requests, 10U);
  EXPECT_EQ(closed.connections, 3U);
}

TEST(LoadOptionsTest, EveryFieldOfAKindIsAFlag) {
  const Kind kind = Options(
                        "--rate 1 --requests 1 --name n --method edit --model m --images 2 "
                        "--previews full --format "
                        "rgb --priority -4 --deadline-ms 5 --on-deadline degrade --cancel-after-ms "
                        "6 --read-delay-ms 7 "
                        "--principal p --uploads 9")
                        .kinds.front();
  const Kind wanted{.name = "n",
                    .weight = 1,
                    .method = "edit",
                    .model = "m",
                    .images = 2,
                    .previews = "full",
                    .format = "rgb",
                    .priority = -4,
                    .deadline_ms = 5,
                    .on_deadline = "degrade",
                    .cancel_after_ms = 6,
                    .read_delay_ms = 7,
                    .principal = "p",
                    .api_key_file = "",
                    .uploads = 9};
  EXPECT_EQ(kind, wanted);
}

TEST(LoadOptionsTest, MistakesNameTheFlagTheValueAndTheLimit) {
  EXPECT_THAT(ErrorOf("--requests 1"), HasSubstr("one of --rate, --sweep and --concurrency"));
  EXPECT_THAT(ErrorOf("--rate 1"), HasSubstr("one of --duration and --requests"));
  EXPECT_THAT(ErrorOf("--rate 1 --concurrency 2 --requests 1"), HasSubstr("excludes"));
  EXPECT_THAT(ErrorOf("--rate 1 --requests 1 --duration 1"), HasSubstr("excludes"));
  EXPECT_THAT(ErrorOf("--rate 0 --requests 1"), HasSubstr("--rate: '0' is not in (0, 100000]"));
  EXPECT_THAT(ErrorOf("--rate nan --requests 1"), HasSubstr("--rate: 'nan'"));
  EXPECT_THAT(ErrorOf("--sweep 1,-2 --requests 1"), HasSubstr("--sweep: '-2'"));
  EXPECT_THAT(ErrorOf("--rate 1 --duration 86401"), HasSubstr("'86401' is more than 86400"));
  EXPECT_THAT(ErrorOf("--rate 1 --requests 1 --seed -1"), HasSubstr("--seed: '-1'"));
  EXPECT_THAT(ErrorOf("--rate 1 --requests 1 --images 0"),
              HasSubstr("--images: was '0', must be a whole number, 1 .. 4096"));
  EXPECT_THAT(ErrorOf("--rate 1 --requests 1 --method generate_images --previews fast"),
              HasSubstr("--previews: was 'fast', must be none"));
  EXPECT_THAT(ErrorOf("--rate 1 --requests 1 --metrics https://h:1"),
              HasSubstr("--metrics: was 'https://h:1', must be HOST:PORT"));
  EXPECT_THAT(ErrorOf("--rate 1 --requests 1 --connections 1025"), HasSubstr("--connections"));
  EXPECT_THAT(ErrorOf("--rate 1 --requests 1 --verify"), HasSubstr("--distinct-seeds"));
  EXPECT_THAT(ErrorOf("--rate 1 --requests 1 --verify --distinct-seeds 1000001"),
              HasSubstr("--distinct-seeds: was 1000001, must be 1 and more"));
}

TEST(LoadOptionsTest, AMixFileIsReadAndItsMistakesAreUsage) {
  const std::filesystem::path folder =
      std::filesystem::path(testing::TempDir()) / absl::StrCat("load_options.", getpid());
  std::filesystem::create_directories(folder);
  const std::string path = folder / "mix.toml";
  ASSERT_TRUE(WriteFile(path, "[[mix]]\nname = \"a\"\n[[mix]]\nprincipal = \"p\"\n").ok());
  EXPECT_EQ(Options("--rate 1 --requests 1 --mix " + path).kinds.size(), 2U);
  EXPECT_THAT(
      ErrorOf("--rate 1 --requests 1 --connections 513 --mix " + path),
      HasSubstr("--connections: was 513, must be at most 512 where there are 2 principals"));
  EXPECT_THAT(ErrorOf("--rate 1 --requests 1 --images 2 --mix " + path), HasSubstr("excludes"));
  ASSERT_TRUE(WriteFile(path, "[[mix]]\nweight = 0\n").ok());
  EXPECT_THAT(ErrorOf("--rate 1 --requests 1 --mix " + path), HasSubstr("mix[1].weight: was '0'"));
  EXPECT_THAT(ErrorOf("--rate 1 --requests 1 --mix " + path + ".no"), HasSubstr("--mix: "));
  std::filesystem::remove_all(folder);
}

TEST(LoadOptionsTest, HelpListsEveryFieldAndExitCode) {
  const auto parsed = Parse("--help");
  const EarlyExit& help = std::get<EarlyExit>(parsed);
  EXPECT_EQ(help.exit_code, 0);
  for (const KindField& field : KindFields()) {
    if (field.name == "weight") continue;
    EXPECT_THAT(help.out, HasSubstr(absl::StrReplaceAll("--" + field.name, {{"_", "-"}})));
  }
  for (const char* code : {"0 fine", "1 bad", "2 something", "3 no server", "4 a report", "130 "}) {
    EXPECT_THAT(help.out, HasSubstr(code));
  }
}

class FindingsTest : public testing::Test {
 protected:
  FindingsTest() {
    report_.runs.emplace_back().rate = 5;
    report_.runs[0].all.ok = 1;
  }

  int ExitCode(bool interrupted = false) {
    AddFindings(options_, seen_, 0, interrupted, report_);
    return report_.exit_code;
  }

  LoadOptions options_;
  Seen seen_;
  Report report_;
};

TEST_F(FindingsTest, AFineLoadHasNoneAndExitsWith0) {
  EXPECT_EQ(ExitCode(), kLoadOk);
  EXPECT_THAT(report_.warnings, IsEmpty());
  EXPECT_THAT(report_.errors, IsEmpty());
}

TEST_F(FindingsTest, WhatIsInconsistentExitsWith2EvenWhenInterrupted) {
  seen_.mismatched = 1;
  EXPECT_EQ(ExitCode(/*interrupted=*/true), kLoadInconsistent);
  EXPECT_THAT(report_.errors, Contains(HasSubstr("1 calls came with other bytes")));
}

TEST_F(FindingsTest, AnAnswerToNoRequestExitsWith2) {
  seen_.no_answers = 3;
  EXPECT_EQ(ExitCode(), kLoadInconsistent);
}

TEST_F(FindingsTest, FewerInTheMetricsExitsWith2AndMoreIsAWarning) {
  report_.metrics = {{"images done", 5, 0, 6}};
  EXPECT_EQ(ExitCode(), kLoadOk);
  EXPECT_EQ(report_.warnings.size(), 1U);
  report_.metrics = {{"images done", 5, 0, 4}};
  EXPECT_EQ(ExitCode(), kLoadInconsistent);
}

TEST_F(FindingsTest, NothingThatSucceededExitsWith3AndAnInterruptWith130) {
  report_.runs[0].all.ok = 0;
  EXPECT_EQ(ExitCode(), kLoadNothing);
  report_.errors.clear();
  EXPECT_EQ(ExitCode(/*interrupted=*/true), kLoadInterrupted);
}

TEST_F(FindingsTest, WhatFiguresMustBeReadWithIsWarnedOf) {
  RunReport& run = report_.runs[0];
  run.all.not_sent = 4;
  run.all.timed_out = 2;
  run.late_ms = {100, 100, 1, 1, 1, 20, 30, {}};
  run.all.latency_ms = {200, 100, 1, 1, 1, 1, 1, {}};
  options_.verify = true;
  EXPECT_EQ(ExitCode(), kLoadOk);
  EXPECT_THAT(report_.warnings, Contains(HasSubstr("4 of 0 calls were NOT SENT")));
  EXPECT_THAT(report_.warnings, Contains(HasSubstr("2 calls were given up")));
  EXPECT_THAT(report_.warnings, Contains(HasSubstr("sent up to 30.0 ms (p99 20.0) after")));
  EXPECT_THAT(report_.warnings, Contains(HasSubstr("percentiles are of 100 calls drawn from 200")));
  EXPECT_THAT(report_.warnings, Contains(HasSubstr("--verify compared nothing")));
}

}  // namespace
}  // namespace hmar::load
