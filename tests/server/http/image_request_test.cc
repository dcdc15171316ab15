#include "server/http/image_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "server/base/error_reasons.h"
#include "server/base/errors.h"
#include "server/http/http_error.h"
#include "tests/fakes/fake_engine.h"

namespace hmar {
namespace {

using testing::ElementsAre;

const ModelCatalog& Catalog() {
  static const auto* const catalog = new ModelCatalog({FakeEngineInfo()}, {"cpu"});
  return *catalog;
}

ImageRequest Read(const nlohmann::json& fields, bool edit = false) {
  FormFields form;
  form.values = fields;
  ImageRequest request;
  EXPECT_EQ(ReadImageRequest(form, edit, Catalog(), &request), absl::OkStatus()) << fields;
  return request;
}

// The fields of the violations, as an HTTP client is told.
std::set<std::string> WrongIn(const FormFields& form, bool edit = false) {
  ImageRequest request;
  const absl::Status status = ReadImageRequest(form, edit, Catalog(), &request);
  std::set<std::string> fields;
  if (status.ok()) return fields;
  const auto error = nlohmann::json::parse(ErrorOfStatus(status, "").error_json);
  for (const auto& violation : error["violations"]) fields.insert(violation["field"]);
  return fields;
}

std::set<std::string> Wrong(const nlohmann::json& fields, bool edit = false) {
  FormFields form;
  form.values = fields;
  return WrongIn(form, edit);
}

TEST(ImageRequestTest, APromptIsAClass) {
  EXPECT_EQ(Read({{"prompt", "ship"}}).message.class_name(), "ship");
  EXPECT_EQ(Read({{"prompt", "8"}}).message.class_name(), "8") << "a class may be called so";
  EXPECT_EQ(Read({{"prompt", "a sentence"}, {"class", 3}}).message.class_id(), 3u);
  EXPECT_EQ(Read({{"class", "cat"}}).message.class_name(), "cat");
  EXPECT_EQ(Read({{"class", "cat"}}).class_field, "class");
  EXPECT_EQ(Read({{"prompt", ""}}, /*edit=*/true).message.target_case(),
            v1::GenerateRequest::TARGET_NOT_SET);
  EXPECT_EQ(Wrong(nlohmann::json::object()), std::set<std::string>{"prompt"});
  EXPECT_EQ(Wrong({{"prompt", 3}}), std::set<std::string>{"prompt"});
}

TEST(ImageRequestTest, OpenAiQualitiesAreSchedules) {
  const auto preset = [](const char* quality) {
    return Read({{"prompt", "1"}, {"quality", quality}})
        .message.sampling()
        .mask_schedule()
        .preset();
  };
  for (const char* own : {"auto", "medium", "standard"}) {
    EXPECT_EQ(preset(own), v1::MaskSchedule::PRESET_UNSPECIFIED) << own;
  }
  EXPECT_EQ(preset("low"), v1::MaskSchedule::PRESET_NONE);
  for (const char* high : {"high", "xhigh", "max", "hd"}) {
    EXPECT_EQ(preset(high), v1::MaskSchedule::PRESET_QUALITY) << high;
  }
  const auto both = Read({{"prompt", "1"}, {"quality", "low"}, {"mask_schedule", {{1}, {1, 3}}}});
  EXPECT_EQ(both.message.sampling().mask_schedule().preset(), v1::MaskSchedule::PRESET_UNSPECIFIED);
  EXPECT_THAT(both.message.sampling().mask_schedule().scales(1).tokens(), ElementsAre(1, 3));
}

TEST(ImageRequestTest, SeedsHave64Bits) {
  EXPECT_EQ(Read({{"prompt", "1"}, {"seed", "18446744073709551615"}}).message.seed(), UINT64_MAX);
  EXPECT_EQ(Read({{"prompt", "1"}, {"seed", UINT64_MAX}}).message.seed(), UINT64_MAX);
  for (const nlohmann::json& seed :
       {nlohmann::json(-1), nlohmann::json("18446744073709551616"), nlohmann::json("+1"),
        nlohmann::json(1.5), nlohmann::json("")}) {
    EXPECT_EQ(Wrong({{"prompt", "1"}, {"seed", seed}}), std::set<std::string>{"seed"}) << seed;
  }
}

TEST(ImageRequestTest, PartialImagesSpreadOverTheScales) {
  const int scales = FakeEngineInfo().config.num_scales();
  for (int partial = 0; partial <= 3; ++partial) {
    const auto request =
        Read({{"prompt", "1"}, {"stream", true}, {"partial_images", partial}}).message;
    const auto& given = request.previews().scales();
    EXPECT_EQ(given.size(), std::min(partial, scales - 1));
    EXPECT_EQ(std::set<uint32_t>(given.begin(), given.end()).size(),
              static_cast<size_t>(given.size()));
    for (const uint32_t scale : given) EXPECT_LT(scale, static_cast<uint32_t>(scales - 1));
    EXPECT_EQ(request.previews().mode(),
              partial == 0 ? v1::PreviewOptions::MODE_UNSPECIFIED : v1::PreviewOptions::MODE_FULL);
  }
  const auto draft =
      Read({{"prompt", "1"}, {"stream", true}, {"partial_images", 3}, {"max_scales", 1}});
  EXPECT_EQ(draft.message.previews().mode(), v1::PreviewOptions::MODE_UNSPECIFIED);
}

TEST(ImageRequestTest, EveryBrokenRuleIsNamed) {
  EXPECT_EQ(Wrong({{"prompt", "1"},
                   {"n", 0},
                   {"size", "1x1"},
                   {"quality", "best"},
                   {"background", "transparent"},
                   {"response_format", "url"},
                   {"output_format", "gif"},
                   {"output_compression", 101},
                   {"partial_images", 4},
                   {"stream", "yes"},
                   {"top_k", 1.5},
                   {"cfg_scale", "2"},
                   {"mask_schedule", {{-1}}},
                   {"prefix", 3},
                   {"events", "hmar"},
                   {"previews", "fast"},
                   {"timeout", 0},
                   {"on_deadline", "wait"},
                   {"receipt", 1},
                   {"unheard_of", nullptr}}),
            (std::set<std::string>{"n", "size", "quality", "background", "response_format",
                                   "output_format", "output_compression", "partial_images",
                                   "stream", "top_k", "cfg_scale", "mask_schedule[0]", "prefix",
                                   "events", "timeout", "on_deadline", "receipt", "unheard_of"}));
  EXPECT_EQ(Wrong({{"prompt", "1"}, {"previews", "fast"}}), std::set<std::string>{"previews"});
  EXPECT_EQ(Wrong({{"prompt", "1"}, {"n", 2}, {"stream", true}}), std::set<std::string>{"n"});
  EXPECT_EQ(Wrong({{"prompt", "1"}, {"box", "0,0,1,1"}}), std::set<std::string>{"box"})
      << "no edit";
}

TEST(ImageRequestTest, WhatOpenAiSendsAndWeHaveNoUseForIsIgnored) {
  Read({{"prompt", "1"},
        {"user", "a"},
        {"safety_identifier", "b"},
        {"moderation", "low"},
        {"style", "vivid"},
        {"input_fidelity", "high"},
        {"model", nullptr}});
}

TEST(ImageRequestTest, AFormOfTextHasTheSameFields) {
  FormFields form;
  form.as_text = true;
  form.values = {{"prompt", "cat"},
                 {"n", "2"},
                 {"seed", "7"},
                 {"stream", "true"},
                 {"events", "hmar"},
                 {"cfg_scale", "1.5"},
                 {"mask_schedule", "[[1],[4]]"},
                 {"preview_scales", "[0]"},
                 {"previews", "full"},
                 {"feather", "3"},
                 {"composite", "false"},
                 {"resize", "cover"},
                 {"keep_box", "1,2,3,4"},
                 {"model", ""}};
  form.files = {{"image", "bytes"}};
  ImageRequest request;
  ASSERT_EQ(ReadImageRequest(form, /*edit=*/true, Catalog(), &request), absl::OkStatus());
  const v1::GenerateRequest& message = request.message;
  EXPECT_EQ(message.num_images(), 2u);
  EXPECT_EQ(message.seed(), 7u);
  EXPECT_FLOAT_EQ(message.sampling().cfg_scale(), 1.5f);
  EXPECT_THAT(message.sampling().mask_schedule().scales(1).tokens(), ElementsAre(4));
  EXPECT_THAT(message.previews().scales(), ElementsAre(0));
  EXPECT_EQ(message.edit().image(), "bytes");
  EXPECT_EQ(message.edit().keep_box().y1(), 4u);
  EXPECT_EQ(message.edit().resize(), v1::EditOptions::RESIZE_COVER);
  EXPECT_FALSE(message.edit().composite());
  EXPECT_TRUE(request.stream && request.own_events);
  form.values["n"] = "2,\"x\":3";
  form.values["cfg_scale"] = "1}";
  form.values["box"] = "0,0,1";
  EXPECT_EQ(WrongIn(form, true), (std::set<std::string>{"n", "cfg_scale", "box"}));
}

TEST(ImageRequestTest, AMaskHasTheMeaningOfItsName) {
  FormFields form;
  form.as_text = true;
  form.files = {{"image", "i"}, {"mask", "m"}};
  ImageRequest request;
  ASSERT_EQ(ReadImageRequest(form, true, Catalog(), &request), absl::OkStatus());
  EXPECT_TRUE(request.transparent_mask);
  form.files = {{"image", "i"}, {"mask_white", "m"}};
  request = {};
  ASSERT_EQ(ReadImageRequest(form, true, Catalog(), &request), absl::OkStatus());
  EXPECT_FALSE(request.transparent_mask);
  EXPECT_EQ(request.message.edit().mask(), "m");
  form.files["mask"] = "m";
  EXPECT_EQ(WrongIn(form, true), std::set<std::string>{"mask"});
}

TEST(HttpErrorTest, FieldsHaveTheNamesOfThisApi) {
  for (const auto& [proto, http] : std::vector<std::pair<const char*, const char*>>{
           {"class_name", "prompt"},
           {"request.num_images", "n"},
           {"sampling.mask_schedule.scales[3].tokens", "mask_schedule[3]"},
           {"sampling.top_p", "top_p"},
           {"prefix.tokens[2].tokens[5]", "prefix[2][5]"},
           {"previews.scales[1]", "preview_scales[1]"},
           {"edit.keep_box", "keep_box"},
           {"edit.region", "mask"},
           {"output.format", "output_format"},
           {"scheduling.priority", "priority"},
           {"request_id", "request_id"}}) {
    EXPECT_EQ(HttpFieldOf(proto, "prompt"), http);
  }
}

TEST(HttpErrorTest, EveryReasonHasAStatusAndAShape) {
  for (const ReasonRow& row : ReasonTable()) {
    const HttpError error = ErrorOfStatus(ErrorOf(row.reason, "why"), "id");
    const auto json = nlohmann::json::parse(error.error_json);
    EXPECT_GE(error.status, 400);
    EXPECT_EQ(json["code"], row.name);
    EXPECT_EQ(json["message"], "why");
    EXPECT_EQ(json["request_id"], "id");
    EXPECT_EQ(error.retry_after.has_value(), error.status == 429 || error.status == 503)
        << row.name;
  }
  const auto error =
      ErrorOfStatus(RetryAfter(ErrorOf(Reason::kQueueFull, "why"), absl::Seconds(2.5)), "");
  EXPECT_EQ(nlohmann::json::parse(error.error_json)["retry_after"], 2.5);
  EXPECT_EQ(RetrySeconds(*error.retry_after), 3);
  EXPECT_EQ(RetrySeconds(absl::Milliseconds(1)), 1);
}

}  // namespace
}  // namespace hmar
