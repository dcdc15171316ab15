#include "server/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/error_reasons.h"
#include "server/option_checks.h"
#include "server/wire/validation.h"
#include "tests/fakes/fake_engine.h"

namespace hmar {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

absl::StatusOr<CommandLine> Parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "hmar-server");
  return ParseCommandLine(static_cast<int>(arguments.size()), arguments.data());
}

std::string ErrorOf(std::vector<const char*> arguments) {
  return std::string(Parse(std::move(arguments)).status().message());
}

std::string FileText(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(OptionsTest, AValueMayBeEmpty) {
  const auto parsed = Parse({"--metrics=", "--no-access-log"});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->options.metrics, "");
  EXPECT_FALSE(parsed->options.access_log);
  EXPECT_EQ(Parse({"--metrics", "", "--threads=2"})->options.threads, 2u);
}

TEST(OptionsTest, NoFlagsAreTheDefaults) {
  const auto parsed = Parse({});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_FALSE(parsed->print.has_value());
  EXPECT_EQ(DescribeOptions(parsed->options), DescribeOptions(ServerOptions()));
}

TEST(OptionsTest, FlagsReachTheirFields) {
  const auto parsed = Parse({"--model",
                             "a=/x",
                             "--model=b=/y=z",
                             "--architecture",
                             "hmar-d16",
                             "--architecture=b=hmar-d30",
                             "--listen",
                             "127.0.0.1:0",
                             "--metrics",
                             "0.0.0.0:9464",
                             "--device",
                             "cuda:1,cuda:0",
                             "--precision",
                             "a=fp8",
                             "--threads",
                             "3",
                             "--max-images-in-flight",
                             "7",
                             "--drain-seconds",
                             "0",
                             "--log-level",
                             "warn",
                             "--no-access-log"});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  const ServerOptions& options = parsed->options;
  EXPECT_THAT(options.models, ElementsAre("a=/x", "b=/y=z"));
  EXPECT_THAT(options.architectures, ElementsAre("hmar-d16", "b=hmar-d30"));
  EXPECT_EQ(options.listen, "127.0.0.1:0");
  EXPECT_EQ(options.metrics, "0.0.0.0:9464");
  EXPECT_EQ(options.device, "cuda:1,cuda:0");
  EXPECT_THAT(options.precisions, ElementsAre("a=fp8"));
  EXPECT_EQ(options.threads, 3u);
  EXPECT_EQ(options.max_images_in_flight, 7u);
  EXPECT_EQ(options.drain_seconds, 0u);
  EXPECT_EQ(options.log_level, "warn");
  EXPECT_FALSE(options.access_log);
}

TEST(OptionsTest, AConfigurationFileIsReadAndFlagsWin) {
  const std::string path = ::testing::TempDir() + "/hmar-options.toml";
  std::ofstream(path) << "model = [\"a=/x\", \"b=/y\"]\nthreads = 2\nmax-queued-images = 5\n"
                         "max-images-per-request = 5\nprecision = [\"b=fp32\", \"auto\"]\n"
                         "access-log = false\n";
  const auto parsed = Parse({"--config", path.c_str(), "--threads", "4"});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_THAT(parsed->options.models, ElementsAre("a=/x", "b=/y"));
  EXPECT_EQ(parsed->options.threads, 4u);
  EXPECT_EQ(parsed->options.max_queued_images, 5u);
  EXPECT_THAT(parsed->options.precisions, ElementsAre("b=fp32", "auto"));
  EXPECT_FALSE(parsed->options.access_log);
}

TEST(OptionsTest, AConfigurationFileWithAnUnknownNameIsAnError) {
  const std::string path = ::testing::TempDir() + "/hmar-unknown.toml";
  std::ofstream(path) << "thread = 2\n";
  EXPECT_THAT(ErrorOf({"--config", path.c_str()}), HasSubstr("thread"));
}

TEST(OptionsTest, AnErrorInAConfigurationFileNamesItsLine) {
  const std::string path = ::testing::TempDir() + "/hmar-lines.toml";
  const auto error = [&](const std::string& text, const char* flag = "--no-access-log") {
    std::ofstream(path) << text;
    return ErrorOf({"--config", path.c_str(), flag});
  };
  EXPECT_THAT(error("# threads = 1\n\nthreads = 5000\n"),
              AllOf(HasSubstr(path + ":3: "), HasSubstr("5000"), HasSubstr("1024")));
  EXPECT_THAT(error("threads = 1\n  no-such = 2\n"), HasSubstr(path + ":2: "));
  EXPECT_THAT(error("probe-seconds = 1\nupload-threads = 9999\n"), HasSubstr(path + ":2: "));
  // What flags say wrongly is not the file's fault.
  EXPECT_THAT(error("threads = 2\n", "--threads=5000"), Not(HasSubstr(path)));
  EXPECT_THAT(error("threads = 2\n", "--upload-threads=5000"), Not(HasSubstr(path)));
}

TEST(OptionsTest, TheConfigurationFileIsTold) {
  const std::string path = ::testing::TempDir() + "/hmar-told.toml";
  std::ofstream(path) << "threads = 2\n";
  EXPECT_EQ(Parse({"--config", path.c_str()})->config, path);
  EXPECT_EQ(Parse({})->config, "");
}

TEST(OptionsTest, AMissingConfigurationFileIsAnError) {
  EXPECT_THAT(ErrorOf({"--config", "/no/such.toml"}), HasSubstr("/no/such.toml"));
}

TEST(OptionsTest, BadValuesAreNamedWithTheirFlagAndLimit) {
  EXPECT_THAT(ErrorOf({"--threads", "5000"}),
              AllOf(HasSubstr("--threads"), HasSubstr("5000"), HasSubstr("1024")));
  EXPECT_THAT(ErrorOf({"--max-step-rows", "16777217"}), HasSubstr("--max-step-rows"));
  EXPECT_THAT(ErrorOf({"--threads", "-1"}), HasSubstr("--threads"));
  EXPECT_THAT(ErrorOf({"--threads", "two"}), HasSubstr("two"));
  EXPECT_THAT(ErrorOf({"--png-compression", "10"}), HasSubstr("9"));
  EXPECT_THAT(ErrorOf({"--listen", "50051"}), AllOf(HasSubstr("--listen"), HasSubstr("HOST:PORT")));
  EXPECT_THAT(ErrorOf({"--listen", "host:99999"}), HasSubstr("65535"));
  EXPECT_THAT(ErrorOf({"--device", "gpu"}), HasSubstr("cuda:N"));
  EXPECT_THAT(ErrorOf({"--device", "cuda:0,cuda:0"}), HasSubstr("twice"));
  EXPECT_THAT(ErrorOf({"--precision", "int4"}), AllOf(HasSubstr("int4"), HasSubstr("bf16")));
  EXPECT_THAT(ErrorOf({"--precision", "fp8"}), HasSubstr("cpu computes in fp32"));
  EXPECT_THAT(ErrorOf({"--device", "cuda:0", "--precision", "fp32"}), HasSubstr("cuda:0"));
  EXPECT_THAT(ErrorOf({"--log-level", "loud"}), HasSubstr("loud"));
  EXPECT_THAT(ErrorOf({"--model", "/a/path"}), HasSubstr("NAME=PATH"));
  EXPECT_THAT(ErrorOf({"--model", "a=/x", "--model", "a=/y"}), HasSubstr("two models named a"));
  EXPECT_THAT(ErrorOf({"--no-such-flag"}), HasSubstr("--no-such-flag"));
  EXPECT_THAT(ErrorOf({"stray"}), HasSubstr("stray"));
}

TEST(OptionsTest, ASettingIsItsModelsOwnOrThatOfAll) {
  const std::vector<std::string> settings = {"a=x", "y", "b=z"};
  EXPECT_EQ(SettingOf(settings, "a", "o"), "x");
  EXPECT_EQ(SettingOf(settings, "b", "o"), "z");
  EXPECT_EQ(SettingOf(settings, "c", "o"), "y");
  EXPECT_EQ(SettingOf({"a=x"}, "c", "o"), "o");
}

TEST(OptionsTest, SettingsAreOfModelsThatThereAreAndGivenOnce) {
  EXPECT_THAT(ErrorOf({"--model=a=/x", "--precision=b=fp32"}),
              AllOf(HasSubstr("--precision b=fp32"), HasSubstr("'b'"), HasSubstr("there is a")));
  EXPECT_THAT(ErrorOf({"--architecture=x=hmar-d16"}), HasSubstr("there is hmar-cifar10"));
  EXPECT_THAT(ErrorOf({"--precision=fp32", "--precision=auto"}), HasSubstr("twice for all models"));
  EXPECT_THAT(ErrorOf({"--model=a=/x", "--precision=a=fp32", "--precision=a=auto"}),
              HasSubstr("twice for model a"));
  EXPECT_THAT(ErrorOf({"--model=a=/x", "--model=b=/y", "--precision=b=fp8"}),
              HasSubstr("cpu computes in fp32"));
  EXPECT_THAT(ErrorOf({"--precision=hmar-cifar10=int4"}), HasSubstr("int4"));
  EXPECT_THAT(ErrorOf({"--architecture=a="}), HasSubstr("[NAME=]ARCH"));
  EXPECT_TRUE(Parse({"--model=a=/x", "--model=b=/y", "--device=cuda:0", "--precision=b=fp8",
                     "--precision=bf16"})
                  .ok());
}

TEST(OptionsTest, LimitsThatExcludeEachOtherAreNamedTogether) {
  EXPECT_THAT(ErrorOf({"--max-queued-images=63"}),
              AllOf(HasSubstr("--max-images-per-request 64"), HasSubstr("--max-queued-images"),
                    HasSubstr("at least 64, not 63")));
  EXPECT_TRUE(Parse({"--max-queued-images=64"}).ok());
  EXPECT_THAT(ErrorOf({"--max-upload-bytes=20971520"}),
              AllOf(HasSubstr("--max-upload-bytes 20971520"), HasSubstr("--max-message-bytes"),
                    HasSubstr("not 41943040")));
  EXPECT_THAT(ErrorOf({"--max-message-bytes=1048576"}), HasSubstr("--max-upload-bytes 16777216"));
  EXPECT_THAT(ErrorOf({"--upload-buffer-bytes=16777216"}),
              AllOf(HasSubstr("--max-upload-bytes 16777216"), HasSubstr("--upload-buffer-bytes"),
                    HasSubstr("at least 33554432")));
}

TEST(OptionsTest, TheLargestPictureFitsAReplyAndAStream) {
  const std::vector<EngineInfo> models = {FakeEngineInfo("small"), FakeEngineInfo("large")};
  const auto bytes = static_cast<uint32_t>(LargestImageBytes(models[0].config));
  ServerOptions options;
  options.max_message_bytes = bytes;
  options.stream_buffer_bytes = bytes;
  EXPECT_TRUE(CheckBuffers(options, models).ok());
  options.stream_buffer_bytes = bytes - 1;
  EXPECT_THAT(std::string(CheckBuffers(options, models).message()),
              AllOf(HasSubstr("--stream-buffer-bytes"), HasSubstr("--model small"),
                    HasSubstr(absl::StrCat(bytes, " bytes"))));
  options.max_message_bytes = bytes - 1;
  EXPECT_THAT(std::string(CheckBuffers(options, models).message()),
              HasSubstr("--max-message-bytes"));
}

TEST(OptionsTest, TheLargestUploadFitsWhatUploadsMayTakeDecoded) {
  EXPECT_THAT(ErrorOf({"--max-upload-pixels", "70000000"}),
              AllOf(HasSubstr("--max-upload-pixels 70000000"), HasSubstr("--upload-decode-bytes"),
                    HasSubstr("at least 280000000, not 268435456")));
  EXPECT_TRUE(
      Parse({"--max-upload-pixels", "70000000", "--upload-decode-bytes", "280000000"}).ok());
}

TEST(OptionsTest, HelpListsEveryOptionWithItsDefault) {
  const auto parsed = Parse({"--help"});
  ASSERT_TRUE(parsed.ok() && parsed->print.has_value());
  EXPECT_THAT(*parsed->print, AllOf(HasSubstr("--max-queued-images"), HasSubstr("1024"),
                                    HasSubstr("--config"), HasSubstr("--no-access-log")));
}

TEST(OptionsTest, VersionAndTheMarkdownTableArePrinted) {
  EXPECT_THAT(*Parse({"--version"})->print, HasSubstr("hmar-server 0."));
  EXPECT_EQ(*Parse({"--help-markdown"})->print, OptionsMarkdown());
  EXPECT_THAT(OptionsMarkdown(), AllOf(HasSubstr("| `--listen HOST:PORT` | `127.0.0.1:50051` |"),
                                       HasSubstr("cpu\\|cuda:N")));
}

TEST(OptionsTest, ModelSpecsSplitAtTheFirstEquals) {
  const auto spec = ParseModelSpec("a.b-1_c=/x=y");
  ASSERT_TRUE(spec.ok());
  EXPECT_EQ(spec->name, "a.b-1_c");
  EXPECT_EQ(spec->path, "/x=y");
  for (const char* bad : {"", "a", "a=", "=x", "a b=x", "a/b=x", "a\n=x"}) {
    EXPECT_FALSE(ParseModelSpec(bad).ok()) << bad;
  }
}

// The README's parts that the program knows better. The test runs in the source root.
TEST(ReadmeTest, HoldsTheTableOfOptionsAsThisProgramPrintsIt) {
  const std::string readme = FileText("README.md");
  if (readme.empty()) GTEST_SKIP() << "no README.md";
  EXPECT_THAT(readme, HasSubstr("<!-- options -->\n" + OptionsMarkdown() + "<!-- /options -->"))
      << "run hmar-server --help-markdown and put its output between the markers";
}

TEST(ReadmeTest, HoldsTheTableOfErrorReasons) {
  const std::string readme = FileText("README.md");
  if (readme.empty()) GTEST_SKIP() << "no README.md";
  std::string table = "| Reason | Code | Meaning |\n|---|---|---|\n";
  for (const ReasonRow& row : ReasonTable()) {
    table += absl::StrCat("| `", row.name, "` | ", absl::StatusCodeToString(row.code), " | ",
                          row.meaning, " |\n");
  }
  EXPECT_THAT(readme, HasSubstr("<!-- reasons -->\n" + table + "<!-- /reasons -->"));
}

}  // namespace
}  // namespace hmar
