#include "model/model_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <iterator>
#include <nlohmann/json.hpp>
#include <thread>

#include "model/digest.h"
#include "model/tensor_table.h"
#include "tests/model/weight_files.h"

namespace hmar {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kBundled[] = "deploy/models/hmar-cifar10";

// The smallest model that the rules allow, as a folder.
class SmallModel {
 public:
  SmallModel() {
    config_ = {
        {"name", "small"},
        {"architecture", "hmar"},
        {"image_size", 4},
        {"classes", {"cat", "dog"}},
        {"patch_nums", {1, 2}},
        {"vqvae",
         {{"vocab_size", 4},
          {"z_channels", 2},
          {"ch", 32},
          {"ch_mult", {1, 1}},
          {"num_res_blocks", 1},
          {"quant_resi", 0.5},
          {"share_quant_resi", 1}}},
        {"transformer",
         {{"depth", 2},
          {"embed_dim", 4},
          {"num_heads", 2},
          {"mlp_ratio", 2.0},
          {"shared_aln", true},
          {"attn_l2_norm", false},
          {"norm_eps", 1e-6},
          {"n_layers_train", 1}}},
        {"sampling", {{"cfg", 1}, {"top_k", 0}, {"top_p", 0}, {"mask_schedule", {{1}, {4}}}}}};
    const ModelConfig config = *ParseModelConfig(config_.dump(), "small");
    // An empty checkpoint asks for no attention in the tokenizer.
    const auto none = *OpenSafetensors(folder_.Write("none", Safetensors("{}", "")));
    std::filesystem::remove(folder_ / "none");
    transformer_ = SafetensorsOfShapes(TransformerTable(config));
    tokenizer_ = SafetensorsOfShapes(TokenizerTable(config, *none));
    folder_.Write("config.json", config_.dump());
    folder_.Write("hmar.safetensors", transformer_);
    folder_.Write("vqvae.safetensors", tokenizer_);
  }

  absl::StatusOr<ModelFolder> Open(const std::string& architecture = "") const {
    return OpenModelFolder(folder_.path(), architecture);
  }
  std::string Error() const { return std::string(Open().status().message()); }
  void Remove(const std::string& name) const { std::filesystem::remove(folder_ / name); }

  TempFolder folder_;
  nlohmann::json config_;
  std::string transformer_;
  std::string tokenizer_;
};

TEST(ModelFolder, OpensTheBundledModel) {
  const auto model = OpenModelFolder(kBundled);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->config.name, "hmar-cifar10");
  EXPECT_NEAR(static_cast<double>(model->parameters), 25.4e6, 0.1e6);
  EXPECT_EQ(model->digest.size(), 64u);
  EXPECT_EQ(model->transformer->tensors().count("pos_1LC"), 1u);
  EXPECT_EQ(model->tokenizer->tensors().count("quantize.embedding.weight"), 1u);
}

TEST(ModelFolder, OpensASmallModel) {
  const SmallModel small;
  const auto model = small.Open();
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->config.classes.size(), 2u);
}

TEST(ModelFolder, HasTheDigestThatItsHeaderDescribes) {
  const SmallModel small;
  const auto sha = [&](const std::string& name) {
    return Sha256OfText(ReadFile(small.folder_ / name));
  };
  EXPECT_EQ(small.Open()->digest, Sha256OfText("config " + sha("config.json") + "\ntransformer " +
                                               sha("hmar.safetensors") + "\ntokenizer " +
                                               sha("vqvae.safetensors") + "\n"));
}

TEST(ModelFolder, HasAnotherDigestForAnyOtherByte) {
  const SmallModel small;
  const std::string before = small.Open()->digest;
  EXPECT_EQ(small.Open()->digest, before);
  std::string changed = small.transformer_;
  changed.back() ^= 1;
  small.folder_.Write("hmar.safetensors", changed);
  EXPECT_NE(small.Open()->digest, before);
  small.folder_.Write("hmar.safetensors", small.transformer_);
  EXPECT_EQ(small.Open()->digest, before);
  small.folder_.Write("config.json", small.config_.dump() + "\n");
  EXPECT_NE(small.Open()->digest, before);
}

// Writes `bytes` under another name and renames them to `name`, which is always one file or
// another.
void Replace(const TempFolder& folder, const std::string& name, const std::string& bytes) {
  std::filesystem::rename(folder.Write(name + ".new", bytes), folder / name);
}

TEST(ModelFolder, HasTheDigestOfTheFilesThatItReads) {
  const SmallModel small;
  const std::string zeros = small.transformer_;
  std::string ones = zeros;
  ones.back() ^= 1;
  const std::string of_zeros = small.Open()->digest;
  const std::jthread renames([&](const std::stop_token& stop) {
    for (int i = 0; !stop.stop_requested(); ++i) {
      Replace(small.folder_, "hmar.safetensors", i % 2 == 0 ? ones : zeros);
    }
  });
  int seen[2] = {0, 0};
  for (int i = 0; i < 5'000 && (i < 100 || seen[0] < 20 || seen[1] < 20); ++i) {
    const auto model = small.Open();
    ASSERT_TRUE(model.ok()) << model.status();
    const std::string last_tensor = std::prev(model->transformer->tensors().end())->first;
    std::vector<uint8_t> buffer;
    const bool is_zeros = model->transformer->Read(last_tensor, &buffer)->back() == 0;
    ASSERT_EQ(model->digest == of_zeros, is_zeros) << "at attempt " << i;
    ++seen[is_zeros];
  }
  EXPECT_TRUE(seen[0] > 0 && seen[1] > 0);
}

TEST(ModelFolder, FindsWeightsUnderTheirPublishedNames) {
  const SmallModel small;
  small.Remove("hmar.safetensors");
  small.Remove("vqvae.safetensors");
  small.folder_.Write("hmar-d16.safetensors", small.transformer_);
  small.folder_.Write("vae_ch160v4096z32.safetensors", small.tokenizer_);
  EXPECT_TRUE(small.Open().ok()) << small.Open().status();
}

TEST(ModelFolder, PrefersThePlainNameAndSafetensors) {
  const SmallModel small;
  small.folder_.Write("hmar.pth", "not even a zip archive");
  small.folder_.Write("hmar-old.safetensors", "broken");
  EXPECT_TRUE(small.Open().ok()) << small.Open().status();
  small.Remove("hmar.safetensors");
  EXPECT_THAT(small.Error(), HasSubstr("hmar.pth: is not a zip archive"));
}

TEST(ModelFolder, AsksWhichOfSeveralFilesIsMeant) {
  const SmallModel small;
  small.Remove("hmar.safetensors");
  small.folder_.Write("hmar-d16.safetensors", small.transformer_);
  small.folder_.Write("hmar-d20.safetensors", small.transformer_);
  EXPECT_EQ(small.Open().status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(small.Error(), HasSubstr("hmar-d16.safetensors, hmar-d20.safetensors could each be"));
}

TEST(ModelFolder, SaysWhatIsMissing) {
  EXPECT_EQ(OpenModelFolder("/no/such/folder").status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(OpenModelFolder("/no/such/folder").status().message()),
              HasSubstr("/no/such/folder"));
  for (const std::string name : {"hmar", "vqvae"}) {
    const SmallModel small;
    small.Remove(name + ".safetensors");
    EXPECT_EQ(small.Open().status().code(), absl::StatusCode::kNotFound);
    EXPECT_THAT(small.Error(), HasSubstr("has no " + name + ".safetensors or " + name + ".pth"));
  }
}

TEST(ModelFolder, WithoutAConfigurationNeedsAnArchitecture) {
  const SmallModel small;
  small.Remove("config.json");
  EXPECT_EQ(small.Open().status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(small.Error(), AllOf(HasSubstr("no config.json"), HasSubstr("--architecture")));
  EXPECT_THAT(std::string(small.Open("hmar-d17").status().message()), HasSubstr("hmar-d16, "));
  // Now it is known what the weights should be, and they are not.
  EXPECT_THAT(std::string(small.Open("hmar-d16").status().message()),
              HasSubstr("wanted shape (6144)"));
}

TEST(ModelFolder, WithAConfigurationNeedsNoArchitecture) {
  const SmallModel small;
  const auto model = small.Open("hmar-d16");
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->config.name, "small");
}

TEST(ModelFolder, NamesFileTensorFoundAndWantedWhenTheWeightsDoNotFit) {
  const SmallModel small;
  nlohmann::json config = small.config_;
  config["classes"] = {"cat", "dog", "ship"};
  small.folder_.Write("config.json", config.dump());
  EXPECT_THAT(small.Error(), AllOf(HasSubstr("hmar.safetensors: tensor \"class_emb.weight\""),
                                   HasSubstr("has shape (3, 4); wanted (4, 4)")));
}

TEST(ModelFolder, NamesABrokenConfigurationsPath) {
  const SmallModel small;
  small.folder_.Write("config.json", "{");
  EXPECT_THAT(small.Error(), HasSubstr(small.folder_ / "config.json"));
}

TEST(Sha256, GivesThePublishedDigests) {
  // FIPS 180-2, appendix B.
  EXPECT_EQ(Sha256OfText("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256OfText(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, OfAFileIsThatOfItsBytes) {
  const TempFolder folder;
  const std::string bytes(3'000'001, 'x');  // More than two chunks of reading.
  EXPECT_EQ(*Sha256OfFile(**MappedFile::Open(folder.Write("file", bytes))), Sha256OfText(bytes));
  EXPECT_EQ(*Sha256OfFile(**MappedFile::Open(folder.Write("none", ""))), Sha256OfText(""));
}

TEST(Sha256, OfAFileIsThatOfTheOneThatWasOpened) {
  const TempFolder folder;
  const auto file = *MappedFile::Open(folder.Write("file", "old"));
  Replace(folder, "file", "new");
  EXPECT_EQ(*Sha256OfFile(*file), Sha256OfText("old"));
  std::filesystem::remove(folder / "file");
  EXPECT_EQ(*Sha256OfFile(*file), Sha256OfText("old"));
}

TEST(Sha256, OfAFileThatWasCutShortIsNone) {
  const TempFolder folder;
  const auto file = *MappedFile::Open(folder.Write("file", std::string(10'000, 'x')));
  std::filesystem::resize_file(folder / "file", 9'000);
  EXPECT_EQ(Sha256OfFile(*file).status(), absl::DataLossError("was cut from 10000 to 9000 bytes"));
}

}  // namespace
}  // namespace hmar
