#include "server/wire/validation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "server/wire/output_validation.h"
#include "server/wire/status_details.h"
#include "server/wire/violations.h"
#include "tests/fakes/fake_engine.h"
#include "tests/server/grpc_details.h"
#include "tests/server/uploads/png_maker.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::MatchesRegex;
using ::testing::Not;

// 1, 2, 3, ...
class CountingRandom final : public RandomSource {
 public:
  uint64_t Next() override { return ++last_; }

 private:
  uint64_t last_ = 0;
};

// The fake model: 3 scales of 1, 4 and 9 tokens, vocabulary 64, classes cat, dog, ship.
class ValidationTest : public ::testing::Test {
 protected:
  ValidationTest() : catalog_({FakeEngineInfo("first"), FakeEngineInfo("second")}, {"cpu"}) {
    context_.catalog = &catalog_;
    context_.random = &random_;
    context_.limits.max_images = 8;
    context_.limits.max_reply_bytes = 3 * LargestImageBytes(catalog_.models()[0].config);
    context_.limits.default_png_compression = 2;
  }

  absl::StatusOr<ResolvedRequest> Try(const v1::GenerateRequest& request) {
    return Resolve(request, "id", context_);
  }

  ResolvedRequest MustResolve(const v1::GenerateRequest& request) {
    const auto resolved = Try(request);
    EXPECT_TRUE(resolved.ok()) << resolved.status();
    return resolved.ok() ? *resolved : ResolvedRequest{};
  }

  ModelCatalog catalog_;
  CountingRandom random_;
  ValidationContext context_;
};

TEST_F(ValidationTest, AnEmptyRequestTakesTheModelsDefaults) {
  const ResolvedRequest resolved = MustResolve({});
  const ModelConfig& config = catalog_.models()[0].config;
  EXPECT_EQ(resolved.id, "id");
  EXPECT_EQ(resolved.job.model, 0u);
  EXPECT_EQ(resolved.job.images, 1u);
  EXPECT_FALSE(resolved.job.prototype.class_id.has_value());
  EXPECT_EQ(resolved.job.prototype.seed, 1u);  // Drawn.
  EXPECT_EQ(resolved.job.prototype.sampling.cfg_scale, config.sampling.cfg_scale);
  EXPECT_EQ(resolved.job.prototype.sampling.top_k, config.sampling.top_k);
  EXPECT_EQ(resolved.job.prototype.sampling.top_p, config.sampling.top_p);
  EXPECT_EQ(resolved.job.prototype.sampling.temperature, config.sampling.temperature);
  EXPECT_EQ(resolved.job.prototype.sampling.mask_schedule, config.sampling.mask_schedule);
  EXPECT_EQ(resolved.job.prototype.preview_mode, PreviewMode::kNone);
  EXPECT_THAT(resolved.job.prototype.prefix, IsEmpty());
  EXPECT_EQ(resolved.output.format, PictureFormat::kPng);
  EXPECT_EQ(resolved.output.png_compression, 2);
  EXPECT_FALSE(resolved.output.return_tokens);
  EXPECT_FALSE(resolved.output.receipt_in_png);
  EXPECT_EQ(resolved.job.priority, 0);
  EXPECT_FALSE(resolved.validate_only);
}

TEST_F(ValidationTest, EveryFieldArrives) {
  v1::GenerateRequest request;
  request.set_model("second");
  request.set_class_name("ship");
  request.set_seed(0);
  request.set_num_images(8);
  request.mutable_sampling()->set_cfg_scale(0);
  request.mutable_sampling()->set_top_k(5);
  request.mutable_sampling()->set_top_p(0.5);
  request.mutable_sampling()->set_temperature(2);
  for (uint32_t tokens : {1, 4, 9}) {
    request.mutable_sampling()->mutable_mask_schedule()->add_scales()->add_tokens(tokens);
  }
  request.mutable_previews()->set_mode(v1::PreviewOptions::MODE_FULL);
  request.mutable_previews()->add_scales(2);
  request.mutable_output()->set_png_compression(9);
  request.mutable_output()->set_return_tokens(true);
  request.mutable_output()->set_receipt_in_png(true);
  request.mutable_output()->set_embed_receipt(true);
  request.mutable_prefix()->add_tokens()->add_tokens(63);
  request.mutable_scheduling()->set_on_deadline(v1::Scheduling::ON_DEADLINE_FAIL);
  request.set_validate_only(true);
  const ResolvedRequest resolved = MustResolve(request);
  EXPECT_EQ(resolved.job.model, 1u);
  EXPECT_EQ(resolved.job.prototype.class_id, 2u);
  EXPECT_EQ(resolved.job.prototype.seed, 0u);  // Given, though zero.
  EXPECT_EQ(resolved.job.images, 8u);
  EXPECT_EQ(resolved.job.prototype.sampling.cfg_scale, 0);
  EXPECT_EQ(resolved.job.prototype.sampling.top_k, 5u);
  EXPECT_EQ(resolved.job.prototype.sampling.top_p, 0.5);
  EXPECT_EQ(resolved.job.prototype.sampling.temperature, 2);
  EXPECT_EQ(resolved.job.prototype.sampling.mask_schedule, (MaskSchedule{{1}, {4}, {9}}));
  EXPECT_EQ(resolved.job.prototype.preview_mode, PreviewMode::kFull);
  EXPECT_THAT(resolved.job.prototype.preview_scales, ElementsAre(false, false, true));
  EXPECT_EQ(resolved.output.png_compression, 9);
  EXPECT_TRUE(resolved.output.return_tokens);
  EXPECT_TRUE(resolved.output.receipt_in_png);
  EXPECT_TRUE(resolved.output.embed_receipt);
  EXPECT_THAT(resolved.job.prototype.prefix, ElementsAre(TokenMap{63}));
  EXPECT_TRUE(resolved.validate_only);
}

TEST_F(ValidationTest, PreviewsWithoutScalesAreOfEveryScaleButTheLast) {
  v1::GenerateRequest request;
  request.mutable_previews()->set_mode(v1::PreviewOptions::MODE_FAST);
  const ResolvedRequest resolved = MustResolve(request);
  EXPECT_EQ(resolved.job.prototype.preview_mode, PreviewMode::kFast);
  EXPECT_THAT(resolved.job.prototype.preview_scales, ElementsAre(true, true, false));
}

TEST_F(ValidationTest, PresetsBecomeTheirSchedules) {
  v1::GenerateRequest request;
  request.mutable_sampling()->mutable_mask_schedule()->set_preset(v1::MaskSchedule::PRESET_NONE);
  EXPECT_EQ(MustResolve(request).job.prototype.sampling.mask_schedule,
            (MaskSchedule{{1}, {4}, {9}}));
}

TEST_F(ValidationTest, AnUnknownModelIsNotFoundAndNothingElseIsChecked) {
  v1::GenerateRequest request;
  request.set_model("third");
  request.set_num_images(1000);
  const absl::Status status = Try(request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("first, second"));
}

// One broken rule each: what is sent, and the one violation it must give.
struct BadField {
  const char* name;
  std::function<void(v1::GenerateRequest&)> set;
  const char* field;
  Reason reason;
  const char* description;  // Part of it.
};

void PrintTo(const BadField& bad, std::ostream* out) { *out << bad.name; }

class BadFieldTest : public ValidationTest, public ::testing::WithParamInterface<BadField> {};

TEST_P(BadFieldTest, IsTheOneViolationOfItsRequest) {
  v1::GenerateRequest request;
  GetParam().set(request);
  const absl::StatusOr<ResolvedRequest> resolved = Try(request);
  ASSERT_EQ(resolved.status().code(), absl::StatusCode::kInvalidArgument);
  const auto bad = DetailOf<google::rpc::BadRequest>(ToGrpcStatus(resolved.status(), "id"));
  ASSERT_TRUE(bad.has_value());
  ASSERT_EQ(bad->field_violations_size(), 1) << bad->DebugString();
  EXPECT_EQ(bad->field_violations(0).field(), GetParam().field);
  EXPECT_EQ(bad->field_violations(0).reason(), RowOf(GetParam().reason).name);
  EXPECT_THAT(bad->field_violations(0).description(), HasSubstr(GetParam().description));
}

using Request = v1::GenerateRequest;
constexpr uint32_t kMillions = 2'000'000;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::string GreyPng(uint32_t width, uint32_t height) {
  return MakePng({.width = width, .height = height, .color_type = PNG_COLOR_TYPE_GRAY},
                 std::vector<uint16_t>(width * height, 200));
}

// The request as an edit of one pixel.
v1::EditOptions* ValidEdit(Request& request) {
  v1::EditOptions* edit = request.mutable_edit();
  edit->set_image(GreyPng(12, 12));
  edit->mutable_box()->set_x1(1);
  edit->mutable_box()->set_y1(1);
  return edit;
}

std::vector<BadField> BadFields() {
  return {
      {"ClassIdTooLarge", [](Request& r) { r.set_class_id(3); }, "class_id", Reason::kUnknownClass,
       "3 classes"},
      {"ClassNameUnknown", [](Request& r) { r.set_class_name("shp"); }, "class_name",
       Reason::kUnknownClass, "\"shp\"; the nearest are \"ship\""},
      {"ClassNameEmpty", [](Request& r) { r.set_class_name(""); }, "class_name",
       Reason::kUnknownClass, "\"\""},
      {"ClassNameHuge", [](Request& r) { r.set_class_name(std::string(1 << 20, 'x')); },
       "class_name", Reason::kUnknownClass, "(1048576 bytes)"},
      {"TooManyImages", [](Request& r) { r.set_num_images(100'000); }, "num_images",
       Reason::kFieldOutOfRange, "100000; at most 8"},
      {"CfgNegative", [](Request& r) { r.mutable_sampling()->set_cfg_scale(-1); },
       "sampling.cfg_scale", Reason::kSamplingInvalid, "-1"},
      {"CfgNan", [](Request& r) { r.mutable_sampling()->set_cfg_scale(kNan); },
       "sampling.cfg_scale", Reason::kSamplingInvalid, "nan"},
      {"CfgInfinite", [](Request& r) { r.mutable_sampling()->set_cfg_scale(kInfinity); },
       "sampling.cfg_scale", Reason::kSamplingInvalid, "inf"},
      {"TopPZero", [](Request& r) { r.mutable_sampling()->set_top_p(0); }, "sampling.top_p",
       Reason::kSamplingInvalid, "0"},
      {"TopPAboveOne", [](Request& r) { r.mutable_sampling()->set_top_p(1.5); }, "sampling.top_p",
       Reason::kSamplingInvalid, "1.5"},
      {"TopPNan", [](Request& r) { r.mutable_sampling()->set_top_p(kNan); }, "sampling.top_p",
       Reason::kSamplingInvalid, "nan"},
      {"TemperatureZero", [](Request& r) { r.mutable_sampling()->set_temperature(0); },
       "sampling.temperature", Reason::kSamplingInvalid, "0"},
      {"TemperatureNan", [](Request& r) { r.mutable_sampling()->set_temperature(kNan); },
       "sampling.temperature", Reason::kSamplingInvalid, "nan"},
      {"PresetUnknown",
       [](Request& r) {
         r.mutable_sampling()->mutable_mask_schedule()->set_preset(
             static_cast<v1::MaskSchedule::Preset>(77));
       },
       "sampling.mask_schedule.preset", Reason::kUnknownEnumValue, "77"},
      {"PresetAndScales",
       [](Request& r) {
         auto* schedule = r.mutable_sampling()->mutable_mask_schedule();
         schedule->set_preset(v1::MaskSchedule::PRESET_QUALITY);
         for (uint32_t tokens : {1, 4, 9}) schedule->add_scales()->add_tokens(tokens);
       },
       "sampling.mask_schedule", Reason::kFieldConflict, "both"},
      {"ScheduleThatDoesNotSum",
       [](Request& r) {
         auto* schedule = r.mutable_sampling()->mutable_mask_schedule();
         for (uint32_t tokens : {1, 4, 8}) schedule->add_scales()->add_tokens(tokens);
       },
       "sampling.mask_schedule.scales[2].tokens", Reason::kSamplingInvalid, "9"},
      {"PreviewModeUnknown",
       [](Request& r) {
         r.mutable_previews()->set_mode(static_cast<v1::PreviewOptions::Mode>(-1));
       },
       "previews.mode", Reason::kUnknownEnumValue, "-1"},
      {"PreviewScalesWithoutMode", [](Request& r) { r.mutable_previews()->add_scales(0); },
       "previews.scales", Reason::kFieldConflict, "mode"},
      {"PreviewScaleTooLarge",
       [](Request& r) {
         r.mutable_previews()->set_mode(v1::PreviewOptions::MODE_FAST);
         r.mutable_previews()->add_scales(1);
         r.mutable_previews()->add_scales(3);
       },
       "previews.scales[1]", Reason::kFieldOutOfRange, "3 scales"},
      {"PreviewScaleTwice",
       [](Request& r) {
         r.mutable_previews()->set_mode(v1::PreviewOptions::MODE_FAST);
         r.mutable_previews()->add_scales(1);
         r.mutable_previews()->add_scales(1);
       },
       "previews.scales[1]", Reason::kFieldConflict, "twice"},
      {"FormatUnknown",
       [](Request& r) {
         r.mutable_output()->set_format(static_cast<v1::OutputOptions::Format>(9));
       },
       "output.format", Reason::kUnknownEnumValue, "9"},
      {"CompressionTooHigh", [](Request& r) { r.mutable_output()->set_png_compression(10); },
       "output.png_compression", Reason::kFieldOutOfRange, "0 to 9"},
      {"ReceiptInRgb8",
       [](Request& r) {
         r.mutable_output()->set_format(v1::OutputOptions::FORMAT_RGB8);
         r.mutable_output()->set_receipt_in_png(true);
       },
       "output.receipt_in_png", Reason::kFieldConflict, "FORMAT_RGB8"},
      {"EmbeddedReceiptInRgb8",
       [](Request& r) {
         r.mutable_output()->set_format(v1::OutputOptions::FORMAT_RGB8);
         r.mutable_output()->set_embed_receipt(true);
       },
       "output.embed_receipt", Reason::kFieldConflict, "FORMAT_RGB8"},
      {"ReceiptInPngOfAJpeg",
       [](Request& r) {
         r.mutable_output()->set_format(v1::OutputOptions::FORMAT_JPEG);
         r.mutable_output()->set_receipt_in_png(true);
       },
       "output.receipt_in_png", Reason::kFieldConflict, "for FORMAT_JPEG there is embed_receipt"},
      {"QualityOfZero",
       [](Request& r) {
         r.mutable_output()->set_format(v1::OutputOptions::FORMAT_JPEG);
         r.mutable_output()->set_quality(0);
       },
       "output.quality", Reason::kFieldOutOfRange, "0; 1 to 100"},
      {"QualityTooHigh",
       [](Request& r) {
         r.mutable_output()->set_format(v1::OutputOptions::FORMAT_WEBP);
         r.mutable_output()->set_quality(4294967295u);
       },
       "output.quality", Reason::kFieldOutOfRange, "4294967295; 1 to 100"},
      {"QualityOfAPng", [](Request& r) { r.mutable_output()->set_quality(80); }, "output.quality",
       Reason::kFieldConflict, "FORMAT_PNG keeps every pixel"},
      {"QualityOfALosslessWebp",
       [](Request& r) {
         r.mutable_output()->set_format(v1::OutputOptions::FORMAT_WEBP);
         r.mutable_output()->set_lossless(true);
         r.mutable_output()->set_quality(80);
       },
       "output.quality", Reason::kFieldConflict, "FORMAT_WEBP with lossless keeps every pixel"},
      {"LosslessJpeg",
       [](Request& r) {
         r.mutable_output()->set_format(v1::OutputOptions::FORMAT_JPEG);
         r.mutable_output()->set_lossless(true);
       },
       "output.lossless", Reason::kFieldConflict, "the format is FORMAT_JPEG"},
      {"EditWithoutImage", [](Request& r) { ValidEdit(r)->clear_image(); }, "edit.image",
       Reason::kFieldMissing, "missing"},
      {"EditOfNoPng", [](Request& r) { ValidEdit(r)->set_image("GIF89a"); }, "edit.image",
       Reason::kImageInvalid, "not a PNG, JPEG or WebP"},
      {"EditOfAnotherSize", [](Request& r) { ValidEdit(r)->set_image(GreyPng(24, 12)); },
       "edit.image", Reason::kImageSizeMismatch, "24 x 12"},
      {"EditWithoutRegion", [](Request& r) { ValidEdit(r)->clear_region(); }, "edit.region",
       Reason::kFieldMissing, "box, mask or keep_box"},
      {"EmptyBox", [](Request& r) { ValidEdit(r)->mutable_box()->set_x0(1); }, "edit.box",
       Reason::kFieldOutOfRange, "empty"},
      {"KeepBoxOutsideTheImage",
       [](Request& r) {
         v1::EditOptions::Box box;
         box.set_x1(13);
         box.set_y1(1);
         *ValidEdit(r)->mutable_keep_box() = box;
       },
       "edit.keep_box", Reason::kFieldOutOfRange, "12"},
      {"MaskOfAnotherSize", [](Request& r) { ValidEdit(r)->set_mask(GreyPng(12, 11)); },
       "edit.mask", Reason::kImageSizeMismatch, "12 x 11"},
      {"EditOfUnknownResize",
       [](Request& r) { ValidEdit(r)->set_resize(static_cast<v1::EditOptions::Resize>(7)); },
       "edit.resize", Reason::kUnknownEnumValue, "7"},
      {"FeatherWiderThanTheImage", [](Request& r) { ValidEdit(r)->set_feather(13); },
       "edit.feather", Reason::kFieldOutOfRange, "13 pixels; at most 12"},
      {"PrefixOfTooManyScales",
       [](Request& r) {
         for (int i = 0; i < 4; ++i) r.mutable_prefix()->add_tokens();
       },
       "prefix.tokens", Reason::kPrefixInvalid, "4 scales"},
      {"MorePreviewScalesThanTheModelHas",
       [](Request& r) {
         r.mutable_previews()->set_mode(v1::PreviewOptions::MODE_FAST);
         for (uint32_t i = 0; i < kMillions; ++i) r.mutable_previews()->add_scales(127);
       },
       "previews.scales", Reason::kFieldOutOfRange, "2000000 entries"},
      {"MoreSchedulesThanTheModelHas",
       [](Request& r) {
         auto* schedule = r.mutable_sampling()->mutable_mask_schedule();
         for (uint32_t i = 0; i < kMillions / 10; ++i) schedule->add_scales();
       },
       "sampling.mask_schedule.scales", Reason::kSamplingInvalid, "has 200000 entries"},
      {"MorePassesThanTokens",
       [](Request& r) {
         auto* schedule = r.mutable_sampling()->mutable_mask_schedule();
         for (uint32_t tokens : {1, 4, 9}) schedule->add_scales()->add_tokens(tokens);
         for (uint32_t i = 0; i < kMillions; ++i) schedule->mutable_scales(2)->add_tokens(0);
       },
       "sampling.mask_schedule.scales[2].tokens", Reason::kSamplingInvalid,
       "has 2000001 passes; scale 2 has 9 tokens"},
      {"PrefixOfMillions",
       [](Request& r) {
         auto* tokens = r.mutable_prefix()->add_tokens();
         for (uint32_t i = 0; i < kMillions; ++i) tokens->add_tokens(1000);
       },
       "prefix.tokens[0].tokens", Reason::kPrefixInvalid, "2000000 tokens; scale 0 has 1"},
      {"PrefixOfWrongSize",
       [](Request& r) {
         r.mutable_prefix()->add_tokens()->add_tokens(0);
         r.mutable_prefix()->add_tokens()->add_tokens(0);
       },
       "prefix.tokens[1].tokens", Reason::kPrefixInvalid, "1 tokens; scale 1 has 4"},
      {"PrefixTokenOutsideTheCodebook",
       [](Request& r) { r.mutable_prefix()->add_tokens()->add_tokens(64); },
       "prefix.tokens[0].tokens[0]", Reason::kPrefixInvalid, "64 entries"},
      {"PrefixTokenThatWouldBeNegative",
       [](Request& r) { r.mutable_prefix()->add_tokens()->add_tokens(0xffffffff); },
       "prefix.tokens[0].tokens[0]", Reason::kPrefixInvalid, "4294967295"},
      {"PriorityAboveTen", [](Request& r) { r.mutable_scheduling()->set_priority(11); },
       "scheduling.priority", Reason::kFieldOutOfRange, "11; -10 to 10"},
      {"PriorityBelowMinusTen", [](Request& r) { r.mutable_scheduling()->set_priority(-11); },
       "scheduling.priority", Reason::kFieldOutOfRange, "-11; -10 to 10"},
      {"OnDeadlineUnknown",
       [](Request& r) {
         r.mutable_scheduling()->set_on_deadline(static_cast<v1::Scheduling::OnDeadline>(3));
       },
       "scheduling.on_deadline", Reason::kUnknownEnumValue, "3"},
      {"MaxScalesBeyondTheModel", [](Request& r) { r.mutable_sampling()->set_max_scales(4); },
       "sampling.max_scales", Reason::kSamplingInvalid, "is 4; must be 0 (all) to 3"},
      {"MaxScalesOfFewerThanThePrefix",
       [](Request& r) {
         r.mutable_sampling()->set_max_scales(1);
         r.mutable_prefix()->add_tokens()->add_tokens(0);
         v1::ScaleTokens* second = r.mutable_prefix()->add_tokens();
         for (int i = 0; i < 4; ++i) second->add_tokens(0);
       },
       "sampling.max_scales", Reason::kFieldConflict, "1; the prefix has 2 scales already"},
      {"PreviewOfAScaleAfterTheLast",
       [](Request& r) {
         r.mutable_sampling()->set_max_scales(2);
         r.mutable_previews()->set_mode(v1::PreviewOptions::MODE_FAST);
         r.mutable_previews()->add_scales(2);
       },
       "previews.scales[0]", Reason::kFieldOutOfRange, "2; the image has 2 scales, from 0"},
      {"RequestIdTooLong", [](Request& r) { r.set_request_id(std::string(129, 'x')); },
       "request_id", Reason::kRequestIdInvalid, "129 bytes; at most 128"},
      {"RequestIdWithControlCharacter", [](Request& r) { r.set_request_id("a\nb"); }, "request_id",
       Reason::kRequestIdInvalid, "\"a\\nb\""},
      {"RequestIdThatTurnsTextAround", [](Request& r) { r.set_request_id("a\u202Eb"); },
       "request_id", Reason::kRequestIdInvalid, "not printable"},
      {"RequestIdOfTwoLines", [](Request& r) { r.set_request_id("a\u2028b"); }, "request_id",
       Reason::kRequestIdInvalid, "not printable"},
      {"RequestIdOfNoWidth", [](Request& r) { r.set_request_id("a\u200Bb"); }, "request_id",
       Reason::kRequestIdInvalid, "not printable"},
      {"RequestIdNotUtf8", [](Request& r) { r.set_request_id("\xff"); }, "request_id",
       Reason::kRequestIdInvalid, "\\xff"},
  };
}

INSTANTIATE_TEST_SUITE_P(Each, BadFieldTest, ::testing::ValuesIn(BadFields()),
                         [](const auto& info) { return info.param.name; });

// A field added to the API must be resolved, and its bad values listed above.
TEST_F(ValidationTest, EveryFieldOfARequestHasABadValueAbove) {
  // These have none: any seed, any flag; any model name is NOT_FOUND.
  std::set<std::string> covered = {"model", "seed", "validate_only"};
  for (const BadField& bad : BadFields()) {
    const std::string field = bad.field;
    covered.insert(field.substr(0, field.find_first_of(".[")));
  }
  const auto* descriptor = v1::GenerateRequest::descriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    EXPECT_EQ(covered.count(descriptor->field(i)->name()), 1u) << descriptor->field(i)->name();
  }
}

TEST_F(ValidationTest, AllBrokenRulesAreReportedAtOnce) {
  v1::GenerateRequest request;
  request.set_class_id(99);
  request.set_num_images(99);
  request.mutable_sampling()->set_top_p(kNan);
  request.mutable_edit()->set_feather(99);
  request.set_request_id(std::string(500, 'x'));
  EXPECT_THAT(FieldsIn(ToGrpcStatus(Try(request).status(), "id")),
              IsSupersetOf({"class_id", "num_images", "sampling.top_p", "edit.feather",
                            "edit.image", "request_id"}));
}

TEST(ViolationsTest, BeyondAHundredOnlyTheirNumberIsKept) {
  Violations violations("request.");
  EXPECT_TRUE(violations.ToStatus().ok());
  violations.Add(Reason::kFieldOutOfRange, "num_images", "9; at most 8");
  const size_t with_one = violations.ToStatus().ToString().size();
  for (uint32_t i = 1; i < kMillions; ++i) violations.Add(Reason::kPrefixInvalid, "prefix", "no");
  const absl::Status status = violations.ToStatus();
  EXPECT_EQ(status.message(),
            "2000000 fields are invalid; the first is request.num_images: 9; at most 8");
  EXPECT_EQ(ReasonName(status), "FIELD_OUT_OF_RANGE");
  EXPECT_LE(FieldsIn(ToGrpcStatus(status, "id")).size(), Violations::kMaxKept);
  EXPECT_LT(status.ToString().size(), with_one + 200 * Violations::kMaxKept);
}

TEST_F(ValidationTest, LimitsThemselvesAreAllowed) {
  v1::GenerateRequest request;
  request.set_class_id(2);
  request.set_num_images(8);
  request.mutable_scheduling()->set_priority(0);
  request.mutable_output()->set_png_compression(0);
  request.set_request_id(std::string(128, 'x'));
  EXPECT_EQ(MustResolve(request).output.png_compression, 0);
}

TEST_F(ValidationTest, EveryFormatArrivesWithWhatItTakes) {
  v1::GenerateRequest request;
  v1::OutputOptions* output = request.mutable_output();
  output->set_format(v1::OutputOptions::FORMAT_JPEG);
  output->set_embed_receipt(true);
  OutputChoice choice = MustResolve(request).output;
  EXPECT_EQ(choice.format, PictureFormat::kJpeg);
  EXPECT_EQ(choice.quality, kDefaultQuality);
  EXPECT_TRUE(choice.lossy());
  EXPECT_TRUE(choice.embeds_receipt());
  for (const uint32_t quality : {1u, 100u}) {
    output->set_quality(quality);
    EXPECT_EQ(MustResolve(request).output.quality, static_cast<int>(quality));
  }
  output->set_format(v1::OutputOptions::FORMAT_WEBP);
  choice = MustResolve(request).output;
  EXPECT_EQ(choice.format, PictureFormat::kWebp);
  EXPECT_EQ(choice.quality, 100);
  EXPECT_TRUE(choice.lossy());
  output->clear_quality();
  output->set_lossless(true);
  choice = MustResolve(request).output;
  EXPECT_EQ(choice.quality, 0);
  EXPECT_FALSE(choice.lossy());
  output->Clear();
  EXPECT_FALSE(MustResolve(request).output.lossy());
  output->set_receipt_in_png(true);
  output->set_embed_receipt(true);
  EXPECT_TRUE(MustResolve(request).output.embeds_receipt());
}

v1::GenerateImagesRequest Unary(uint32_t images = 1) {
  v1::GenerateImagesRequest request;
  request.mutable_request()->set_num_images(images);
  return request;
}

TEST_F(ValidationTest, AUnaryRequestMustHoldARequest) {
  const auto status = Resolve(v1::GenerateImagesRequest(), "id", context_).status();
  EXPECT_THAT(FieldsIn(ToGrpcStatus(status, "id")), ElementsAre("request"));
}

TEST_F(ValidationTest, FieldPathsOfAUnaryRequestStartInItsRequest) {
  v1::GenerateImagesRequest request = Unary();
  request.mutable_request()->set_class_id(3);
  request.mutable_request()->mutable_previews()->set_mode(v1::PreviewOptions::MODE_FAST);
  const auto status = Resolve(request, "id", context_).status();
  EXPECT_THAT(FieldsIn(ToGrpcStatus(status, "id")),
              ElementsAre("request.class_id", "request.previews.mode"));
}

TEST_F(ValidationTest, AUnaryReplyMustHoldAllItsImages) {
  EXPECT_TRUE(Resolve(Unary(3), "id", context_).ok());
  const auto status = Resolve(Unary(8), "id", context_).status();
  EXPECT_EQ(ReasonName(status), "REPLY_TOO_LARGE");
  EXPECT_THAT(std::string(status.message()), HasSubstr("8; 5 fit"));
  v1::GenerateImagesRequest with_receipts = Unary(5);
  with_receipts.mutable_request()->mutable_output()->set_receipt_in_png(true);
  EXPECT_FALSE(Resolve(with_receipts, "id", context_).ok());
}

TEST_F(ValidationTest, AValidRequestIdIsKept) {
  v1::GenerateRequest request;
  request.set_request_id("job \xc3\xa9 42");
  EXPECT_EQ(RequestIdOf(request, &random_), "job \xc3\xa9 42");
}

TEST_F(ValidationTest, OtherRequestsGetAUuid) {
  constexpr char kUuid4[] = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}";
  DeviceSeededRandom random;
  v1::GenerateRequest request;
  const std::string id = RequestIdOf(request, &random);
  EXPECT_THAT(id, MatchesRegex(kUuid4));
  EXPECT_NE(id, RequestIdOf(request, &random));
  request.set_request_id(std::string(129, 'x'));
  EXPECT_THAT(RequestIdOf(request, &random), MatchesRegex(kUuid4));
}

}  // namespace
}  // namespace hmar
