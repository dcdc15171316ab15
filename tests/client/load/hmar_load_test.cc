// The program `hmar-load`, as a shell starts it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/files.h"
#include "tests/client/load/answering_service.h"
#include "tests/client/subprocess.h"

namespace hmar::load {
namespace {

using ::testing::HasSubstr;

class HmarLoadTest : public testing::Test {
 protected:
  HmarLoadTest() {
    folder_ = std::filesystem::path(testing::TempDir()) / absl::StrCat("hmar_load.", getpid());
    std::filesystem::create_directories(folder_);
  }
  ~HmarLoadTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ / name; }

  std::unique_ptr<Subprocess> Start(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), HMAR_LOAD_PROGRAM);
    return std::make_unique<Subprocess>(
        arguments, folder_, std::vector<std::string>{"HMAR_SERVER=" + server_.address()});
  }
  ProcessResult Run(const std::vector<std::string>& arguments) { return Start(arguments)->Wait(); }

  AnsweringServer server_;
  std::filesystem::path folder_;
};

TEST_F(HmarLoadTest, AFineLoadExitsWith0AndWritesItsReports) {
  const ProcessResult result =
      Run({"--rate", "500", "--requests", "10", "--distinct-seeds", "3", "--verify", "--slo-ms",
           "60000", "--json", Path("a.json"), "--html", Path("a.html")});
  EXPECT_EQ(result.exit_code, 0) << result.error;
  EXPECT_THAT(result.out, HasSubstr("rate 500/s"));
  EXPECT_THAT(result.error, HasSubstr("rate 500/s: 10 sent, 10 ok"));
  const auto json = nlohmann::json::parse(ReadFile(Path("a.json")).value());
  EXPECT_EQ(json["runs"][0]["all"]["ok"], 10);
  EXPECT_EQ(json["runs"][0]["all"]["goodput"]["calls"], 10);
  EXPECT_THAT(ReadFile(Path("a.html")).value(), HasSubstr("<polyline"));
}

TEST_F(HmarLoadTest, ASweepRunsEveryRate) {
  const ProcessResult result =
      Run({"--sweep", "300,600", "--requests", "5", "--quiet", "--json", Path("a.json")});
  EXPECT_EQ(result.exit_code, 0) << result.error;
  EXPECT_EQ(result.error, "");
  const auto json = nlohmann::json::parse(ReadFile(Path("a.json")).value());
  EXPECT_EQ(json["runs"][1]["rate"], 600);
  EXPECT_EQ(json["runs"][1]["all"]["ok"], 5);
}

TEST_F(HmarLoadTest, AMistakeExitsWith1) {
  const ProcessResult result = Run({"--rate", "5"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.error, HasSubstr("--duration and --requests"));
  EXPECT_TRUE(server_.service().calls().empty());
}

TEST_F(HmarLoadTest, OtherBytesExitWith2) {
  const ProcessResult result = Run({"--rate", "500", "--requests", "4", "--distinct-seeds", "1",
                                    "--verify", "--model", "moody"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.out, HasSubstr("ERROR: 3 calls came with other bytes"));
}

TEST_F(HmarLoadTest, NoServerAndNoSuccessExitWith3) {
  const ProcessResult none = Run({"--server", "127.0.0.1:1", "--rate", "5", "--requests", "1"});
  EXPECT_EQ(none.exit_code, 3);
  EXPECT_THAT(none.error, HasSubstr("hmar-load: UNAVAILABLE: "));
  const ProcessResult refused = Run({"--rate", "500", "--requests", "3", "--model", "full"});
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_THAT(refused.out, HasSubstr("3 calls: RESOURCE_EXHAUSTED QUEUE_FULL"));
}

TEST_F(HmarLoadTest, AModelOfNoSizeIsNotLoaded) {
  const ProcessResult result = Run({"--rate", "5", "--requests", "1", "--model", "huge"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.error, HasSubstr("Model.image_size was 1073741824, must be 1 .. 4096"));
}

TEST_F(HmarLoadTest, AMetricsPortThatDoesNotAnswerExitsWith3BeforeAnythingIsSent) {
  const ProcessResult result = Run({"--rate", "5", "--requests", "1", "--metrics", "127.0.0.1:1"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.error, HasSubstr("http://127.0.0.1:1/metrics"));
  EXPECT_TRUE(server_.service().calls().empty());
}

TEST_F(HmarLoadTest, AReportThatCannotBeWrittenExitsWith4) {
  const ProcessResult result =
      Run({"--rate", "500", "--requests", "1", "--json", Path("no/folder/a.json")});
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_THAT(result.out, HasSubstr("rate 500/s"));
}

TEST_F(HmarLoadTest, CtrlCCancelsWhatIsOpenReportsAndExitsWith130) {
  const auto load = Start(
      {"--concurrency", "3", "--duration", "3600", "--model", "hang", "--json", Path("a.json")});
  server_.service().WaitForOpen(3);
  load->Signal(SIGINT);
  const ProcessResult result = load->Wait();
  EXPECT_EQ(result.exit_code, 130) << result.error;
  EXPECT_THAT(result.out, HasSubstr("WARNING: interrupted"));
  const auto json = nlohmann::json::parse(ReadFile(Path("a.json")).value());
  EXPECT_EQ(json["runs"][0]["all"]["interrupted"], 3);
}

}  // namespace
}  // namespace hmar::load
