#include "client/load/mix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/files.h"
#include "client/load/mix_fields.h"

namespace hmar::load {
namespace {

using ::testing::HasSubstr;

std::string ErrorOf(const std::string& toml) {
  const auto kinds = ParseMix(toml, "mix.toml");
  return kinds.ok() ? "no error" : std::string(kinds.status().message());
}

TEST(MixTest, EveryFieldIsRead) {
  const auto kinds = ParseMix(R"(
    [[mix]]
    name = "drafts"
    weight = 2.5
    method = "generate"
    model = "d16/a"
    images = 4
    previews = "fast"
    format = "rgb"
    priority = -3
    deadline_ms = 500
    on_deadline = "degrade"
    cancel_after_ms = 200
    read_delay_ms = 10
    principal = "alice"
api_key_file = "keys/alice"
    uploads = 5
    [[mix]]
    method = "edit"
  )",
                              "mix.toml");
  ASSERT_TRUE(kinds.ok()) << kinds.status();
  ASSERT_EQ(kinds->size(), 2U);
  const Kind wanted{.name = "drafts",
                    .weight = 2.5,
                    .method = "generate",
                    .model = "d16/a",
                    .images = 4,
                    .previews = "fast",
                    .format = "rgb",
                    .priority = -3,
                    .deadline_ms = 500,
                    .on_deadline = "degrade",
                    .cancel_after_ms = 200,
                    .read_delay_ms = 10,
                    .principal = "alice",
                    .api_key_file = "keys/alice",
                    .uploads = 5};
  EXPECT_EQ(kinds->front(), wanted);
  Kind plain;
  plain.name = "edit-2";
  plain.method = "edit";
  EXPECT_EQ(kinds->back(), plain);
}

TEST(MixTest, AMistakeNamesTheFieldTheValueAndTheLimit) {
  const std::map<std::string, std::string> wanted = {
      {"weight = 0", "mix.toml: mix[1].weight: was '0', must be a number in (0, 1e+06]"},
      {"weight = -1.5", "mix[1].weight: was '-1.5'"},
      {"weight = nan", "mix[1].weight: was 'nan'"},
      {"weight = \"3\"", "mix[1].weight: was of TOML's type string, must be a number"},
      {"images = 4097", "mix[1].images: was '4097', must be a whole number, 1 .. 4096"},
      {"images = 1.5", "mix[1].images: was '1.5', must be a whole number"},
      {"method = \"draw\"", "mix[1].method: was 'draw', must be one of generate, generate_images"},
      {"method = 3", "mix[1].method: was of TOML's type integer, must be a string"},
      {"previews = \"all\"", "mix[1].previews: was 'all', must be one of none, fast, full"},
      {"format = \"bmp\"", "mix[1].format: was 'bmp', must be one of png, jpeg, webp, rgb"},
      {"on_deadline = \"skip\"",
       "mix[1].on_deadline: was 'skip', must be one of fail, refuse, degrade"},
      {"priority = 3000000000", "mix[1].priority: was '3000000000'"},
      {"deadline_ms = -1", "mix[1].deadline_ms: was '-1', must be a whole number, 0 .. 3600000"},
      {"cancel_after_ms = 3600001", "mix[1].cancel_after_ms: was '3600001'"},
      {"read_delay_ms = 60001", "mix[1].read_delay_ms: was '60001', must be a whole number, 0 .."},
      {"uploads = 0", "mix[1].uploads: was '0', must be a whole number, 1 .. 256"},
      {"principal = \"\"", "mix[1].principal: was '', must be 1 .. 64 of"},
      {"api_key_file = \"\"",
       "mix[1].api_key_file: was '', must be a file's name, 1 .. 4096 bytes"},
      {"model = \"a b\"", "mix[1].model: was 'a b', must be 1 .. 64 of"},
      {"name = \"<b>\"", "mix[1].name: was '<b>', must be 1 .. 64 of"},
      {"colour = 1", "mix[1].colour: no such field; there are name, weight, method"},
      {"method = \"generate_images\"\npreviews = \"fast\"",
       "mix[1]: previews: was 'fast', must be none where method is generate_images"},
  };
  for (const auto& [line, message] : wanted) {
    EXPECT_THAT(ErrorOf("[[mix]]\n" + line + "\n"), HasSubstr(message)) << line;
  }
}

TEST(MixTest, EveryFieldHasAMistakeOfItsOwn) {
  for (const KindField& field : KindFields()) {
    Kind kind;
    EXPECT_FALSE(SetField(field, absl::string_view("?\0", 2), kind).ok()) << field.name;
    EXPECT_EQ(kind, Kind()) << field.name;
  }
}

TEST(MixTest, TheReadmesTableHasEveryField) {
  const std::string readme = ReadFile("client/load/README.md").value();
  for (const KindField& field : KindFields()) {
    EXPECT_THAT(readme, HasSubstr(absl::StrCat("| `", field.name, "` | "))) << field.name;
  }
}

TEST(MixTest, WhatIsNoMixIsTold) {
  EXPECT_THAT(ErrorOf("[[mix]]\nname = \n"), HasSubstr("mix.toml:2: "));
  EXPECT_THAT(ErrorOf(""), HasSubstr("needs 1 .. 64 [[mix]] tables"));
  EXPECT_THAT(ErrorOf("mix = 3"), HasSubstr("needs 1 .. 64 [[mix]] tables"));
  EXPECT_THAT(ErrorOf("mix = [3]"), HasSubstr("needs 1 .. 64 [[mix]] tables"));
  EXPECT_THAT(ErrorOf("rate = 3\n[[mix]]"), HasSubstr("'rate': no such key"));
  std::string many;
  for (int i = 0; i < 65; ++i) absl::StrAppend(&many, "[[mix]]\n");
  EXPECT_THAT(ErrorOf(many), HasSubstr("has 65 [[mix]] tables, at most 64"));
  EXPECT_THAT(ErrorOf(std::string(kMaxMixBytes + 1, '\n')), HasSubstr("at most 1048576"));
  EXPECT_THAT(ErrorOf("[[mix]]\nname = \"a\"\n[[mix]]\nname = \"a\"\n"),
              HasSubstr("mix[2].name: was 'a', must be another"));
}

TEST(PlannerTest, KindsComeByTheirWeightsAndTheSameSeedPlansTheSame) {
  std::vector<Kind> kinds(3);
  kinds[0].weight = 1;
  kinds[1].weight = 2;
  kinds[2].weight = 5;
  Planner planner(kinds, 11, 0);
  Planner again(kinds, 11, 0);
  std::vector<uint64_t> calls(3);
  for (int i = 0; i < 80'000; ++i) {
    const PlannedCall call = planner.Next();
    EXPECT_EQ(call.seed, 11 + calls[call.kind]++);
    const PlannedCall same = again.Next();
    EXPECT_TRUE(same.kind == call.kind && same.seed == call.seed);
  }
  EXPECT_NEAR(calls[0], 10'000, 500);
  EXPECT_NEAR(calls[1], 20'000, 700);
}

TEST(PlannerTest, SeedsOfAKindComeAgainAfterTheDistinctOnes) {
  Planner planner({Kind()}, 5, 3);
  std::vector<uint64_t> seeds;
  for (int i = 0; i < 7; ++i) seeds.push_back(planner.Next().seed);
  EXPECT_EQ(seeds, (std::vector<uint64_t>{5, 6, 7, 5, 6, 7, 5}));
}

}  // namespace
}  // namespace hmar::load
