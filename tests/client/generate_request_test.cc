#include "client/generate_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "client/files.h"
#include "client/tokens_file.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

GenerateCommand Command() {
  GenerateCommand command;
  command.out = "x";
  return command;
}

TEST(GenerateRequestTest, WhatWasNotGivenStaysUnset) {
  const v1::GenerateRequest request = MakeGenerateRequest(Command()).value();
  EXPECT_EQ(request.target_case(), v1::GenerateRequest::TARGET_NOT_SET);
  EXPECT_FALSE(request.has_seed());
  EXPECT_EQ(request.num_images(), 1);
  EXPECT_FALSE(request.sampling().has_cfg_scale());
  EXPECT_FALSE(request.sampling().has_top_k());
  EXPECT_FALSE(request.sampling().has_top_p());
  EXPECT_FALSE(request.sampling().has_temperature());
  EXPECT_FALSE(request.sampling().has_mask_schedule());
  EXPECT_FALSE(request.has_previews());
  EXPECT_FALSE(request.has_prefix());
  EXPECT_FALSE(request.output().return_tokens());
  EXPECT_FALSE(request.output().has_png_compression());
}

TEST(GenerateRequestTest, AClassGoesAsItWasGivenNumbersToo) {
  GenerateCommand command = Command();
  for (const char* target : {"ship", "Golden Retriever", "8", "-8"}) {
    command.target = target;
    EXPECT_EQ(MakeGenerateRequest(command)->class_name(), target);
  }
}

TEST(GenerateRequestTest, WhatHappensAtTheDeadlineHasTheApisNames) {
  GenerateCommand command = Command();
  const auto on_deadline = [&](const char* flag) {
    command.on_deadline = flag;
    return MakeGenerateRequest(command)->scheduling().on_deadline();
  };
  EXPECT_EQ(on_deadline("fail"), v1::Scheduling::ON_DEADLINE_UNSPECIFIED);
  EXPECT_EQ(on_deadline("refuse"), v1::Scheduling::ON_DEADLINE_FAIL);
  EXPECT_EQ(on_deadline("degrade"), v1::Scheduling::ON_DEADLINE_DEGRADE);
  command.max_scales = 3;
  EXPECT_EQ(MakeGenerateRequest(command)->sampling().max_scales(), 3);
}

TEST(GenerateRequestTest, ZeroIsAValueOfItsOwn) {
  GenerateCommand command = Command();
  command.seed = 0;
  command.cfg_scale = 0;
  command.top_k = 0;
  command.png_compression = 0;
  const v1::GenerateRequest request = MakeGenerateRequest(command).value();
  EXPECT_TRUE(request.has_seed());
  EXPECT_TRUE(request.sampling().has_cfg_scale());
  EXPECT_TRUE(request.sampling().has_top_k());
  EXPECT_TRUE(request.output().has_png_compression());
}

TEST(GenerateRequestTest, SchedulesArePresetsOrJson) {
  GenerateCommand command = Command();
  command.schedule = "none";
  EXPECT_EQ(MakeGenerateRequest(command)->sampling().mask_schedule().preset(),
            v1::MaskSchedule::PRESET_NONE);
  command.schedule = "quality";
  EXPECT_EQ(MakeGenerateRequest(command)->sampling().mask_schedule().preset(),
            v1::MaskSchedule::PRESET_QUALITY);
  command.schedule = "[[1],[1,3],[9]]";
  const v1::MaskSchedule schedule = MakeGenerateRequest(command)->sampling().mask_schedule();
  ASSERT_EQ(schedule.scales_size(), 3);
  EXPECT_THAT(schedule.scales(1).tokens(), ElementsAre(1, 3));
}

TEST(GenerateRequestTest, AScheduleThatIsNoneIsNamed) {
  GenerateCommand command = Command();
  for (const char* text :
       {"fast", "", "[1,2]", "[[1],[\"a\"]]", "[[1],[-1]]", "[[1.5]]", "{", "7"}) {
    command.schedule = text;
    const auto request = MakeGenerateRequest(command);
    EXPECT_EQ(request.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(request.status().message()), HasSubstr("--schedule")) << text;
  }
}

TEST(GenerateRequestTest, PreviewsAndOutputAreTranslated) {
  GenerateCommand command = Command();
  command.previews = "fast";
  command.preview_scales = {2, 4};
  command.save_tokens = "t.json";
  command.receipt = true;
  const v1::GenerateRequest request = MakeGenerateRequest(command).value();
  EXPECT_EQ(request.previews().mode(), v1::PreviewOptions::MODE_FAST);
  EXPECT_THAT(request.previews().scales(), ElementsAre(2, 4));
  EXPECT_TRUE(request.output().return_tokens());
  EXPECT_TRUE(request.output().embed_receipt());
}

TEST(GenerateRequestTest, FormatsAreTranslated) {
  GenerateCommand command = Command();
  command.format = "jpeg";
  command.quality = 70;
  command.receipt = true;
  v1::OutputOptions output = MakeGenerateRequest(command)->output();
  EXPECT_EQ(output.format(), v1::OutputOptions::FORMAT_JPEG);
  EXPECT_EQ(output.quality(), 70);
  EXPECT_TRUE(output.embed_receipt());
  EXPECT_FALSE(output.receipt_in_png());
  command.format = "webp";
  command.quality.reset();
  command.lossless = true;
  output = MakeGenerateRequest(command)->output();
  EXPECT_EQ(output.format(), v1::OutputOptions::FORMAT_WEBP);
  EXPECT_FALSE(output.has_quality());
  EXPECT_TRUE(output.lossless());
}

TEST(GenerateRequestTest, RawPixelsHaveNoPngToHoldAReceipt) {
  GenerateCommand command = Command();
  command.format = "rgb";
  command.receipt = true;
  const v1::GenerateRequest request = MakeGenerateRequest(command).value();
  EXPECT_EQ(request.output().format(), v1::OutputOptions::FORMAT_RGB8);
  EXPECT_FALSE(request.output().embed_receipt());
}

TEST(GenerateRequestTest, APrefixComesFromTheTokensFile) {
  const std::string path = testing::TempDir() + "/tokens." + std::to_string(getpid());
  ASSERT_TRUE(WriteFile(path, FormatTokens(
                                  {.model = "m",
                                   .images = {{7, {{1}, {2, 3, 4, 5}}}, {8, {{6}, {7, 8, 9, 0}}}}}))
                  .ok());
  GenerateCommand command = Command();
  command.from_tokens = path;
  command.from_image = 1;
  command.scales = 1;
  const v1::GenerateRequest request = MakeGenerateRequest(command).value();
  ASSERT_EQ(request.prefix().tokens_size(), 1);
  EXPECT_THAT(request.prefix().tokens(0).tokens(), ElementsAre(6));
  EXPECT_EQ(request.model(), "m");
  command.model = "larger";
  EXPECT_EQ(MakeGenerateRequest(command)->model(), "larger");
  command.scales = 3;
  EXPECT_EQ(MakeGenerateRequest(command).status(),
            absl::InvalidArgumentError("--from-tokens: " + path +
                                       ": image 1 holds 2 scales, too few to keep 3"));
  unlink(path.c_str());
  EXPECT_EQ(MakeGenerateRequest(command).status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(MakeGenerateRequest(command).status().message()),
              HasSubstr("--from-tokens: cannot read '" + path));
}

}  // namespace
}  // namespace hmar
