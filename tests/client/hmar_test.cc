// The program `hmar` as a shell runs it, against a fake service: exit codes, output, files.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "client/files.h"
#include "client/png_codec.h"
#include "client/tokens_file.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/client/fake_service.h"
#include "tests/client/hmar_fixture.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr absl::Duration kGenerous = absl::Seconds(60);

TEST_F(HmarTest, GenerateWritesImagesPreviewsAndASheet) {
  server_.service().SetScript(
      {.events = StreamOf(2, 7, v1::OutputOptions::FORMAT_PNG, Previews::kAllButTheLast),
       .status = {}});
  const ProcessResult result = Run({"generate", "--class", "ship", "--seed", "7", "--count", "2",
                                    "--previews", "fast", "--out", Path("out/deep")});
  EXPECT_EQ(result.exit_code, 0) << result.error;
  EXPECT_THAT(FilesIn("out/deep"), ElementsAre("image-7-scale-00.png", "image-7-scale-01.png",
                                               "image-7.png", "image-8-scale-00.png",
                                               "image-8-scale-01.png", "image-8.png", "sheet.png"));
  EXPECT_EQ(ReadPicture("out/deep/image-8.png").rgb, Square(8, 12).rgb);
  EXPECT_EQ(ReadPicture("out/deep/image-8-scale-01.png").rgb, Square(4, 11).rgb);
  EXPECT_THAT(result.error, HasSubstr("image 2/2  scale 2/3  2 x 2"));
  EXPECT_THAT(result.out, HasSubstr(Path("out/deep/sheet.png")));
}

TEST_F(HmarTest, TheSheetHasScalesFromLeftToRightAndImagesFromTopToBottom) {
  server_.service().SetScript(
      {.events = StreamOf(2, 7, v1::OutputOptions::FORMAT_PNG, Previews::kAllButTheLast),
       .status = {}});
  ASSERT_EQ(Run({"generate", "--count", "2", "--previews", "fast", "--out", Path("out")}).exit_code,
            0);
  const Picture sheet = ReadPicture("out/sheet.png");
  ASSERT_EQ(sheet.width, 3 * 128 + 4 * 4);
  ASSERT_EQ(sheet.height, 2 * 128 + 3 * 4);
  for (uint32_t row = 0; row < 2; ++row) {
    for (uint32_t column = 0; column < 3; ++column) {
      const size_t x = 4 + 132 * column + 64;
      const size_t y = 4 + 132 * row + 64;
      EXPECT_EQ(sheet.rgb[(y * sheet.width + x) * 3], 10 * row + column);
    }
  }
}

TEST_F(HmarTest, RawPixelsBecomeTheSamePngFiles) {
  server_.service().SetScript(
      {.events = StreamOf(1, 7, v1::OutputOptions::FORMAT_RGB8), .status = {}});
  ASSERT_EQ(Run({"generate", "--format", "rgb", "--out", Path("out")}).exit_code, 0);
  EXPECT_EQ(server_.service().last_request().output().format(), v1::OutputOptions::FORMAT_RGB8);
  EXPECT_EQ(ReadPicture("out/image-7.png").rgb, Square(8, 2).rgb);
}

TEST_F(HmarTest, SeedsWrapAroundInFileNames) {
  server_.service().SetScript(
      {.events = StreamOf(2, 18446744073709551615U, v1::OutputOptions::FORMAT_PNG,
                          Previews::kAllButTheLast),
       .status = {}});
  ASSERT_EQ(Run({"generate", "--count", "2", "--previews", "fast", "--out", Path("out")}).exit_code,
            0);
  EXPECT_TRUE(FilesIn("out").count("image-18446744073709551615-scale-00.png"));
  EXPECT_TRUE(FilesIn("out").count("image-0-scale-01.png"));
  EXPECT_TRUE(FilesIn("out").count("image-0.png"));
}

TEST_F(HmarTest, TokensAreSavedInImageOrderAndGoOutAgainAsAPrefix) {
  server_.service().SetScript(
      {.events = StreamOf(2, 7, v1::OutputOptions::FORMAT_PNG), .status = {}});
  ASSERT_EQ(Run({"generate", "--count", "2", "--save-tokens", Path("t.json"), "--out", Path("out")})
                .exit_code,
            0);
  const TokensFile saved = ParseTokens(ReadFile(Path("t.json")).value(), "t.json").value();
  ASSERT_EQ(saved.images.size(), 2);
  EXPECT_EQ(saved.images[1].seed, 8);
  EXPECT_THAT(saved.images[1].scales, ElementsAre(ElementsAre(1), ElementsAre(7, 7, 7, 7)));

  ASSERT_EQ(Run({"generate", "--count", "2", "--from-tokens", Path("t.json"), "--from-image", "1",
                 "--scales", "2", "--out", Path("out")})
                .exit_code,
            0);
  const v1::ScalePrefix prefix = server_.service().last_request().prefix();
  ASSERT_EQ(prefix.tokens_size(), 2);
  EXPECT_THAT(prefix.tokens(0).tokens(), ElementsAre(1));
}

TEST_F(HmarTest, ATokensFileGoesBackToItsModelUnlessAnotherIsNamed) {
  server_.service().SetScript(
      {.events = StreamOf(1, 7, v1::OutputOptions::FORMAT_PNG), .status = {}});
  ASSERT_EQ(Run({"generate", "--save-tokens", Path("t.json"), "--out", Path("out")}).exit_code, 0);
  ASSERT_EQ(Run({"generate", "--from-tokens", Path("t.json"), "--out", Path("out")}).exit_code, 0);
  EXPECT_EQ(server_.service().last_request().model(), "tiny");
  ASSERT_EQ(
      Run({"generate", "--from-tokens", Path("t.json"), "--model", "big", "--out", Path("out")})
          .exit_code,
      0);
  EXPECT_EQ(server_.service().last_request().model(), "big");
}

TEST_F(HmarTest, ReceiptsAreWrittenBesideTheImages) {
  server_.service().SetScript(
      {.events = StreamOf(1, 7, v1::OutputOptions::FORMAT_PNG), .status = {}});
  ASSERT_EQ(Run({"generate", "--receipt", "--out", Path("out")}).exit_code, 0);
  EXPECT_THAT(ReadFile(Path("out/image-7.json")).value(), HasSubstr("\"request_id\": \"r-1\""));
}

TEST_F(HmarTest, ValidateOnlyPrintsThePriceAndWritesNothing) {
  auto events = StreamOf(1, 7, v1::OutputOptions::FORMAT_PNG);
  events.erase(events.begin() + 1, events.end() - 1);
  events[0].mutable_accepted()->set_estimated_gpu_seconds(0.25F);
  server_.service().SetScript({.events = events, .status = {}});
  const ProcessResult result = Run({"generate", "--validate-only"});
  EXPECT_EQ(result.exit_code, 0) << result.error;
  EXPECT_TRUE(server_.service().last_request().validate_only());
  EXPECT_THAT(result.out, HasSubstr("valid: request r-1: tiny, seed 7"));
  EXPECT_THAT(result.out, HasSubstr("0.2500 device seconds"));
}

TEST_F(HmarTest, ARefusedRequestExitsWith1AndShowsTheFields) {
  google::rpc::BadRequest bad;
  auto* violation = bad.add_field_violations();
  violation->set_field("sampling.top_p");
  violation->set_description("was 1.5, must be in (0, 1]");
  google::rpc::Status details;
  details.add_details()->PackFrom(bad);
  server_.service().SetScript({.events = {},
                               .status = {grpc::StatusCode::INVALID_ARGUMENT, "1 field is wrong",
                                          details.SerializeAsString()}});
  const ProcessResult result = Run({"generate", "--top-p", "1.5", "--out", Path("out")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.error, HasSubstr("hmar: INVALID_ARGUMENT: 1 field is wrong\n"
                                      "  sampling.top_p: was 1.5, must be in (0, 1]\n"));
}

TEST_F(HmarTest, ACallThatIsCutOffIsTriedAgainAndGoesOn) {
  const auto events = StreamOf(2, 7, v1::OutputOptions::FORMAT_PNG);
  server_.service().SetFirstScripts(
      {{.events = {events[0], events[1]}, .status = {grpc::StatusCode::UNKNOWN, "cut off"}}});
  server_.service().SetScript({.events = events, .status = {}});
  const ProcessResult result = Run({"generate", "--count", "2", "--quiet", "--out", Path("out")});
  EXPECT_EQ(result.exit_code, 0) << result.error;
  EXPECT_THAT(result.error, HasSubstr("hmar: UNKNOWN: cut off; trying again in 0.2"));
  EXPECT_EQ(server_.service().last_request().seed(), 7);
  EXPECT_THAT(FilesIn("out"), ElementsAre("image-7.png", "image-8.png", "sheet.png"));
  EXPECT_EQ(result.out, Path("out/image-8.png") + "\n" + Path("out/image-7.png") + "\n" +
                            Path("out/sheet.png") + "\n");
}

TEST_F(HmarTest, WithoutRetriesItIsNot) {
  server_.service().SetFirstScripts(
      {{.events = {}, .status = {grpc::StatusCode::UNAVAILABLE, "going down"}}});
  const ProcessResult result = Run({"generate", "--retries", "0", "--out", Path("out")});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.error, Not(HasSubstr("trying again")));
}

TEST_F(HmarTest, ControlCEndsAWaitForTheNextTry) {
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(50);
  google::rpc::Status details;
  details.add_details()->PackFrom(retry);
  server_.service().SetScript(
      {.events = {},
       .status = {grpc::StatusCode::UNAVAILABLE, "full", details.SerializeAsString()}});
  int error[2];
  ASSERT_EQ(pipe(error), 0);
  Subprocess hmar({HMAR_PROGRAM, "generate", "--out", Path("out")}, folder_,
                  {"HMAR_SERVER=" + server_.address()}, error[1]);
  std::string said;
  for (char c = 0;
       said.find("trying again in 5") == std::string::npos && read(error[0], &c, 1) > 0;) {
    said += c;
  }
  hmar.Signal(SIGINT);
  EXPECT_EQ(hmar.Wait().exit_code, 130) << said;
  close(error[0]);
  close(error[1]);
}

TEST_F(HmarTest, ControlCCancelsTheCallAndSaysSo) {
  server_.service().SetScript({.events = {}, .status = {}, .hang = true});
  const auto program = Start({"generate", "--out", Path("out")});
  ASSERT_TRUE(server_.service().events_sent().WaitForNotificationWithTimeout(kGenerous));
  program->Signal(SIGINT);
  const ProcessResult result = program->Wait();
  EXPECT_EQ(result.exit_code, 130);
  EXPECT_THAT(result.error, HasSubstr("interrupted: the call was cancelled"));
  EXPECT_TRUE(server_.service().cancelled().WaitForNotificationWithTimeout(kGenerous));
}

TEST_F(HmarTest, ADeadlineThatPassesExitsWith1) {
  server_.service().SetScript({.events = {}, .status = {}, .hang = true});
  const ProcessResult result = Run({"generate", "--deadline", "0.05", "--out", Path("out")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.error, HasSubstr("DEADLINE_EXCEEDED"));
}

TEST_F(HmarTest, MistakesExitWith2BeforeAnythingIsSent) {
  server_.service().SetScript({.events = {}, .status = {}});
  EXPECT_EQ(Run({}).exit_code, 2);
  EXPECT_EQ(Run({"generate", "--class", "unsent", "--schedule", "x", "--out", Path("o")}).exit_code,
            2);
  EXPECT_EQ(Run({"generate", "--class", "unsent", "--from-tokens", "/no/such", "--out", Path("o")})
                .exit_code,
            2);
  EXPECT_EQ(server_.service().last_request().class_name(), "");
}

TEST_F(HmarTest, WithoutOutPicturesGoToAFolderOfTheirOwn) {
  server_.service().SetScript(
      {.events = StreamOf(1, 7, v1::OutputOptions::FORMAT_PNG), .status = {}});
  ASSERT_EQ(RunInShell("cd '" + folder_.string() + "' && exec \"$@\"", {"generate"}).exit_code, 0);
  EXPECT_THAT(FilesIn("pictures"), ElementsAre("image-7.png", "sheet.png"));
}

TEST_F(HmarTest, WhereNoTerminalIsNoPreviewsAreAskedForUnlessByFlag) {
  server_.service().SetScript(
      {.events = StreamOf(1, 7, v1::OutputOptions::FORMAT_PNG), .status = {}});
  ASSERT_EQ(Run({"generate", "--show", "kitty", "--out", Path("out")}).exit_code, 0);
  EXPECT_EQ(server_.service().last_request().previews().mode(),
            v1::PreviewOptions::MODE_UNSPECIFIED);
}

TEST_F(HmarTest, NoServerExitsWith3) {
  const ProcessResult result = Run({"models", "--server", "127.0.0.1:1"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.error, HasSubstr("UNAVAILABLE"));
}

TEST_F(HmarTest, AFolderThatCannotBeMadeExitsWith4) {
  ASSERT_TRUE(WriteFile(Path("file"), "").ok());
  server_.service().SetScript(
      {.events = StreamOf(1, 7, v1::OutputOptions::FORMAT_PNG), .status = {}});
  EXPECT_EQ(Run({"generate", "--out", Path("file/out")}).exit_code, 4);
}

TEST_F(HmarTest, APictureThatCannotBeWrittenExitsWith4) {
  std::filesystem::create_directories(Path("out/image-7.png"));  // A folder in its place.
  server_.service().SetScript(
      {.events = StreamOf(1, 7, v1::OutputOptions::FORMAT_PNG), .status = {}});
  const ProcessResult result = Run({"generate", "--out", Path("out")});
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_THAT(result.error, HasSubstr("cannot write '" + Path("out/image-7.png")));
}

TEST_F(HmarTest, ModelsPrintsATableOrJson) {
  const ProcessResult table = Run({"models"});
  EXPECT_EQ(table.exit_code, 0) << table.error;
  EXPECT_THAT(table.out, HasSubstr("tiny *"));
  EXPECT_THAT(table.out, HasSubstr("1.5 M"));
  const ProcessResult json = Run({"models", "--json"});
  EXPECT_EQ(json.exit_code, 0) << json.error;
  EXPECT_THAT(json.out, HasSubstr("\"image_size\": 8"));
  EXPECT_THAT(json.out, HasSubstr("\"is_default\": true"));
}

TEST_F(HmarTest, ModelsPrintsWhatClassesAreCalled) {
  const ProcessResult all = Run({"models", "--classes"});
  EXPECT_EQ(all.exit_code, 0) << all.error;
  EXPECT_EQ(all.out, "tiny\n     0  cat: kitty, n02121620\n     1  ship\n");
  EXPECT_EQ(Run({"models", "--classes", "--model", "tiny"}).out, all.out);
  const ProcessResult unknown = Run({"models", "--model", "other"});
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_THAT(unknown.error, HasSubstr("no such model"));
}

TEST_F(HmarTest, HealthExitsWith0OnlyWhenReady) {
  const ProcessResult waiting = Run({"health"});
  EXPECT_EQ(waiting.exit_code, 3);
  EXPECT_THAT(waiting.error, HasSubstr("not serving"));
  EXPECT_EQ(Run({"health", "--wait", "0.05"}).exit_code, 3);
  server_.SetReady(true);
  const ProcessResult ready = Run({"health", "--wait", "60"});
  EXPECT_EQ(ready.exit_code, 0) << ready.error;
  EXPECT_EQ(ready.out, "SERVING\n");
}

TEST_F(HmarTest, SheetLaysFilesOutWithoutAServer) {
  for (uint8_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(WriteFile(Path(absl::StrCat(i, ".png")), EncodePng(Square(128, i)).value()).ok());
  }
  const ProcessResult result = Run({"sheet", "--out", Path("s.png"), "--columns", "2",
                                    Path("0.png"), Path("1.png"), Path("2.png")});
  EXPECT_EQ(result.exit_code, 0) << result.error;
  const Picture sheet = ReadPicture("s.png");
  EXPECT_EQ(sheet.width, 2 * 128 + 3 * 4);
  EXPECT_EQ(sheet.height, 2 * 128 + 3 * 4);
  EXPECT_EQ(Run({"sheet", "--out", Path("s.png"), Path("none.png")}).exit_code, 2);
}

TEST_F(HmarTest, QuietLeavesOutProgress) {
  server_.service().SetScript(
      {.events = StreamOf(1, 7, v1::OutputOptions::FORMAT_PNG), .status = {}});
  const ProcessResult result = Run({"generate", "--quiet", "--out", Path("out")});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.error, Not(HasSubstr("image 1/1")));
}

}  // namespace
}  // namespace hmar
