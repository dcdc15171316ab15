#include "client/answer_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <utility>

#include "tests/client/crafted_png.h"
#include "tests/client/fake_service.h"
#include "tests/server/uploads/picture_maker.h"

namespace hmar {
namespace {

using ::testing::HasSubstr;
using Events = std::vector<v1::GenerateResponse>;

constexpr auto kPng = v1::OutputOptions::FORMAT_PNG;
constexpr auto kRgb8 = v1::OutputOptions::FORMAT_RGB8;

// Two images from seed 7, with previews of all scales but the last.
v1::GenerateRequest Request() {
  v1::GenerateRequest request;
  request.set_num_images(2);
  request.set_seed(7);
  request.mutable_previews()->set_mode(v1::PreviewOptions::MODE_FAST);
  return request;
}

// The answer to it: Accepted; previews of scale 0 and of scale 1, both images'; image 1, image 0;
// Completed.
Events Answer(v1::OutputOptions::Format format = kPng) {
  return StreamOf(2, 7, format, Previews::kAllButTheLast);
}

constexpr size_t kPreview = 1;
constexpr size_t kImage1 = 5;
constexpr size_t kImage0 = 6;
constexpr size_t kCompleted = 7;

// What the whole answer comes to.
absl::Status Check(const v1::GenerateRequest& request, const Events& events,
                   const AnswerLimits& limits = {}) {
  AnswerCheck check(request, limits);
  for (const v1::GenerateResponse& event : events) {
    if (const absl::Status status = check.Event(event); !status.ok()) return status;
  }
  return check.End();
}

TEST(AnswerCheckTest, AnAnswerToTheRequestPasses) {
  EXPECT_TRUE(Check(Request(), Answer()).ok()) << Check(Request(), Answer());
  v1::GenerateRequest rgb = Request();
  rgb.mutable_output()->set_format(kRgb8);
  EXPECT_TRUE(Check(rgb, Answer(kRgb8)).ok()) << Check(rgb, Answer(kRgb8));
}

TEST(AnswerCheckTest, TheServerMayDrawTheSeedAndLeavePreviewsOut) {
  v1::GenerateRequest request = Request();
  request.clear_seed();
  Events events = Answer();
  events.erase(events.begin() + kPreview);
  EXPECT_TRUE(Check(request, events).ok()) << Check(request, events);
}

TEST(AnswerCheckTest, SeedsWrapAround) {
  v1::GenerateRequest request = Request();
  request.set_seed(std::numeric_limits<uint64_t>::max());
  const Events events = StreamOf(2, request.seed(), kPng);
  EXPECT_TRUE(Check(request, events).ok()) << Check(request, events);
}

TEST(AnswerCheckTest, NoImagesMeansOne) {
  EXPECT_TRUE(Check({}, StreamOf(1, 9, kPng)).ok());
  EXPECT_FALSE(Check({}, StreamOf(2, 9, kPng)).ok());
}

TEST(AnswerCheckTest, AValidatedRequestIsPricedAndNothingElse) {
  v1::GenerateRequest request = Request();
  request.set_validate_only(true);
  Events events = Answer();
  EXPECT_THAT(std::string(Check(request, events).message()), HasSubstr("validate_only"));
  events.erase(events.begin() + 1, events.end() - 1);
  events.back().mutable_completed()->set_images(0);
  EXPECT_TRUE(Check(request, events).ok()) << Check(request, events);
}

TEST(AnswerCheckTest, ScalesAskedForMayHoldTheLast) {
  v1::GenerateRequest request = Request();
  request.mutable_previews()->add_scales(2);
  EXPECT_FALSE(Check(request, Answer()).ok());
  Events events = Answer();
  for (size_t i : {size_t{3}, size_t{4}}) events[i].mutable_preview()->set_scale(2);
  events.erase(events.begin() + kPreview, events.begin() + 3);
  EXPECT_TRUE(Check(request, events).ok()) << Check(request, events);
}

struct Attack {
  const char* name;
  std::function<void(Events&)> change;
  const char* error;
};

class AttackTest : public testing::TestWithParam<Attack> {};

TEST_P(AttackTest, IsToldWithTheValueAndTheLimit) {
  Events events = Answer();
  GetParam().change(events);
  const absl::Status status = Check(Request(), events);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().error));
}

void Copy(Events& events, size_t from, size_t to) {
  const v1::GenerateResponse event = events[from];
  events.insert(events.begin() + to, event);
}

v1::Picture& PictureOf(Events& events, size_t i) {
  return *events[i].mutable_image()->mutable_picture();
}

INSTANTIATE_TEST_SUITE_P(
    Order, AttackTest,
    testing::Values(
        Attack{"NothingAtAll", [](Events& e) { e.clear(); }, "without Completed, after 0 of 2"},
        Attack{"NoAccepted", [](Events& e) { e.erase(e.begin()); }, "before Accepted"},
        Attack{"AcceptedTwice", [](Events& e) { Copy(e, 0, 1); }, "Accepted came twice"},
        Attack{"AcceptedAfterImages", [](Events& e) { Copy(e, 0, kCompleted); }, "came twice"},
        Attack{"EndsEarly", [](Events& e) { e.pop_back(); }, "without Completed, after 2 of 2"},
        Attack{"AnImageIsMissing", [](Events& e) { e.erase(e.begin() + kImage0); },
               "Completed after 1 of 2 images"},
        Attack{"CompletedCountsOthers",
               [](Events& e) { e.back().mutable_completed()->set_images(3); },
               "Completed counts 3 images of 2"},
        Attack{"CompletedTwice", [](Events& e) { Copy(e, kCompleted, 8); }, "after Completed"},
        Attack{"ImageAfterTheEnd", [](Events& e) { Copy(e, kImage1, 8); }, "after Completed"},
        Attack{"UnknownEventsWithoutEnd", [](Events& e) { e.insert(e.begin(), 10'001, {}); },
               "more than 10000 events of unknown kinds"}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Names, AttackTest,
    testing::Values(
        Attack{"LongRequestId",
               [](Events& e) { e[0].mutable_accepted()->set_request_id(std::string(129, 'r')); },
               "a request_id of 129 bytes; at most 128"},
        Attack{"LongModel",
               [](Events& e) { e[0].mutable_accepted()->set_model(std::string(257, 'm')); },
               "a model's name of 257 bytes; at most 256"},
        Attack{"AnotherSeed", [](Events& e) { e[0].mutable_accepted()->set_seed(8); },
               "accepts seed 8; the request's is 7"},
        Attack{"AnotherSeedOfAnImage", [](Events& e) { e[kImage1].mutable_image()->set_seed(7); },
               "seed 7; 8 was due (image 1)"}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Counts, AttackTest,
    testing::Values(
        Attack{"ImageTwice", [](Events& e) { Copy(e, kImage1, kImage1); }, "image 1 came before"},
        Attack{"ImageOutOfRange", [](Events& e) { e[kImage1].mutable_image()->set_image_index(2); },
               "image 2 of 2, counted from 0"},
        Attack{"PreviewOutOfRange",
               [](Events& e) { e[kPreview].mutable_preview()->set_image_index(4294967295); },
               "image 4294967295 of 2"},
        Attack{"PreviewTwice", [](Events& e) { Copy(e, kPreview, kPreview); },
               "scale 0 after scale 0 (preview of scale 0 of image 0)"},
        Attack{"PreviewsOutOfOrder", [](Events& e) { std::swap(e[1], e[3]); },
               "scale 0 after scale 1"},
        Attack{"PreviewAfterItsImage", [](Events& e) { Copy(e, 4, kImage0); },
               "image 1 came before"},
        Attack{"PreviewOfTheLastScale", [](Events& e) { e[3].mutable_preview()->set_scale(2); },
               "scale 2, which was not asked for"},
        Attack{"ScaleOutOfRange", [](Events& e) { e[3].mutable_preview()->set_scale(3); },
               "scale 3 of 3, counted from 0"},
        Attack{"NoScales", [](Events& e) { e[kPreview].mutable_preview()->set_num_scales(0); },
               "scale 0 of 0"},
        Attack{"TooManyScales",
               [](Events& e) { e[kPreview].mutable_preview()->set_num_scales(65); },
               "a model of 65 scales; at most 64"},
        Attack{"OtherNumberOfScales", [](Events& e) { e[3].mutable_preview()->set_num_scales(4); },
               "a model of 4 scales; there were 3"}),
    [](const auto& test) { return test.param.name; });

// A picture that says it is larger than it is, or is.
void Grow(v1::Picture& picture, uint32_t width, uint32_t height) {
  picture.set_width(width);
  picture.set_height(height);
  picture.set_data(PngStart(width, height));
}

INSTANTIATE_TEST_SUITE_P(
    Pictures, AttackTest,
    testing::Values(
        Attack{"AnotherFormat",
               [](Events& e) { PictureOf(e, kImage1) = MakePicture(Square(8, 1), kRgb8); },
               "a picture of format 2; asked for was 1"},
        Attack{"NoPicture", [](Events& e) { e[kImage1].mutable_image()->clear_picture(); },
               "a picture of format 0"},
        Attack{"NoPixels", [](Events& e) { Grow(PictureOf(e, kImage1), 8, 0); },
               "8 x 0 pixels; 1 to 4096 a side"},
        Attack{"TooWide", [](Events& e) { Grow(PictureOf(e, kImage1), 16384, 1); },
               "16384 x 1 pixels; 1 to 4096 a side (image 1)"},
        Attack{"TooHigh",
               [](Events& e) { Grow(*e[kPreview].mutable_preview()->mutable_picture(), 1, 16384); },
               "1 x 16384 pixels; 1 to 4096 a side (preview of scale 0 of image 0)"},
        Attack{"LargerThanDeclared",
               [](Events& e) { PictureOf(e, kImage1).set_data(PngStart(16384, 16384)); },
               "a PNG of 16384 x 16384 pixels, declared as 8 x 8 pixels"},
        Attack{"NoPng", [](Events& e) { PictureOf(e, kImage1).set_data("GIF89a"); }, "no PNG"},
        Attack{"NoHeader",
               [](Events& e) { PictureOf(e, kImage1).set_data("\x89PNG\r\n\x1a\n" + PngEnd()); },
               "no PNG"},
        Attack{"MoreBytesThanPixelsTake",
               [](Events& e) { PictureOf(e, kImage1).mutable_data()->append(200'000, '\0'); },
               "bytes for 8 x 8 pixels; at most 131336"},
        Attack{"ImagesOfTwoSizes",
               [](Events& e) { PictureOf(e, kImage0) = MakePicture(Square(16, 1), kPng); },
               "16 x 16 pixels; an image before has 8 x 8 pixels (image 0)"}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Contents, AttackTest,
    testing::Values(
        Attack{"TokensOfTooManyScales",
               [](Events& e) {
                 for (int i = 0; i < 63; ++i) e[kImage1].mutable_image()->add_tokens();
               },
               "tokens of 65 scales"},
        Attack{"TooManyScalesRun",
               [](Events& e) { e[kImage1].mutable_image()->set_scales_run(65); }, "65 run"},
        Attack{"TooManyTokens",
               [](Events& e) {
                 e[kImage1].mutable_image()->mutable_tokens(0)->mutable_tokens()->Resize(65533, 0);
               },
               "65537 tokens; at most 65536"},
        Attack{"TooManyGeneratedTokens",
               [](Events& e) {
                 e[kImage1].mutable_image()->mutable_generated_tokens()->Resize(65537, true);
               },
               "65537 tokens; at most 65536"},
        Attack{"LongReceipt",
               [](Events& e) {
                 e[kImage1].mutable_image()->mutable_receipt()->set_model(std::string(65536, 'm'));
               },
               "a receipt of 65"}),
    [](const auto& test) { return test.param.name; });

TEST(AnswerCheckTest, RawPixelsAreAsManyAsDeclared) {
  v1::GenerateRequest request = Request();
  request.mutable_output()->set_format(kRgb8);
  Events events = Answer(kRgb8);
  PictureOf(events, kImage1).mutable_data()->pop_back();
  EXPECT_THAT(std::string(Check(request, events).message()),
              HasSubstr("191 bytes for 8 x 8 pixels; 192 wanted"));
}

TEST(AnswerCheckTest, JpegsAndWebpsAreKnownByTheirHeaders) {
  v1::GenerateRequest request = Request();
  const auto message = [&](const Events& events) {
    return std::string(Check(request, events).message());
  };
  const auto of_lossless =
      MakeWebp({.width = 8, .height = 8, .lossless = true}, std::vector<uint8_t>(192, 9));
  for (const auto format : {v1::OutputOptions::FORMAT_JPEG, v1::OutputOptions::FORMAT_WEBP}) {
    const char* const name = format == v1::OutputOptions::FORMAT_JPEG ? "JPEG" : "WebP";
    request.mutable_output()->set_format(format);
    EXPECT_TRUE(Check(request, Answer(format)).ok()) << Check(request, Answer(format));
    Events events = Answer(format);
    PictureOf(events, kImage1) = MakePicture(Square(9, 1), format);
    PictureOf(events, kImage1).set_width(8);
    EXPECT_THAT(message(events), HasSubstr(std::string("a ") + name + " of 9 x 9 pixels"));
    PictureOf(events, kImage1).set_data("GIF89a");
    EXPECT_THAT(message(events), HasSubstr(std::string("a picture that is no ") + name));
    events = Answer(format);
    PictureOf(events, kImage1).set_lossy(false);
    EXPECT_THAT(message(events), HasSubstr("says lossy: 0; asked for was 1"));
    events = Answer(format);
    PictureOf(events, kImage1).mutable_data()->append(200'000, '\0');
    EXPECT_THAT(message(events), HasSubstr("bytes for 8 x 8 pixels; at most 131336"));
  }
  Events events = Answer(v1::OutputOptions::FORMAT_WEBP);
  PictureOf(events, kImage1).set_data(of_lossless);
  EXPECT_TRUE(Check(request, events).ok()) << Check(request, events);
  PictureOf(events, kImage1).set_data(MakeAnimatedWebp(8));
  EXPECT_THAT(message(events), HasSubstr("a picture that is no WebP"));
}

TEST(AnswerCheckTest, PreviewsThatNobodyAskedForAreNoAnswer) {
  v1::GenerateRequest request = Request();
  request.clear_previews();
  EXPECT_THAT(std::string(Check(request, Answer()).message()),
              HasSubstr("a preview that the request does not ask for"));
}

TEST(AnswerCheckTest, AnApplicationThatKnowsTheModelsSizeMaySayIt) {
  EXPECT_TRUE(Check(Request(), Answer(), {.picture_side_pixels = 8}).ok());
  EXPECT_THAT(std::string(Check(Request(), Answer(), {.picture_side_pixels = 7}).message()),
              HasSubstr("8 x 8 pixels; 1 to 7 a side"));
}

TEST(AnswerCheckTest, NoiseThatDoesNotCompressPasses) {
  Picture noise{64, 64, {}};
  uint32_t state = 1;
  for (size_t i = 0; i < size_t{3} * 64 * 64; ++i) {
    state = state * 1664525 + 1013904223;
    noise.rgb.push_back(static_cast<uint8_t>(state >> 24));
  }
  Events events = StreamOf(1, 7, kPng);
  PictureOf(events, 1) = MakePicture(noise, kPng);
  EXPECT_GT(PictureOf(events, 1).data().size(), noise.rgb.size());
  EXPECT_TRUE(Check({}, events).ok()) << Check({}, events);
}

}  // namespace
}  // namespace hmar
