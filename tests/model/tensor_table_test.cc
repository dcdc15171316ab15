#include "model/tensor_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "model/model_folder.h"
#include "tests/model/weight_files.h"

namespace hmar {
namespace {

using ::nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

using Tensors = std::map<std::string, TensorInfo>;

// A checkpoint that only claims its tensors.
class FakeCheckpoint : public Checkpoint {
 public:
  explicit FakeCheckpoint(Tensors tensors) : Checkpoint("fake.pth", std::move(tensors)) {}

  absl::StatusOr<absl::Span<const uint8_t>> Read(const std::string&,
                                                 std::vector<uint8_t>*) const override {
    return absl::UnimplementedError("holds no data");
  }
  absl::StatusOr<std::string> Sha256() const override {
    return absl::UnimplementedError("holds no data");
  }
};

Tensors Claim(const TensorTable& table) {
  Tensors tensors;
  for (const auto& [name, shape] : table) tensors[name] = {DType::kFloat32, shape};
  return tensors;
}

// A list of shapes that the oracle's make_random_model.py made.
struct Golden {
  explicit Golden(const std::string& name) {
    const json file = json::parse(ReadFile("tests/golden/shapes_" + name + ".json"));
    config = *ParseModelConfig(file["config"].dump(), name);
    transformer = file["transformer"].get<TensorTable>();
    tokenizer = file["tokenizer"].get<TensorTable>();
  }

  ModelConfig config;
  TensorTable transformer;
  TensorTable tokenizer;
};

class TensorTableOf : public ::testing::TestWithParam<const char*> {};

TEST_P(TensorTableOf, TheTransformerEqualsTheOracles) {
  const Golden golden(GetParam());
  EXPECT_EQ(TransformerTable(golden.config), golden.transformer);
}

TEST_P(TensorTableOf, TheTokenizerEqualsTheOracles) {
  const Golden golden(GetParam());
  EXPECT_EQ(TokenizerTable(golden.config, FakeCheckpoint(Claim(golden.tokenizer))),
            golden.tokenizer);
}

INSTANTIATE_TEST_SUITE_P(Variants, TensorTableOf,
                         ::testing::Values("d16", "d16_512_shared", "d16_plain"));

TEST(TensorTable, OfTheReleasedArchitectureEqualsItsConfigurationsTable) {
  EXPECT_EQ(TransformerTable(*OfficialArchitecture("hmar-d16")), Golden("d16").transformer);
}

TEST(TensorTable, LeavesOutAttentionThatTheTokenizerDoesNotHave) {
  Golden golden("d16");
  for (const std::string gone :
       {"encoder.down.4.attn.", "decoder.up.4.attn.", "decoder.mid.attn_1."}) {
    Tensors left = Claim(golden.tokenizer);
    for (auto it = left.begin(); it != left.end();) {
      it = it->first.rfind(gone, 0) == 0 ? left.erase(it) : std::next(it);
    }
    ASSERT_LT(left.size(), golden.tokenizer.size());
    const FakeCheckpoint checkpoint(left);
    const TensorTable table = TokenizerTable(golden.config, checkpoint);
    EXPECT_EQ(table.size(), left.size()) << gone;
    EXPECT_TRUE(CheckTensors(checkpoint, table).ok()) << gone;
  }
}

TEST(TensorTable, WantsAllOfAnAttentionBlockOfWhichItFindsAPart) {
  const Golden golden("d16");
  Tensors tensors = Claim(golden.tokenizer);
  tensors.erase("encoder.down.4.attn.1.qkv.weight");
  const FakeCheckpoint checkpoint(tensors);
  const absl::Status status = CheckTensors(checkpoint, TokenizerTable(golden.config, checkpoint));
  EXPECT_THAT(
      std::string(status.message()),
      HasSubstr("\"encoder.down.4.attn.1.qkv.weight\" is missing; wanted shape (1920, 640, 1, 1)"));
}

TEST(TensorTable, CountsTheReleasedParameters) {
  // The published 0.47, 0.84, 1.37 and 2.5 billion, and VAR's tokenizer.
  const std::vector<std::pair<std::string, double>> sizes = {
      {"hmar-d16", 0.47}, {"hmar-d20", 0.84}, {"hmar-d24", 1.37}, {"hmar-d30", 2.5}};
  for (const auto& [name, billions] : sizes) {
    const uint64_t count = CountParameters(TransformerTable(*OfficialArchitecture(name)));
    EXPECT_NEAR(static_cast<double>(count) / 1e9, billions, 0.06) << name;
  }
  uint64_t tokenizer = CountParameters(Golden("d16").tokenizer);
  EXPECT_NEAR(static_cast<double>(tokenizer) / 1e6, 109, 1);
}

class CheckTensorsTest : public ::testing::Test {
 protected:
  std::string Message(const Tensors& tensors) {
    const absl::Status status = CheckTensors(FakeCheckpoint(tensors), table_);
    EXPECT_EQ(status.code(),
              status.ok() ? absl::StatusCode::kOk : absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  }

  const TensorTable table_ = {{"a.weight", {2, 3}}, {"b.bias", {4}}};
  const Tensors sound_ = Claim(table_);
};

TEST_F(CheckTensorsTest, AcceptsWeightTypesAndKnownBuffers) {
  Tensors tensors = sound_;
  tensors["a.weight"].dtype = DType::kBFloat16;
  tensors["b.bias"].dtype = DType::kFloat16;
  tensors["lvl_1L"] = {DType::kInt64, {1, 680}};
  tensors["attn_bias_for_masking"] = {DType::kFloat32, {1, 1, 680, 680}};
  tensors["base_blocks.0.attn.zero_k_bias"] = {DType::kFloat32, {1024}};
  tensors["quantize.ema_vocab_hit_SV"] = {DType::kFloat32, {10, 4096}};
  EXPECT_EQ(Message(tensors), "");
}

TEST_F(CheckTensorsTest, NamesFileTensorFoundAndWanted) {
  Tensors tensors = sound_;
  tensors.erase("a.weight");
  EXPECT_EQ(Message(tensors), "fake.pth: tensor \"a.weight\" is missing; wanted shape (2, 3)");
  tensors = sound_;
  tensors["a.weight"].shape = {3, 2};
  EXPECT_EQ(Message(tensors), "fake.pth: tensor \"a.weight\" has shape (3, 2); wanted (2, 3)");
  tensors = sound_;
  tensors["b.bias"].dtype = DType::kFloat64;
  EXPECT_EQ(Message(tensors), "fake.pth: tensor \"b.bias\" has dtype F64; wanted F32, F16 or BF16");
  tensors = sound_;
  tensors["not_lvl_1L"] = {DType::kFloat32, {1}};
  EXPECT_EQ(Message(tensors),
            "fake.pth: tensor \"not_lvl_1L\" of shape (1) has no place in this model");
}

TEST_F(CheckTensorsTest, CountsWhatElseIsWrong) {
  EXPECT_THAT(Message({{"c", {}}}), AllOf(HasSubstr("\"a.weight\" is missing"),
                                          HasSubstr("(and 2 more tensors are wrong)")));
}

}  // namespace
}  // namespace hmar
