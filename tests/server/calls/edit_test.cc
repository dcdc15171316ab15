// Edits over a real channel: what a client gets back of its picture, and what it is told of a bad
// one. The fake model's images are 12 x 12, its grids 1, 2 and 3 tokens a side: cells of 4 pixels.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "model/digest.h"
#include "model/edit.h"
#include "server/uploads/picture_reader.h"
#include "tests/server/grpc_details.h"
#include "tests/server/test_server.h"
#include "tests/server/uploads/picture_maker.h"
#include "tests/server/uploads/png_maker.h"

namespace hmar {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint32_t kSide = 12;

// Pixels of a picture that `shade` makes.
std::string Pixels(int shade) {
  std::string rgb(kSide * kSide * 3, '\0');
  for (size_t i = 0; i < rgb.size(); ++i) rgb[i] = static_cast<char>(i * 7 + shade * 31);
  return rgb;
}

std::string Png(const std::string& rgb) {
  std::vector<uint16_t> samples;
  for (const char c : rgb) samples.push_back(static_cast<uint8_t>(c));
  return MakePng({.width = kSide, .height = kSide}, samples);
}

Picture ToPicture(const std::string& rgb) { return {kSide, kSide, {rgb.begin(), rgb.end()}}; }

// Generates the right half: columns 6 to 11, so cells from column 4 on.
v1::GenerateRequest EditRequest(uint64_t seed, int shade, uint32_t images = 1) {
  v1::GenerateRequest request = SmallRequest(seed, images);
  request.mutable_edit()->set_image(Png(Pixels(shade)));
  v1::EditOptions::Box* box = request.mutable_edit()->mutable_box();
  box->set_x0(6);
  box->set_x1(12);
  box->set_y1(12);
  return request;
}

bool InRegion(size_t byte) { return byte / 3 % kSide >= 6; }

class EditTest : public ::testing::Test {
 protected:
  // The task that the engine must have got for EditRequest's image.
  ImageTask ExpectedTask(uint64_t seed, int shade) const {
    ImageTask task = FakeTask(info_, seed);
    std::vector<uint8_t> region(kSide * kSide);
    for (size_t i = 0; i < region.size(); ++i) region[i] = InRegion(3 * i);
    task.keep = std::make_shared<std::vector<KeepMap>>(
        KeepMaps(KeepCells(region, info_.config), info_.config));
    task.given = std::make_shared<TokenPyramid>(FakeEncoding(info_, ToPicture(Pixels(shade))));
    return task;
  }

  // The model's picture inside the region, the upload's outside.
  std::string ExpectedPixels(uint64_t seed, int shade) const {
    const Picture model = FakePicture(info_, ExpectedTask(seed, shade));
    std::string pixels = Pixels(shade);
    for (size_t i = 0; i < pixels.size(); ++i) {
      if (InRegion(i)) pixels[i] = static_cast<char>(model.rgb[i]);
    }
    return pixels;
  }

  std::string Fault(const v1::GenerateRequest& request) {
    const StreamResult result = Generate(server_.stub(), request);
    EXPECT_EQ(result.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(result.events, IsEmpty());
    return result.status.error_message();
  }

  const EngineInfo info_ = FakeEngineInfo();
  TestServer server_;
};

TEST_F(EditTest, PixelsOutsideTheRegionAreTheUploadsOwn) {
  const StreamResult result = Generate(server_.stub(), EditRequest(5, 1));
  ASSERT_TRUE(result.status.ok()) << result.status.error_message();
  ASSERT_NE(result.image(0), nullptr);
  EXPECT_EQ(result.image(0)->picture().data(), ExpectedPixels(5, 1));
  EXPECT_THAT(result.image(0)->generated_tokens(),
              ElementsAre(false, true, true, false, true, true, false, true, true));
  EXPECT_EQ(result.image(0)->scales_run(), 2u);  // Not the 1 x 1 scale.
}

TEST_F(EditTest, ALosslessWebpKeepsTheUploadsOwnPixelsAndAJpegSaysThatItDoesNot) {
  v1::GenerateRequest request = EditRequest(5, 1);
  request.mutable_output()->set_format(v1::OutputOptions::FORMAT_WEBP);
  request.mutable_output()->set_lossless(true);
  const StreamResult lossless = Generate(server_.stub(), request);
  ASSERT_NE(lossless.image(0), nullptr) << lossless.status.error_message();
  EXPECT_FALSE(lossless.image(0)->picture().lossy());
  const auto picture = ReadPicture(lossless.image(0)->picture().data(), UploadLimits{});
  ASSERT_TRUE(picture.ok()) << picture.status();
  EXPECT_EQ(std::string(picture->rgb.begin(), picture->rgb.end()), ExpectedPixels(5, 1));
  request.mutable_output()->set_lossless(false);
  request.mutable_output()->set_format(v1::OutputOptions::FORMAT_JPEG);
  const StreamResult lossy = Generate(server_.stub(), request);
  ASSERT_NE(lossy.image(0), nullptr) << lossy.status.error_message();
  EXPECT_TRUE(lossy.image(0)->picture().lossy());
}

// Whatever its format, an upload is what its own decoder says, turned upright.
TEST_F(EditTest, UploadsOfEveryFormatAreEdited) {
  const std::string rgb = Pixels(1);
  const std::vector<uint8_t> samples(rgb.begin(), rgb.end());
  for (const std::string& file :
       {MakeJpeg({.width = kSide, .height = kSide, .progressive = true, .orientation = 6}, samples),
        MakeWebp({.width = kSide, .height = kSide, .orientation = 8}, samples),
        MakeWebp({.width = kSide, .height = kSide, .lossless = true}, samples)}) {
    v1::GenerateRequest request = EditRequest(5, 1);
    request.mutable_edit()->set_image(file);
    request.mutable_edit()->set_mask(
        MakeJpeg({.width = kSide, .height = kSide}, std::vector<uint8_t>(samples.size(), 0)));
    const StreamResult result = Generate(server_.stub(), request);
    ASSERT_NE(result.image(0), nullptr) << result.status.error_message();
    const Picture upload = *ReadPicture(file, UploadLimits{});
    EXPECT_EQ(result.image(0)->picture().data(), std::string(upload.rgb.begin(), upload.rgb.end()));
    EXPECT_EQ(result.image(0)->receipt().edit_image_sha256(), Sha256OfText(file));
  }
}

TEST_F(EditTest, WithoutCompositeThePictureIsTheModels) {
  v1::GenerateRequest request = EditRequest(5, 1);
  request.mutable_edit()->set_composite(false);
  const StreamResult result = Generate(server_.stub(), request);
  ASSERT_NE(result.image(0), nullptr);
  const Picture model = FakePicture(info_, ExpectedTask(5, 1));
  EXPECT_EQ(result.image(0)->picture().data(), std::string(model.rgb.begin(), model.rgb.end()));
}

TEST_F(EditTest, AFeatherBlendsInsideTheRegionAlone) {
  v1::GenerateRequest request = EditRequest(5, 1);
  request.mutable_edit()->set_feather(2);
  const StreamResult result = Generate(server_.stub(), request);
  ASSERT_NE(result.image(0), nullptr);
  const std::string& pixels = result.image(0)->picture().data();
  const std::string hard = ExpectedPixels(5, 1), upload = Pixels(1);
  size_t blended = 0;
  for (size_t i = 0; i < pixels.size(); ++i) {
    const bool in_blend = InRegion(i) && i / 3 % kSide < 8;
    EXPECT_TRUE(in_blend || pixels[i] == hard[i]) << i;
    blended += in_blend && pixels[i] != hard[i] && pixels[i] != upload[i];
  }
  EXPECT_GT(blended, 40u);
}

TEST_F(EditTest, PreviewsShowTheEditScaleByScale) {
  v1::GenerateRequest request = EditRequest(5, 1);
  request.mutable_previews()->set_mode(v1::PreviewOptions::MODE_FULL);
  for (uint32_t scale = 0; scale < 3; ++scale) request.mutable_previews()->add_scales(scale);
  const StreamResult result = Generate(server_.stub(), request);
  const std::vector<v1::Preview> previews = result.previews();
  ASSERT_THAT(previews, SizeIs(3));
  ImageTask task = ExpectedTask(5, 1);
  task.preview_mode = PreviewMode::kFull;
  for (uint32_t scale = 0; scale < 3; ++scale) {
    EXPECT_EQ(previews[scale].scale(), scale);
    const std::string& pixels = previews[scale].picture().data();
    const Picture model = FakePreview(info_, task, scale);
    for (size_t i = 0; i < pixels.size(); ++i) {
      const uint8_t expected = InRegion(i) ? model.rgb[i] : static_cast<uint8_t>(Pixels(1)[i]);
      EXPECT_EQ(static_cast<uint8_t>(pixels[i]), expected) << scale << " " << i;
    }
  }
}

TEST_F(EditTest, VariationsShareOneEncoding) {
  const StreamResult result = Generate(server_.stub(), EditRequest(5, 1, 6));
  ASSERT_TRUE(result.status.ok()) << result.status.error_message();
  for (uint32_t i = 0; i < 6; ++i) {
    ASSERT_NE(result.image(i), nullptr);
    EXPECT_EQ(result.image(i)->picture().data(), ExpectedPixels(5 + i, 1));
  }
  Generate(server_.stub(), EditRequest(70, 1));
  size_t pictures = 0;
  for (const FakeEngine::Call& call : server_.engine().calls()) pictures += call.pictures;
  EXPECT_EQ(pictures, 1u);
}

TEST_F(EditTest, NothingOfOneUsersPictureReachesAnother) {
  std::vector<std::thread> users;
  std::vector<std::string> answers(12);
  for (int user = 0; user < 12; ++user) {
    users.emplace_back([&, user] {
      const auto stub = v1::ImageGenerationService::NewStub(server_.NewChannel());
      const StreamResult result = Generate(*stub, EditRequest(5, user));  // The same seed and mask.
      if (result.image(0) != nullptr) answers[user] = result.image(0)->picture().data();
    });
  }
  for (std::thread& user : users) user.join();
  for (int user = 0; user < 12; ++user) EXPECT_EQ(answers[user], ExpectedPixels(5, user)) << user;
}

TEST_F(EditTest, AMaskAndTheBoxOfItsWhitePixelsAreTheSameEdit) {
  v1::GenerateRequest request = EditRequest(5, 1);
  std::vector<uint16_t> grey(kSide * kSide);
  for (size_t i = 0; i < grey.size(); ++i) grey[i] = InRegion(3 * i) ? 128 : 127;
  request.mutable_edit()->set_mask(
      MakePng({.width = kSide, .height = kSide, .color_type = PNG_COLOR_TYPE_GRAY}, grey));
  const StreamResult result = Generate(server_.stub(), request);
  ASSERT_NE(result.image(0), nullptr) << result.status.error_message();
  EXPECT_EQ(result.image(0)->picture().data(), ExpectedPixels(5, 1));
}

TEST_F(EditTest, AMaskWithoutAWhitePixelGivesTheUploadBack) {
  v1::GenerateRequest request = EditRequest(5, 1);
  request.mutable_edit()->set_mask(
      MakePng({.width = kSide, .height = kSide, .color_type = PNG_COLOR_TYPE_GRAY},
              std::vector<uint16_t>(kSide * kSide, 0)));
  request.mutable_output()->set_return_tokens(true);
  const StreamResult result = Generate(server_.stub(), request);
  ASSERT_NE(result.image(0), nullptr) << result.status.error_message();
  EXPECT_EQ(result.image(0)->picture().data(), Pixels(1));
  EXPECT_THAT(result.image(0)->generated_tokens(), Each(false));
  EXPECT_EQ(result.image(0)->scales_run(), 0u);
  const TokenPyramid tokens = FakeEncoding(info_, ToPicture(Pixels(1)));
  for (int k = 0; k < 3; ++k) {
    EXPECT_THAT(result.image(0)->tokens(k).tokens(), ::testing::ElementsAreArray(tokens[k]));
  }
}

// The receipt and the same files: nothing else of the request is sent again.
v1::GenerateRequest RebuiltFrom(const v1::Receipt& receipt, const v1::EditOptions& files) {
  v1::GenerateRequest again = receipt.request();
  EXPECT_EQ(again.edit().image(), "");
  EXPECT_EQ(receipt.edit_image_sha256(), Sha256OfText(files.image()));
  again.mutable_edit()->set_image(files.image());
  if (!again.edit().has_mask()) {
    EXPECT_EQ(receipt.edit_mask_sha256(), "");
    return again;
  }
  EXPECT_EQ(again.edit().mask(), "");
  EXPECT_EQ(receipt.edit_mask_sha256(), Sha256OfText(files.mask()));
  again.mutable_edit()->set_mask(files.mask());
  return again;
}

TEST_F(EditTest, TheReceiptAndTheUploadMakeTheImageAgain) {
  std::vector<uint16_t> grey(kSide * kSide);
  for (size_t i = 0; i < grey.size(); ++i) grey[i] = i % 5 == 0 ? 255 : 0;
  v1::GenerateRequest box = EditRequest(5, 1, 2);
  box.mutable_edit()->set_feather(3);
  v1::GenerateRequest mask = EditRequest(6, 2, 2);
  mask.mutable_edit()->set_composite(false);
  mask.mutable_edit()->set_mask(
      MakePng({.width = kSide, .height = kSide, .color_type = PNG_COLOR_TYPE_GRAY}, grey));
  v1::GenerateRequest keep_box = EditRequest(7, 3, 2);
  const v1::EditOptions::Box kept = keep_box.edit().box();
  *keep_box.mutable_edit()->mutable_keep_box() = kept;
  v1::GenerateRequest bars = EditRequest(8, 4, 2);
  bars.mutable_edit()->set_image(
      MakePng({.width = 24, .height = 10}, std::vector<uint16_t>(24 * 10 * 3, 77)));
  bars.mutable_edit()->clear_region();
  bars.mutable_edit()->set_resize(v1::EditOptions::RESIZE_CONTAIN);
  for (const v1::GenerateRequest& request : {box, mask, keep_box, bars}) {
    const StreamResult first = Generate(server_.stub(), request);
    ASSERT_NE(first.image(1), nullptr) << first.status.error_message();
    const StreamResult again =
        Generate(server_.stub(), RebuiltFrom(first.image(1)->receipt(), request.edit()));
    ASSERT_NE(again.image(0), nullptr) << again.status.error_message();
    EXPECT_EQ(again.image(0)->picture().data(), first.image(1)->picture().data());
    EXPECT_NE(first.image(0)->picture().data(), first.image(1)->picture().data());
  }
}

TEST_F(EditTest, TheAccessLogSaysThatItWasAnEdit) {
  Generate(server_.stub(), EditRequest(5, 1));
  EXPECT_THAT(server_.NextAccessLine(), HasSubstr("\"edit\":true"));
  Generate(server_.stub(), SmallRequest(5));
  EXPECT_THAT(server_.NextAccessLine(), ::testing::Not(HasSubstr("edit")));
}

TEST_F(EditTest, CancelledEditsLeaveNothingBehind) {
  server_.engine().CloseGate();
  for (int i = 0; i < 10; ++i) {
    grpc::ClientContext context;
    const auto stream = server_.stub().Generate(&context, EditRequest(i, i, 4));
    v1::GenerateResponse event;
    ASSERT_TRUE(stream->Read(&event));
    EXPECT_TRUE(event.has_accepted());
    context.TryCancel();
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
    EXPECT_THAT(server_.NextAccessLine(), HasSubstr("CANCELLED"));
  }
  server_.engine().OpenGate();
  EXPECT_EQ(Generate(server_.stub(), EditRequest(99, 1)).image(0)->picture().data(),
            ExpectedPixels(99, 1));
  EXPECT_EQ(server_.engine().images_held(), 0u);
}

TEST_F(EditTest, TheUnaryCallEditsToo) {
  grpc::ClientContext context;
  v1::GenerateImagesRequest request;
  *request.mutable_request() = EditRequest(5, 1, 2);
  v1::GenerateImagesResponse response;
  const grpc::Status status = server_.stub().GenerateImages(&context, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.images_size(), 2);
  EXPECT_EQ(response.images(1).picture().data(), ExpectedPixels(6, 1));
  EXPECT_THAT(response.images(1).generated_tokens(), SizeIs(9));
}

TEST_F(EditTest, ValidateOnlyPricesAnEditWithoutAnImage) {
  v1::GenerateRequest request = EditRequest(5, 1);
  request.set_validate_only(true);
  const StreamResult result = Generate(server_.stub(), request);
  EXPECT_TRUE(result.status.ok()) << result.status.error_message();
  ASSERT_THAT(result.events, SizeIs(2));
  EXPECT_TRUE(result.events[0].has_accepted());
  EXPECT_TRUE(result.events[1].has_completed());
}

TEST_F(EditTest, DamageThatTheHeaderDoesNotShowIsFoundBeforeAccepted) {
  v1::GenerateRequest request = EditRequest(5, 1);
  std::string* png = request.mutable_edit()->mutable_image();
  png->resize(png->size() - 30);
  EXPECT_THAT(Fault(request), HasSubstr("edit.image"));

  grpc::ClientContext context;
  v1::GenerateImagesRequest unary;
  *unary.mutable_request() = request;
  v1::GenerateImagesResponse response;
  const grpc::Status status = server_.stub().GenerateImages(&context, unary, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(FieldsIn(status), ElementsAre("request.edit.image"));
  EXPECT_EQ(ReasonIn(status), "IMAGE_INVALID");
}

TEST_F(EditTest, WhatTheHeaderShowsIsRefusedAtOnce) {
  v1::GenerateRequest request = EditRequest(5, 1);
  request.mutable_edit()->set_image("not a PNG");
  EXPECT_THAT(Fault(request), HasSubstr("edit.image"));
  request = EditRequest(5, 1);
  request.mutable_edit()->mutable_box()->set_x1(13);
  EXPECT_THAT(Fault(request), HasSubstr("edit.box"));
  request = EditRequest(5, 1);
  request.mutable_edit()->set_mask(MakePng({.width = 4, .height = 12}, std::vector<uint16_t>(144)));
  EXPECT_THAT(Fault(request), HasSubstr("edit.mask"));
  request = EditRequest(5, 1);
  request.mutable_edit()->set_image(
      MakePng({.width = 24, .height = 12}, std::vector<uint16_t>(24 * 12 * 3)));
  EXPECT_THAT(Fault(request), HasSubstr("24 x 12"));
}

TEST_F(EditTest, ResizeContainGeneratesTheBars) {
  v1::GenerateRequest request = EditRequest(5, 1);
  request.mutable_edit()->clear_region();
  request.mutable_edit()->set_resize(v1::EditOptions::RESIZE_CONTAIN);
  request.mutable_edit()->set_image(
      MakePng({.width = 24, .height = 12}, std::vector<uint16_t>(24 * 12 * 3, 200)));
  const StreamResult result = Generate(server_.stub(), request);
  ASSERT_NE(result.image(0), nullptr) << result.status.error_message();
  const std::string& pixels = result.image(0)->picture().data();
  for (size_t i = 0; i < pixels.size(); ++i) {
    const size_t row = i / 3 / kSide;
    EXPECT_TRUE(row < 3 || row >= 9 || static_cast<uint8_t>(pixels[i]) == 200) << i;
  }
  EXPECT_THAT(result.image(0)->generated_tokens(),
              ElementsAre(true, true, true, false, false, false, true, true, true));
}

TEST(EditLimitsTest, UploadsBeyondTheBufferAreRefusedUntilOthersEnd) {
  TestServerOptions options;
  options.server.upload_buffer_bytes = 4500;
  TestServer server(options);
  server.engine().CloseGate();
  std::thread first(
      [&server] { EXPECT_TRUE(Generate(server.stub(), EditRequest(1, 1)).status.ok()); });
  ASSERT_TRUE(server.engine().AwaitStepAtGate());
  const StreamResult refused = Generate(server.stub(), EditRequest(2, 2, 1));
  EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ReasonIn(refused.status), "UPLOAD_BACKLOG");
  EXPECT_THAT(refused.status.error_message(), HasSubstr("the limit is 4500"));
  server.engine().OpenGate();
  first.join();
  StreamResult last;  // The first one's upload goes with the last of its call's parts.
  do {
    last = Generate(server.stub(), EditRequest(2, 2));
  } while (!last.status.ok() && ReasonIn(last.status) == "UPLOAD_BACKLOG");
  EXPECT_TRUE(last.status.ok()) << last.status.error_message();
}

}  // namespace
}  // namespace hmar
