// Generate and GenerateImages over a real channel: what a client gets.

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <png.h>

#include <map>
#include <string>
#include <thread>
#include <vector>

#include "model/sampling_plan.h"
#include "server/base/version.h"
#include "tests/server/test_server.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string DecodePng(const std::string& png) {
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  EXPECT_TRUE(png_image_begin_read_from_memory(&image, png.data(), png.size())) << image.message;
  image.format = PNG_FORMAT_RGB;
  std::string rgb(PNG_IMAGE_SIZE(image), '\0');
  EXPECT_TRUE(png_image_finish_read(&image, nullptr, rgb.data(), 0, nullptr)) << image.message;
  return rgb;
}

class GenerateTest : public ::testing::Test {
 protected:
  const EngineInfo info_ = FakeEngineInfo();
  TestServer server_;
};

TEST_F(GenerateTest, AStreamIsAcceptedThenImagesThenCompleted) {
  v1::GenerateRequest request = SmallRequest(7, 3);
  request.set_request_id("r-1");
  const StreamResult result = Generate(server_.stub(), request);
  ASSERT_TRUE(result.status.ok()) << result.status.error_message();
  ASSERT_THAT(result.events, SizeIs(5));
  const v1::Accepted& accepted = result.events.front().accepted();
  EXPECT_EQ(accepted.request_id(), "r-1");
  EXPECT_EQ(accepted.model(), "fake");
  EXPECT_EQ(accepted.seed(), 7u);
  EXPECT_EQ(result.events.back().completed().images(), 3u);
  for (uint32_t i = 0; i < 3; ++i) {
    const v1::Image* image = result.image(i);
    ASSERT_NE(image, nullptr) << i;
    EXPECT_EQ(image->seed(), 7 + i);
    EXPECT_EQ(image->picture().data(), ExpectedRgb(info_, 7 + i));
    EXPECT_EQ(image->picture().width(), 12u);
    EXPECT_EQ(image->picture().height(), 12u);
    EXPECT_EQ(image->picture().format(), v1::OutputOptions::FORMAT_RGB8);
    EXPECT_EQ(image->scales_run(), 3u);
    EXPECT_FALSE(image->degraded());
    EXPECT_THAT(image->tokens(), IsEmpty());
  }
}

TEST_F(GenerateTest, ADraftHasTheScalesThatWereAskedFor) {
  v1::GenerateRequest request = SmallRequest(7);
  request.mutable_sampling()->set_max_scales(2);
  request.mutable_output()->set_return_tokens(true);
  const StreamResult result = Generate(server_.stub(), request);
  const v1::Image* image = result.image(0);
  ASSERT_NE(image, nullptr);
  EXPECT_EQ(image->scales_run(), 2u);
  EXPECT_THAT(image->tokens(), SizeIs(2));
  EXPECT_FALSE(image->degraded());
  EXPECT_EQ(image->receipt().sampling().max_scales(), 2u);
  EXPECT_EQ(image->receipt().request().sampling().max_scales(), 2u);
}

TEST_F(GenerateTest, PngIsTheDefaultAndHoldsTheSamePixels) {
  v1::GenerateRequest request = SmallRequest(7);
  request.clear_output();
  const StreamResult result = Generate(server_.stub(), request);
  ASSERT_NE(result.image(0), nullptr);
  EXPECT_EQ(result.image(0)->picture().format(), v1::OutputOptions::FORMAT_PNG);
  EXPECT_EQ(DecodePng(result.image(0)->picture().data()), ExpectedRgb(info_, 7));
}

TEST_F(GenerateTest, EachImagesPreviewsComeInScaleOrderBeforeIt) {
  for (const auto mode : {v1::PreviewOptions::MODE_FAST, v1::PreviewOptions::MODE_FULL}) {
    v1::GenerateRequest request = SmallRequest(7, 4);
    request.mutable_previews()->set_mode(mode);
    request.mutable_previews()->add_scales(2);
    request.mutable_previews()->add_scales(0);
    const StreamResult result = Generate(server_.stub(), request);
    ASSERT_TRUE(result.status.ok()) << result.status.error_message();
    std::map<uint32_t, std::vector<std::string>> seen;
    for (const auto& event : result.events) {
      if (event.has_preview()) {
        seen[event.preview().image_index()].push_back(std::to_string(event.preview().scale()));
      } else if (event.has_image()) {
        seen[event.image().image_index()].push_back("image");
      }
    }
    ASSERT_THAT(seen, SizeIs(4));
    for (const auto& [image, events] : seen) {
      EXPECT_THAT(events, ElementsAre("0", "2", "image")) << image;
    }
    for (const v1::Preview& preview : result.previews()) {
      EXPECT_EQ(preview.num_scales(), 3u);
      EXPECT_EQ(preview.grid(), preview.scale() + 1);
      EXPECT_EQ(preview.dropped(), 0u);
      EXPECT_EQ(preview.picture().width(), 12u);
      EXPECT_THAT(preview.picture().data(), SizeIs(12 * 12 * 3));
    }
  }
}

TEST_F(GenerateTest, PreviewsShowTheirScale) {
  v1::GenerateRequest request = SmallRequest(7);
  request.mutable_previews()->set_mode(v1::PreviewOptions::MODE_FULL);
  const StreamResult result = Generate(server_.stub(), request);
  ASSERT_THAT(result.previews(), SizeIs(2));
  for (const v1::Preview& preview : result.previews()) {
    ImageTask task = FakeTask(info_, 7);
    task.preview_mode = PreviewMode::kFull;
    const Picture expected = FakePreview(info_, task, preview.scale());
    EXPECT_EQ(preview.picture().data(), std::string(expected.rgb.begin(), expected.rgb.end()));
  }
}

TEST_F(GenerateTest, TheUnaryCallGivesTheSameImagesInOrder) {
  grpc::ClientContext context;
  v1::GenerateImagesRequest request;
  *request.mutable_request() = SmallRequest(7, 5);
  v1::GenerateImagesResponse response;
  const grpc::Status status = server_.stub().GenerateImages(&context, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.accepted().seed(), 7u);
  EXPECT_EQ(response.completed().images(), 5u);
  ASSERT_EQ(response.images_size(), 5);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(response.images(i).image_index(), static_cast<uint32_t>(i));
    EXPECT_EQ(response.images(i).picture().data(), ExpectedRgb(info_, 7 + i));
  }
}

TEST_F(GenerateTest, ADrawnSeedIsToldAndMakesTheImageAgain) {
  v1::GenerateRequest request = SmallRequest(0);
  request.clear_seed();
  const StreamResult first = Generate(server_.stub(), request);
  ASSERT_NE(first.image(0), nullptr);
  EXPECT_EQ(first.image(0)->seed(), first.events.front().accepted().seed());
  EXPECT_NE(first.image(0)->seed(), Generate(server_.stub(), request).image(0)->seed());
  request.set_seed(first.image(0)->seed());
  EXPECT_EQ(Generate(server_.stub(), request).image(0)->picture().data(),
            first.image(0)->picture().data());
}

TEST_F(GenerateTest, SeedsWrapAround) {
  const StreamResult result = Generate(server_.stub(), SmallRequest(~uint64_t{0}, 2));
  ASSERT_NE(result.image(1), nullptr);
  EXPECT_EQ(result.image(1)->seed(), 0u);
  EXPECT_EQ(result.image(1)->picture().data(), ExpectedRgb(info_, 0));
}

TEST_F(GenerateTest, AnEmptyRequestIdIsReplaced) {
  const StreamResult result = Generate(server_.stub(), SmallRequest(1));
  EXPECT_THAT(result.events.front().accepted().request_id(), SizeIs(36));
  EXPECT_EQ(result.image(0)->receipt().request_id(), result.events.front().accepted().request_id());
}

TEST_F(GenerateTest, TheReceiptSaysWhatMadeTheImage) {
  v1::GenerateRequest request = SmallRequest(7, 2);
  request.set_request_id("r-1");
  request.mutable_sampling()->set_temperature(0.5);
  request.mutable_sampling()->mutable_mask_schedule()->set_preset(v1::MaskSchedule::PRESET_NONE);
  const absl::Time before = absl::Now();
  const StreamResult result = Generate(server_.stub(), request);
  ASSERT_NE(result.image(1), nullptr);
  const v1::Receipt& receipt = result.image(1)->receipt();
  EXPECT_EQ(receipt.request_id(), "r-1");
  EXPECT_EQ(receipt.model(), "fake");
  EXPECT_EQ(receipt.model_digest(), info_.digest);
  EXPECT_EQ(receipt.server_version(), ServerVersion());
  EXPECT_EQ(receipt.seed(), 8u);
  EXPECT_EQ(receipt.sampling().cfg_scale(), 2);
  EXPECT_EQ(receipt.sampling().top_k(), 10u);
  EXPECT_EQ(receipt.sampling().top_p(), 1);
  EXPECT_EQ(receipt.sampling().temperature(), 0.5);
  EXPECT_EQ(receipt.sampling().mask_schedule().preset(), v1::MaskSchedule::PRESET_UNSPECIFIED);
  ASSERT_EQ(receipt.sampling().mask_schedule().scales_size(), 3);
  EXPECT_THAT(receipt.sampling().mask_schedule().scales(2).tokens(), ElementsAre(9));
  const absl::Time finished = absl::FromUnixSeconds(receipt.finished_at().seconds()) +
                              absl::Nanoseconds(receipt.finished_at().nanos());
  EXPECT_GE(finished, before);
  EXPECT_LE(finished, absl::Now());
  EXPECT_TRUE(receipt.has_queued());
  EXPECT_TRUE(receipt.has_ran());
  ASSERT_EQ(receipt.scales_size(), 3);
  for (int k = 0; k < 3; ++k) {
    EXPECT_EQ(receipt.scales(k).scale(), static_cast<uint32_t>(k));
    EXPECT_EQ(receipt.scales(k).passes(), 1u);
    EXPECT_EQ(receipt.scales(k).max_batch_images(), 2u);
  }
  EXPECT_EQ(receipt.precision(), info_.precision);
  EXPECT_EQ(receipt.edit_image_sha256(), "");
}

// Nothing but its receipt: what it says of the request is all that is sent.
TEST_F(GenerateTest, TheReceiptAloneMakesTheImageAgain) {
  v1::GenerateRequest request = SmallRequest(7, 2);
  request.set_class_name("ship");
  request.mutable_sampling()->set_cfg_scale(1.25);
  request.mutable_sampling()->set_top_k(9);
  request.mutable_sampling()->set_top_p(0.75);
  request.mutable_sampling()->set_temperature(0.5);
  request.mutable_sampling()->mutable_mask_schedule()->set_preset(v1::MaskSchedule::PRESET_NONE);
  request.mutable_prefix()->add_tokens()->add_tokens(42);
  request.mutable_previews()->set_mode(v1::PreviewOptions::MODE_FAST);
  std::vector<v1::OutputOptions> outputs(5);
  outputs[0].set_format(v1::OutputOptions::FORMAT_PNG);
  outputs[0].set_png_compression(9);
  outputs[1].set_format(v1::OutputOptions::FORMAT_RGB8);
  outputs[2].set_format(v1::OutputOptions::FORMAT_JPEG);
  outputs[2].set_quality(40);
  outputs[3].set_format(v1::OutputOptions::FORMAT_WEBP);
  outputs[4].set_format(v1::OutputOptions::FORMAT_WEBP);
  outputs[4].set_lossless(true);
  for (const v1::OutputOptions& output : outputs) {
    *request.mutable_output() = output;
    const StreamResult first = Generate(server_.stub(), request);
    ASSERT_TRUE(first.status.ok()) << first.status.error_message();
    const v1::Receipt receipt = first.image(1)->receipt();
    const StreamResult again = Generate(server_.stub(), receipt.request());
    ASSERT_TRUE(again.status.ok()) << again.status.error_message();
    ASSERT_THAT(again.images(), SizeIs(1));
    EXPECT_THAT(again.previews(), IsEmpty());
    EXPECT_EQ(again.image(0)->picture().SerializeAsString(),
              first.image(1)->picture().SerializeAsString());
    EXPECT_EQ(again.image(0)->receipt().request().SerializeAsString(),
              receipt.request().SerializeAsString());
  }
}

TEST_F(GenerateTest, TheReceiptOfAnImageWithoutAClassHasNone) {
  v1::GenerateRequest request = SmallRequest(7);
  request.clear_target();
  const StreamResult first = Generate(server_.stub(), request);
  ASSERT_NE(first.image(0), nullptr);
  const StreamResult again = Generate(server_.stub(), first.image(0)->receipt().request());
  ASSERT_NE(again.image(0), nullptr);
  EXPECT_EQ(again.image(0)->picture().data(), first.image(0)->picture().data());
}

TEST_F(GenerateTest, PicturesSayTheirFormatAndWhetherItIsLossy) {
  v1::GenerateRequest request = SmallRequest(7);
  request.mutable_previews()->set_mode(v1::PreviewOptions::MODE_FULL);
  for (const auto& [format, lossless, lossy, start] :
       {std::tuple(v1::OutputOptions::FORMAT_PNG, false, false, "\x89PNG"),
        std::tuple(v1::OutputOptions::FORMAT_JPEG, false, true, "\xFF\xD8\xFF"),
        std::tuple(v1::OutputOptions::FORMAT_WEBP, false, true, "RIFF"),
        std::tuple(v1::OutputOptions::FORMAT_WEBP, true, false, "RIFF")}) {
    request.mutable_output()->set_format(format);
    request.mutable_output()->set_lossless(lossless);
    const StreamResult result = Generate(server_.stub(), request);
    ASSERT_NE(result.image(0), nullptr) << result.status.error_message();
    ASSERT_THAT(result.previews(), SizeIs(2));
    for (const v1::Picture& picture :
         {result.image(0)->picture(), result.previews()[0].picture()}) {
      EXPECT_EQ(picture.format(), format);
      EXPECT_EQ(picture.lossy(), lossy);
      EXPECT_EQ(picture.data().substr(0, std::string(start).size()), start);
    }
  }
}

TEST_F(GenerateTest, TheReceiptInThePngIsTheOneInTheMessage) {
  v1::GenerateRequest request = SmallRequest(7);
  request.clear_output();
  request.mutable_output()->set_receipt_in_png(true);
  const StreamResult result = Generate(server_.stub(), request);
  ASSERT_NE(result.image(0), nullptr);
  const std::string& png = result.image(0)->picture().data();
  const size_t keyword = png.find("hmar-receipt");
  ASSERT_NE(keyword, std::string::npos);
  const size_t start = png.find('{', keyword);
  uint32_t length = 0;  // Of the chunk, which starts 4 bytes after it.
  for (size_t i = keyword - 8; i < keyword - 4; ++i) length = length << 8 | uint8_t(png[i]);
  v1::Receipt receipt;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(
                  png.substr(start, keyword + length - start), &receipt)
                  .ok());
  EXPECT_EQ(receipt.SerializeAsString(), result.image(0)->receipt().SerializeAsString());
  EXPECT_EQ(DecodePng(png), ExpectedRgb(info_, 7));
}

TEST_F(GenerateTest, TokensComeWhenAskedForAndContinueAsAPrefix) {
  v1::GenerateRequest request = SmallRequest(7);
  request.mutable_output()->set_return_tokens(true);
  const StreamResult result = Generate(server_.stub(), request);
  ASSERT_NE(result.image(0), nullptr);
  const std::vector<TokenMap> expected = FakeTokens(info_, FakeTask(info_, 7));
  ASSERT_EQ(result.image(0)->tokens_size(), 3);
  for (int k = 0; k < 3; ++k) {
    EXPECT_THAT(result.image(0)->tokens(k).tokens(),
                ::testing::ElementsAreArray(expected[k].begin(), expected[k].end()));
  }
  for (int k = 0; k < 2; ++k) {
    *request.mutable_prefix()->add_tokens() = result.image(0)->tokens(k);
  }
  const StreamResult branch = Generate(server_.stub(), request);
  ASSERT_NE(branch.image(0), nullptr);
  ImageTask task = FakeTask(info_, 7);
  task.prefix = {expected[0], expected[1]};
  const Picture picture = FakePicture(info_, task);
  EXPECT_EQ(branch.image(0)->picture().data(), std::string(picture.rgb.begin(), picture.rgb.end()));
  EXPECT_EQ(branch.image(0)->scales_run(), 1u);
}

TEST_F(GenerateTest, ValidateOnlyPricesAndRunsNothing) {
  const size_t calls = server_.engine().calls().size();
  v1::GenerateRequest request = SmallRequest(7, 3);
  request.set_validate_only(true);
  const StreamResult result = Generate(server_.stub(), request);
  ASSERT_TRUE(result.status.ok()) << result.status.error_message();
  ASSERT_THAT(result.events, SizeIs(2));
  EXPECT_EQ(result.events[0].accepted().seed(), 7u);
  EXPECT_GT(result.events[0].accepted().estimated_gpu_seconds(),
            0);  // The probe has been measured.
  EXPECT_EQ(result.events[1].completed().images(), 0u);
  grpc::ClientContext context;
  v1::GenerateImagesRequest unary;
  *unary.mutable_request() = request;
  v1::GenerateImagesResponse response;
  EXPECT_TRUE(server_.stub().GenerateImages(&context, unary, &response).ok());
  EXPECT_TRUE(response.has_accepted());
  EXPECT_EQ(response.images_size(), 0);
  EXPECT_EQ(server_.engine().calls().size(), calls);
}

TEST_F(GenerateTest, ConcurrentClientsShareSteps) {
  server_.engine().CloseGate();
  std::thread first([&] { Generate(server_.stub(), SmallRequest(100)); });
  ASSERT_TRUE(server_.engine().AwaitStepAtGate());
  const auto channel = server_.NewChannel();
  const auto stub = v1::ImageGenerationService::NewStub(channel);
  grpc::ClientContext context;
  const auto stream = stub->Generate(&context, SmallRequest(200));
  v1::GenerateResponse accepted;
  ASSERT_TRUE(stream->Read(&accepted));
  EXPECT_EQ(accepted.accepted().images_ahead(), 1u);
  server_.engine().OpenGate();
  for (v1::GenerateResponse event; stream->Read(&event);) {
  }
  EXPECT_TRUE(stream->Finish().ok());
  first.join();
  bool shared = false;
  for (const FakeEngine::Call& step : server_.engine().steps()) {
    shared |= step.seeds == std::vector<uint64_t>{100, 200};
  }
  EXPECT_TRUE(shared);
}

TEST_F(GenerateTest, TheAccessLogHasALineForEachCall) {
  v1::GenerateRequest request = SmallRequest(7, 2);
  request.set_request_id("r-1");
  Generate(server_.stub(), request);
  const std::string line = server_.NextAccessLine();
  for (const char* part :
       {"\"method\":\"Generate\"", "\"id\":\"r-1\"", "\"model\":\"fake\"", "\"class\":1",
        "\"images\":2", "\"images_accepted\":2", "\"images_sent\":2", "\"code\":\"OK\"",
        "\"client\":\"ipv4:127.0.0.1:", "\"queued_s\":", "\"ran_s\":", "\"device_s\":"}) {
    EXPECT_THAT(line, HasSubstr(part));
  }
  EXPECT_THAT(line, ::testing::Not(HasSubstr("\n")));
}

TEST_F(GenerateTest, TheLineOfWhatWasOnlyPricedCountsNoImages) {
  v1::GenerateImagesRequest request;
  *request.mutable_request() = SmallRequest(7, 2);
  request.mutable_request()->set_validate_only(true);
  grpc::ClientContext context;
  v1::GenerateImagesResponse response;
  ASSERT_TRUE(server_.stub().GenerateImages(&context, request, &response).ok());
  Generate(server_.stub(), request.request());
  for (const char* method : {"GenerateImages", "Generate"}) {
    const std::string line = server_.NextAccessLine();
    for (const char* part :
         {"\"images\":2", "\"images_accepted\":0", "\"images_sent\":0", "\"code\":\"OK\""}) {
      EXPECT_THAT(line, HasSubstr(part)) << method;
    }
  }
}

TEST(ModelsTest, ModelsAreListedAndFoundByName) {
  TestServerOptions options;
  options.models = {FakeEngineInfo("a"), FakeEngineInfo("b")};
  TestServer server(options);
  grpc::ClientContext context;
  v1::ListModelsResponse list;
  ASSERT_TRUE(server.stub().ListModels(&context, {}, &list).ok());
  ASSERT_EQ(list.models_size(), 2);
  EXPECT_TRUE(list.models(0).is_default());
  EXPECT_FALSE(list.models(1).is_default());
  grpc::ClientContext get_context;
  v1::GetModelRequest get;
  get.set_name("b");
  v1::GetModelResponse got;
  ASSERT_TRUE(server.stub().GetModel(&get_context, get, &got).ok());
  const v1::Model& model = got.model();
  EXPECT_EQ(model.name(), "b");
  EXPECT_EQ(model.architecture(), "hmar");
  EXPECT_EQ(model.digest(), std::string(64, 'f'));
  EXPECT_EQ(model.image_size(), 12u);
  EXPECT_THAT(model.classes(), ElementsAre("cat", "dog", "ship"));
  EXPECT_THAT(model.patch_nums(), ElementsAre(1, 2, 3));
  EXPECT_EQ(model.sampling().mask_schedule().scales_size(), 3);
  EXPECT_THAT(model.devices(), ElementsAre("cpu"));
  EXPECT_EQ(model.precision(), "fp32");
  EXPECT_EQ(model.parameters(), 1000u);
}

TEST(ModelsTest, EachModelAnswersUnderItsName) {
  TestServerOptions options;
  options.models = {FakeEngineInfo("a"), FakeEngineInfo("b")};
  TestServer server(options);
  v1::GenerateRequest request = SmallRequest(7);
  request.set_model("b");
  const StreamResult result = Generate(server.stub(), request);
  ASSERT_NE(result.image(0), nullptr);
  EXPECT_EQ(result.image(0)->picture().data(), ExpectedRgb(options.models[1], 7));
  EXPECT_EQ(result.image(0)->receipt().model(), "b");
}

}  // namespace
}  // namespace hmar
