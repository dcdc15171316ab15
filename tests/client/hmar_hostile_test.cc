// `hmar` against answers that mean it harm: every attack ends within bounds of memory, files and
// output.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/client/crafted_png.h"
#include "tests/client/fake_service.h"
#include "tests/client/hmar_hostile_fixture.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr auto kPng = v1::OutputOptions::FORMAT_PNG;

std::vector<v1::GenerateResponse> OneImage() { return StreamOf(1, 7, kPng); }

class HmarAnswerTest : public HmarHostileTest {
 protected:
  // Of `generate` without further flags.
  ProcessResult Generate(const std::vector<v1::GenerateResponse>& events) {
    server_.service().SetScript({.events = events, .status = {}});
    return Attack({"generate", "--out", Path("out")});
  }
};

TEST_F(HmarAnswerTest, TextOfAnAnswerIsEscaped) {
  auto events = OneImage();
  events[0].mutable_accepted()->set_request_id(kTerminal);
  events[0].mutable_accepted()->set_model(kTerminal);
  events[1].mutable_image()->mutable_receipt()->set_request_id(kTerminal);
  server_.service().SetScript({.events = events, .status = {}});
  const ProcessResult result =
      Attack({"generate", "--out", Path("out"), "--receipt", "--save-tokens", Path("tokens.json")});
  EXPECT_EQ(result.exit_code, 0) << result.error;
  EXPECT_THAT(result.error, HasSubstr("request a\\u001B[2J"));
  ExpectFitToPrint(ReadFile(Path("out/image-7.json")).value());
  ExpectFitToPrint(ReadFile(Path("tokens.json")).value());
  server_.service().SetScript({.events = {events[0], events[2]}, .status = {}});
  const ProcessResult price = Attack({"generate", "--validate-only"});
  EXPECT_EQ(price.exit_code, 0) << price.error;
  EXPECT_THAT(price.out, HasSubstr("valid: request a\\u001B[2J"));
}

TEST_F(HmarAnswerTest, TextOfAnErrorIsEscaped) {
  google::rpc::BadRequest bad;
  bad.add_field_violations()->set_field(kTerminal);
  bad.mutable_field_violations(0)->set_description(kTerminal);
  google::rpc::ErrorInfo info;
  info.set_reason(kTerminal);
  google::rpc::ResourceInfo resource;
  resource.set_resource_type(kTerminal);
  resource.set_resource_name(kTerminal);
  resource.set_description(kTerminal);
  google::rpc::Status details;
  details.add_details()->PackFrom(bad);
  details.add_details()->PackFrom(info);
  details.add_details()->PackFrom(resource);
  server_.service().SetScript(
      {.events = {},
       .status = {grpc::StatusCode::NOT_FOUND, kTerminal, details.SerializeAsString()}});
  const ProcessResult result = Attack({"generate", "--out", Path("out")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(std::count(result.error.begin(), result.error.end(), '\n'), 3);
}

TEST_F(HmarAnswerTest, TextOfModelsIsEscaped) {
  v1::ListModelsResponse models;
  v1::Model& model = *models.add_models();
  for (std::string* text :
       {model.mutable_name(), model.mutable_architecture(), model.mutable_digest(),
        model.mutable_precision(), model.add_devices(), model.add_classes(),
        model.add_class_infos()->mutable_name(), model.mutable_class_infos(0)->add_aliases()}) {
    *text = kTerminal;
  }
  server_.service().SetScript({.events = {}, .status = {}, .models = models});
  const ProcessResult table = Attack({"models"});
  EXPECT_EQ(table.exit_code, 0);
  EXPECT_EQ(std::count(table.out.begin(), table.out.end(), '\n'), 3);
  EXPECT_EQ(Attack({"models", "--json"}).exit_code, 0);
  const ProcessResult classes = Attack({"models", "--classes"});
  EXPECT_EQ(classes.exit_code, 0);
  EXPECT_EQ(std::count(classes.out.begin(), classes.out.end(), '\n'), 2);
}

TEST_F(HmarAnswerTest, PreviewsWithoutEndMakeNoFilesWithoutEnd) {
  v1::GenerateResponse accepted = OneImage()[0];
  const v1::Picture picture = MakePicture(Square(4, 1), kPng);
  server_.service().SetScript({.events = {accepted},
                               .status = {},
                               .more = [&picture](size_t i, v1::GenerateResponse& event) {
                                 v1::Preview& preview = *event.mutable_preview();
                                 preview.set_image_index(static_cast<uint32_t>(i / 2));
                                 preview.set_scale(i % 2);
                                 preview.set_num_scales(3);
                                 *preview.mutable_picture() = picture;
                                 return i < 300'000;
                               }});
  const ProcessResult result =
      Attack({"generate", "--previews", "fast", "--quiet", "--out", Path("out")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.error, HasSubstr("image 1 of 1"));
  EXPECT_THAT(FilesIn("out"), ElementsAre("image-7-scale-00.png", "image-7-scale-01.png"));
}

TEST_F(HmarAnswerTest, ImagesThatNobodyAskedForAreNotWritten) {
  EXPECT_EQ(Generate(StreamOf(2, 7, kPng)).exit_code, 1);
  auto twice = OneImage();
  twice.insert(twice.begin() + 1, twice[1]);
  EXPECT_EQ(Generate(twice).exit_code, 1);
  EXPECT_EQ(Generate(StreamOf(1, 7, kPng, Previews::kAllButTheLast)).exit_code, 1);
  EXPECT_THAT(FilesIn("out"), ElementsAre("image-7.png"));
}

TEST_F(HmarAnswerTest, TheServerDoesNotChooseTheNamesOfFiles) {
  auto events = OneImage();
  events[1].mutable_image()->set_seed(8);
  EXPECT_EQ(Generate(events).exit_code, 1);
  server_.service().SetScript({.events = OneImage(), .status = {}});
  EXPECT_EQ(Attack({"generate", "--seed", "9", "--out", Path("out")}).exit_code, 1);
  EXPECT_THAT(FilesIn("out"), IsEmpty());
}

TEST_F(HmarAnswerTest, AnAnswerInTheWrongOrderIsNone) {
  const auto good = OneImage();
  EXPECT_EQ(Generate({good[0], good[0], good[1], good[2]}).exit_code, 1);
  EXPECT_EQ(Generate({good[0], good[1], good[2], good[2]}).exit_code, 1);
  EXPECT_EQ(Generate({good[1], good[2]}).exit_code, 1);
  EXPECT_EQ(Generate({good[0], good[1]}).exit_code, 1);
  EXPECT_EQ(Generate({good[0], good[2]}).exit_code, 1);
  EXPECT_EQ(Generate({}).exit_code, 1);
}

TEST_F(HmarAnswerTest, EventsWithoutEndEnd) {
  server_.service().SetScript(
      {.events = {OneImage()[0]}, .status = {}, .more = [](size_t, v1::GenerateResponse& event) {
         event.Clear();
         return true;
       }});
  const ProcessResult result = Attack({"generate", "--out", Path("out")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.error, HasSubstr("more than 10000 events of unknown kinds"));
}

TEST_F(HmarAnswerTest, AHugePictureIsRefusedByItsHeader) {
  auto events = OneImage();
  v1::Picture& picture = *events[1].mutable_image()->mutable_picture();
  const std::string huge = PngStart(16384, 16384) + PngChunk("IDAT", DeflatedZeros(100)) + PngEnd();
  picture.set_data(huge);  // Declared as 8 x 8.
  EXPECT_THAT(Generate(events).error, HasSubstr("16384 x 16384 pixels, declared as 8 x 8"));
  picture.set_width(16384);
  picture.set_height(16384);
  EXPECT_THAT(Generate(events).error, HasSubstr("16384 x 16384 pixels; 1 to 4096 a side"));
  EXPECT_THAT(FilesIn("out"), IsEmpty());
}

TEST_F(HmarAnswerTest, TextInAPngIsNotInflated) {
  // 480 MB in 60 chunks, in a PNG that is no larger than its pixels may make it.
  const std::string text = PngChunk("zTXt", std::string("k\0\0", 3) + DeflatedZeros(7'900'000));
  std::string png = PngStart(512, 512);
  for (int i = 0; i < 60; ++i) png += text;
  png += PngChunk("IDAT", DeflatedZeros(512 * (3 * 512 + 1))) + PngEnd();
  auto events = OneImage();
  v1::Picture& picture = *events[1].mutable_image()->mutable_picture();
  picture.set_data(png);
  picture.set_width(512);
  picture.set_height(512);
  EXPECT_EQ(Generate(events).exit_code, 0);
}

TEST_F(HmarAnswerTest, ADamagedPictureIsTheServersFault) {
  auto events = OneImage();
  std::string& png = *events[1].mutable_image()->mutable_picture()->mutable_data();
  png.resize(png.size() - 20);
  EXPECT_EQ(Generate(events).exit_code, 1);
  EXPECT_THAT(FilesIn("out"), IsEmpty());
}

TEST_F(HmarAnswerTest, ThePicturesOfASheetAreKeptSmall) {
  // Eight previews, 48 MB each as pixels, a few KB each as PNG.
  const std::string png =
      PngStart(4096, 4096) + PngChunk("IDAT", DeflatedZeros(4096 * (3 * 4096 + 1))) + PngEnd();
  v1::Picture picture;
  picture.set_format(kPng);
  picture.set_width(4096);
  picture.set_height(4096);
  picture.set_data(png);
  std::vector<v1::GenerateResponse> events = {OneImage()[0]};
  for (uint32_t scale = 0; scale < 8; ++scale) {
    v1::Preview& preview = *events.emplace_back().mutable_preview();
    preview.set_scale(scale);
    preview.set_num_scales(64);
    *preview.mutable_picture() = picture;
  }
  server_.service().SetScript(
      {.events = events, .status = {grpc::StatusCode::ABORTED, "that was all"}});
  const ProcessResult result =
      Attack({"generate", "--previews", "fast", "--out", Path("out")}, size_t{350} << 20);
  EXPECT_THAT(result.error, HasSubstr("ABORTED: that was all"));
}

TEST_F(HmarAnswerTest, ModelsWithoutEndAreNotListed) {
  v1::ListModelsResponse models;
  for (int i = 0; i < 290'000; ++i) models.add_models()->set_name("m");
  server_.service().SetScript({.events = {}, .status = {}, .models = models});
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"models"}, {"models", "--json"}}) {
    const ProcessResult result = Attack(arguments);
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.error, HasSubstr("290000 models; at most 1000"));
  }
}

TEST_F(HmarAnswerTest, ErrorsOfAnySizeAreAFewLines) {
  google::rpc::BadRequest bad;
  for (int i = 0; i < 20'000; ++i) bad.add_field_violations()->set_field("f\n");
  google::rpc::Status details;
  details.add_details()->PackFrom(bad);
  server_.service().SetScript({.events = {},
                               .status = {grpc::StatusCode::INVALID_ARGUMENT,
                                          std::string(20'000, '\n'), details.SerializeAsString()}});
  const ProcessResult result = Attack({"generate", "--out", Path("out")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_LT(std::count(result.error.begin(), result.error.end(), '\n'), 110);
}

TEST_F(HmarAnswerTest, TimesOfAnyLengthArePrinted) {
  auto events = OneImage();
  for (const int64_t seconds :
       {std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min()}) {
    events[0].mutable_accepted()->mutable_estimated_time()->set_seconds(seconds);
    events[2].mutable_completed()->mutable_total()->set_seconds(seconds);
    EXPECT_EQ(Generate(events).exit_code, 0);
  }
  events[1].mutable_image()->mutable_receipt()->mutable_ran()->set_seconds(
      std::numeric_limits<int64_t>::max());
  server_.service().SetScript({.events = events, .status = {}});
  EXPECT_EQ(Attack({"generate", "--receipt", "--out", Path("out")}).exit_code, 1);
}

}  // namespace
}  // namespace hmar
