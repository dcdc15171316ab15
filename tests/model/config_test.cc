#include "model/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "model/sampling_plan.h"
#include "tests/model/weight_files.h"

namespace hmar {
namespace {

using ::nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

json Bundled() { return json::parse(ReadFile("deploy/models/hmar-cifar10/config.json")); }

absl::StatusOr<ModelConfig> Parse(const json& config) {
  return ParseModelConfig(config.dump(), "m/config.json");
}

// The message of the INVALID_ARGUMENT that the bundled configuration, patched (RFC 7386), must
// give.
std::string Error(const std::string& patch) {
  json config = Bundled();
  config.merge_patch(json::parse(patch));
  const absl::Status status = Parse(config).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << patch << ": " << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("m/config.json: "));
  return std::string(status.message());
}

TEST(ParseModelConfig, ReadsEveryFieldOfTheBundledModel) {
  const auto config = Parse(Bundled());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->name, "hmar-cifar10");
  EXPECT_EQ(config->architecture, "hmar");
  EXPECT_EQ(config->image_size, 32);
  EXPECT_EQ(config->classes.size(), 10u);
  EXPECT_EQ(config->classes[8], "ship");
  EXPECT_THAT(config->patch_nums, ElementsAre(1, 2, 3, 4, 5, 6, 8));
  EXPECT_EQ(config->num_scales(), 7);
  EXPECT_EQ(config->last_grid(), 8);
  EXPECT_EQ(config->total_tokens(), 1 + 4 + 9 + 16 + 25 + 36 + 64);
  EXPECT_EQ(config->tokenizer.vocab_size, 1024);
  EXPECT_EQ(config->tokenizer.z_channels, 32);
  EXPECT_EQ(config->tokenizer.ch, 64);
  EXPECT_THAT(config->tokenizer.ch_mult, ElementsAre(1, 2, 2));
  EXPECT_EQ(config->tokenizer.num_res_blocks, 2);
  EXPECT_EQ(config->tokenizer.quant_resi, 0.5);
  EXPECT_EQ(config->tokenizer.share_quant_resi, 4);
  EXPECT_EQ(config->transformer.depth, 12);
  EXPECT_EQ(config->transformer.embed_dim, 256);
  EXPECT_EQ(config->transformer.num_heads, 4);
  EXPECT_EQ(config->transformer.hidden(), 1024);
  EXPECT_FALSE(config->transformer.shared_aln);
  EXPECT_TRUE(config->transformer.attn_l2_norm);
  EXPECT_EQ(config->transformer.norm_eps, 1e-6);
  EXPECT_EQ(config->transformer.n_layers_train, 4);
  EXPECT_EQ(config->sampling.cfg_scale, 2.0f);
  EXPECT_EQ(config->sampling.top_k, 600u);
  EXPECT_EQ(config->sampling.top_p, 0.97f);
  EXPECT_EQ(config->sampling.temperature, 1.0f);
  EXPECT_THAT(config->sampling.mask_schedule[2], ElementsAre(1, 1, 2, 5));
}

TEST(ParseModelConfig, IgnoresKeysItDoesNotKnow) {
  json config = Bundled();
  config["licence"] = "MIT";
  config["vqvae"]["dropout"] = 0.1;
  EXPECT_TRUE(Parse(config).ok());
}

TEST(ParseModelConfig, TakesTopPOfZeroAsOffAndAnOptionalTemperature) {
  json config = Bundled();
  config["sampling"]["top_p"] = 0;
  config["sampling"]["temperature"] = 0.5;
  const auto parsed = Parse(config);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->sampling.top_p, 1.0f);
  EXPECT_EQ(parsed->sampling.temperature, 0.5f);
}

TEST(ParseModelConfig, RoundsTheHiddenWidthHalfToEven) {
  TransformerConfig t;
  t.embed_dim = 5;
  t.mlp_ratio = 2.5;
  EXPECT_EQ(t.hidden(), 12);
  t.mlp_ratio = 2.7;
  EXPECT_EQ(t.hidden(), 14);  // Of 13.5.
}

TEST(ParseModelConfig, NamesTheMissingField) {
  for (const std::string key : {"name", "architecture", "image_size", "classes", "patch_nums",
                                "vqvae", "transformer", "sampling"}) {
    EXPECT_THAT(Error("{\"" + key + "\":null}"), HasSubstr(key + " is missing"));
  }
  for (const std::string section : {"vqvae", "transformer", "sampling"}) {
    const json fields = Bundled()[section];
    for (const auto& field : fields.items()) {
      EXPECT_THAT(Error("{\"" + section + "\":{\"" + field.key() + "\":null}}"),
                  HasSubstr(section + "." + field.key() + " is missing"));
    }
  }
}

TEST(ParseModelConfig, NamesTheFieldTheValueAndWhatWasWanted) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"name":""})", "name is \"\"; must be a string of 1 to 256 bytes"},
      {R"({"name":7})", "name is 7; must be a string"},
      {R"({"architecture":"var"})", "architecture is not \"hmar\""},
      {R"({"image_size":64})", "image_size is 64;"},
      {R"({"image_size":32.0})", "image_size is 32.0; must be an integer"},
      {R"({"image_size":"32"})", "image_size is \"32\"; must be an integer"},
      {R"({"image_size":18446744073709551615})", "image_size is 18446744073709551615"},
      {R"({"classes":[]})", "classes has 0 entries; must be an array of 1 to 1000000"},
      {R"({"classes":"cat"})", "classes is \"cat\"; must be an array"},
      {R"({"classes":["cat","dog","cat"]})", "classes[2] repeats"},
      {R"({"classes":["cat",""]})", "classes[1] is \"\""},
      {R"({"classes":["cat",["dog"]]})", "classes[1] is an array"},
      {R"({"class_aliases":7})", "class_aliases is 7; must be an object"},
      {R"({"class_aliases":["plane"]})", "class_aliases is an array; must be an object"},
      {R"({"class_aliases":{"plane":["jet"]}})", "class_aliases.plane is none of classes"},
      {R"({"class_aliases":{"ship":"boat"}})", "class_aliases.ship is \"boat\"; must be an array"},
      {R"({"class_aliases":{"ship":[]}})",
       "class_aliases.ship has 0 entries; must be an array of 1 to 64 entries"},
      {R"({"class_aliases":{"ship":["boat",""]}})", "class_aliases.ship[1] is \"\""},
      {R"({"class_aliases":{"ship":["boat",7]}})", "class_aliases.ship[1] is 7; must be a string"},
      {R"({"class_aliases":{"ship":["boat","ship"]}})", "class_aliases.ship[1] repeats"},
      {R"({"class_aliases":{"ship":["boat","vessel","boat"]}})", "class_aliases.ship[2] repeats"},
      {R"({"patch_nums":[8]})", "patch_nums has 1 entries; must be an array of 2 to 64"},
      {R"({"patch_nums":[1,2,2,8]})", "patch_nums[2] is 2; must be above the one before it, 2"},
      {R"({"patch_nums":[0,8]})", "patch_nums[0] is 0; must be an integer from 1 to 256"},
      {R"({"patch_nums":[1,257]})", "patch_nums[1] is 257"},
      {R"({"vqvae":7})", "vqvae is 7; must be an object"},
      {R"({"vqvae":{"vocab_size":1}})", "vqvae.vocab_size is 1; must be an integer from 2"},
      {R"({"vqvae":{"vocab_size":1e300}})", "vqvae.vocab_size is 1e+300"},
      {R"({"vqvae":{"ch":48}})", "vqvae.ch is 48; must be a multiple of 32"},
      {R"({"vqvae":{"ch":65536}})", "vqvae.ch_mult has 2"},
      {R"({"vqvae":{"ch_mult":[]}})", "vqvae.ch_mult has 0 entries"},
      {R"({"vqvae":{"ch_mult":[1,0,1]}})", "vqvae.ch_mult[1] is 0"},
      {R"({"vqvae":{"num_res_blocks":0}})", "vqvae.num_res_blocks is 0"},
      {R"({"vqvae":{"quant_resi":1.5}})", "vqvae.quant_resi is 1.5; must be a number from 0 to 1"},
      {R"({"vqvae":{"share_quant_resi":65}})", "vqvae.share_quant_resi is 65"},
      {R"({"vqvae":{"share_quant_resi":0}})", "vqvae.share_quant_resi is 0"},
      {R"({"transformer":{"depth":1}})", "transformer.depth is 1"},
      {R"({"transformer":{"embed_dim":255}})",
       "transformer.embed_dim is 255; must be a multiple of num_heads, 4"},
      {R"({"transformer":{"num_heads":0}})", "transformer.num_heads is 0"},
      {R"({"transformer":{"mlp_ratio":0}})", "transformer.mlp_ratio is 0; leaves no hidden"},
      {R"({"transformer":{"mlp_ratio":-1}})", "transformer.mlp_ratio is -1; must be a number"},
      {R"({"transformer":{"shared_aln":1}})", "transformer.shared_aln is 1; must be true or false"},
      {R"({"transformer":{"norm_eps":"small"}})", "transformer.norm_eps is \"small\""},
      {R"({"transformer":{"n_layers_train":12}})",
       "n_layers_train is 12; must be an integer from 1 to 11"},
      {R"({"sampling":{"cfg":-1}})", "sampling.cfg is -1"},
      {R"({"sampling":{"top_k":1025}})", "sampling.top_k is 1025; must be 0 (off) to 1024"},
      {R"({"sampling":{"top_p":1.5}})", "sampling.top_p is 1.5"},
      {R"({"sampling":{"temperature":0}})",
       "sampling.temperature is 0; must be finite and at least"},
      {R"({"sampling":{"temperature":1e300}})", "sampling.temperature is 1e+300"},
      {R"({"sampling":{"mask_schedule":[[1]]}})", "sampling.mask_schedule has 1 entries"},
      {R"({"sampling":{"mask_schedule":[[1],[1,2],[9],[16],[25],[36],[64]]}})",
       "sampling.mask_schedule[1] sum to 3; scale 1 has 4 tokens"},
      {R"({"sampling":{"mask_schedule":[[1],[0,4],[9],[16],[25],[36],[64]]}})",
       "sampling.mask_schedule[1][0] is 0"},
      {R"({"sampling":{"mask_schedule":[[1],[],[9],[16],[25],[36],[64]]}})",
       "sampling.mask_schedule[1] has 0 entries"},
  };
  for (const auto& [patch, fault] : cases) EXPECT_THAT(Error(patch), HasSubstr(fault)) << patch;
}

TEST(ParseModelConfig, ReadsWhatElseClassesAreCalled) {
  EXPECT_THAT(Parse(Bundled())->class_aliases, IsEmpty());
  json config = Bundled();
  config["class_aliases"] = {{"automobile", {"car", "Stra\u00dfenauto"}}, {"airplane", {"car"}}};
  const auto parsed = Parse(config);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  ASSERT_EQ(parsed->class_aliases.size(), 10u);
  EXPECT_THAT(parsed->class_aliases[0], ElementsAre("car"));
  EXPECT_THAT(parsed->class_aliases[1], ElementsAre("car", "Stra\u00dfenauto"));
  EXPECT_THAT(parsed->class_aliases[2], IsEmpty());
}

TEST(ParseModelConfig, BoundsWhatElseClassesAreCalled) {
  json config = Bundled();
  json& aliases = config["class_aliases"]["ship"];
  for (int i = 0; i < 64; ++i) aliases.push_back(std::to_string(i));
  aliases[63] = std::string(256, 'x');
  EXPECT_TRUE(Parse(config).ok());
  aliases.push_back("one more");
  EXPECT_THAT(std::string(Parse(config).status().message()),
              HasSubstr("class_aliases.ship has 65 entries"));
  aliases = {std::string(257, 'x')};
  EXPECT_THAT(std::string(Parse(config).status().message()),
              HasSubstr("class_aliases.ship[0] is \"xxx"));
  config["class_aliases"] = {{std::string(1 << 20, '\n'), {"x"}}};
  const std::string message(Parse(config).status().message());
  EXPECT_THAT(message, HasSubstr("\\n is none of classes"));
  EXPECT_LT(message.size(), 300u);
}

TEST(ParseModelConfig, RefusesAnAliasThatIsNoUtf8) {
  std::string text = Bundled().dump();
  text.insert(1, "\"class_aliases\":{\"ship\":[\"b\xc3\"]},");
  EXPECT_THAT(std::string(ParseModelConfig(text, "c").status().message()),
              HasSubstr("is not a JSON object"));
  text.replace(text.find('\xc3'), 1, "\xc3\xa9");
  EXPECT_TRUE(ParseModelConfig(text, "c").ok());
}

TEST(ParseModelConfig, RefusesTextThatIsNoJsonObject) {
  for (const std::string text : {"", "{", "[]", "7", "nul", "{\"name\":\"\xff\"}", "{}}"}) {
    const absl::Status status = ParseModelConfig(text, "c").status();
    EXPECT_EQ(status.message(), "c: is not a JSON object") << text;
  }
}

TEST(ParseModelConfig, BoundsWhatATextCanCost) {
  const auto error = [](const std::string& text) {
    return std::string(ParseModelConfig(text, "c").status().message());
  };
  EXPECT_THAT(error(std::string((4 << 20) + 1, ' ')), HasSubstr("4194305 bytes; at most 4194304"));
  // Each bracket would become a value of its own, 80 bytes.
  EXPECT_THAT(error(std::string(4 << 20, '[')), HasSubstr("has 4194304 levels of brackets"));
  std::string objects;
  for (int i = 0; i < 17; ++i) objects += R"({"\"[":)";
  EXPECT_THAT(error(objects), HasSubstr("has 17 levels of brackets; at most 16"));
  json config = Bundled();
  config["licence"] = json::parse(std::string(15, '[') + R"("[[\"]]")" + std::string(15, ']'));
  EXPECT_TRUE(Parse(config).ok());
}

TEST(OfficialArchitecture, MatchesTheOraclesConfigurations) {
  const std::string d16 = json::parse(ReadFile("tests/golden/shapes_d16.json"))["config"].dump();
  const auto wanted = ParseModelConfig(d16, "golden");
  const auto found = OfficialArchitecture("hmar-d16");
  ASSERT_TRUE(wanted.ok() && found.ok()) << wanted.status() << found.status();
  EXPECT_EQ(found->name, wanted->name);
  EXPECT_EQ(found->classes.size(), wanted->classes.size());
  EXPECT_EQ(found->image_size, wanted->image_size);
  EXPECT_EQ(found->patch_nums, wanted->patch_nums);
  EXPECT_EQ(found->tokenizer.ch_mult, wanted->tokenizer.ch_mult);
  EXPECT_EQ(found->tokenizer.quant_resi, wanted->tokenizer.quant_resi);
  EXPECT_EQ(found->transformer.norm_eps, wanted->transformer.norm_eps);
  EXPECT_EQ(found->sampling.cfg_scale, wanted->sampling.cfg_scale);
  EXPECT_EQ(found->sampling.top_k, wanted->sampling.top_k);
  EXPECT_EQ(found->sampling.top_p, wanted->sampling.top_p);
  EXPECT_EQ(found->sampling.mask_schedule, wanted->sampling.mask_schedule);
}

TEST(OfficialArchitecture, IsValidForEveryName) {
  for (const std::string size : {"", "-512"}) {
    for (const std::string depth : {"d16", "d20", "d24", "d30"}) {
      const auto config = OfficialArchitecture("hmar-" + depth + size);
      ASSERT_TRUE(config.ok()) << config.status();
      EXPECT_THAT(CheckSampling(config->sampling, *config), IsEmpty());
      EXPECT_EQ(config->transformer.embed_dim, 64 * config->transformer.depth);
      EXPECT_EQ(config->image_size, 16 * config->last_grid());
      EXPECT_EQ(config->total_tokens(), size.empty() ? 680 : 2240);
    }
  }
}

TEST(OfficialArchitecture, NamesTheClassesOfImageNet) {
  const auto config = OfficialArchitecture("hmar-d30-512");
  ASSERT_TRUE(config.ok()) << config.status();
  ASSERT_EQ(config->classes.size(), 1000u);
  ASSERT_EQ(config->class_aliases.size(), 1000u);
  EXPECT_EQ(config->classes[207], "golden retriever");
  EXPECT_THAT(config->class_aliases[207], ElementsAre("n02099601"));
}

TEST(OfficialArchitecture, ListsTheNamesForAnyOther) {
  const absl::Status status = OfficialArchitecture("hmar-d17").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("\"hmar-d17\""), HasSubstr("hmar-d16, hmar-d20")));
}

}  // namespace
}  // namespace hmar
