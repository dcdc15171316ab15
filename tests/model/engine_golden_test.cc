// Whole images against the reference, token for token, and the stages of one image one by one.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "model/inspector.h"
#include "model/model_folder.h"
#include "model/philox.h"
#include "model/sampler.h"
#include "tests/model/golden.h"

namespace hmar {
namespace {

int64_t RgbSum(const Picture& picture) {
  int64_t sum = 0;
  for (const uint8_t c : picture.rgb) sum += c;
  return sum;
}

// Largest |a - b|.
float Distance(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  float largest = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

class WholeImages : public testing::TestWithParam<std::string> {};

TEST_P(WholeImages, HaveTheReferencesTokensAndPixels) {
  const Golden golden(GetParam());
  const auto engine = LoadEngine(golden.model_folder());
  for (size_t i = 0; i < golden.images().size(); ++i) {
    SCOPED_TRACE(i);
    const GoldenImage& wanted = golden.images()[i];
    const std::vector<ImageReport> images = RunAll(engine.get(), {wanted.task});
    EXPECT_EQ(images[0].tokens, wanted.tokens);
    const Picture& picture = images[0].picture;
    EXPECT_NEAR(RgbSum(picture), wanted.rgb_sum, picture.rgb.size() / 100);
    if (!golden.has("rgb_" + std::to_string(i))) continue;
    const std::vector<float> rgb(picture.rgb.begin(), picture.rgb.end());
    EXPECT_LE(Distance(rgb, golden.array("rgb_" + std::to_string(i))), 1);
  }
}

TEST_P(WholeImages, AreTheSameInOneCrowd) {
  const Golden golden(GetParam());
  const auto engine = LoadEngine(golden.model_folder());
  std::vector<ImageTask> tasks;
  for (const GoldenImage& image : golden.images()) tasks.push_back(image.task);
  const std::vector<ImageReport> images = RunAll(engine.get(), tasks);
  ASSERT_EQ(images.size(), tasks.size());
  for (size_t i = 0; i < tasks.size(); ++i)
    EXPECT_EQ(images[i].tokens, golden.images()[i].tokens) << i;
}

// ---------------------------------------------------------------- edits

Picture SourcePicture(const Golden& golden, const std::string& name) {
  const std::vector<float> rgb = golden.array(name);
  const auto side = static_cast<uint32_t>(std::lround(std::sqrt(rgb.size() / 3)));
  return {side, side, {rgb.begin(), rgb.end()}};
}

TEST(Edits, EncodeTheirSourcesToTheReferencesTokens) {
  const Golden golden("hmar-cifar10");
  const auto engine = LoadEngine(golden.model_folder());
  int checked = 0;
  for (const nlohmann::json& document : golden.image_documents()) {
    if (!document.contains("source")) continue;
    const Picture picture = SourcePicture(golden, document["source"].get<std::string>());
    const Picture* pictures[] = {&picture};
    const auto tokens = engine->Encode(pictures);
    ASSERT_TRUE(tokens.ok()) << tokens.status();
    EXPECT_EQ(tokens->front(), TokenMapsOf(document["given"]));
    ++checked;
  }
  EXPECT_EQ(checked, 7);
}

TEST(Edits, KeepWhatTheReferenceKeepsOfARegion) {
  const Golden golden("hmar-cifar10");
  const auto folder = OpenModelFolder(golden.model_folder());
  ASSERT_TRUE(folder.ok()) << folder.status();
  for (const nlohmann::json& document : golden.image_documents()) {
    if (!document.contains("region")) continue;
    const KeepMap region = DigitsOf(document["region"].get<std::string>());
    EXPECT_EQ(KeepMaps(KeepCells(region, folder->config), folder->config),
              KeepMapsOf(document["keep"]));
  }
}

INSTANTIATE_TEST_SUITE_P(Models, WholeImages,
                         testing::Values("hmar-cifar10", "tiny-256", "tiny-256-shared",
                                         "tiny-256-plain", "tiny-512"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

class Stages : public testing::Test {
 protected:
  Stages() : golden_("hmar-cifar10") {
    auto folder = OpenModelFolder(golden_.model_folder());
    EXPECT_TRUE(folder.ok()) << folder.status();
    auto inspector = MakeCpuInspector(*std::move(folder));
    EXPECT_TRUE(inspector.ok()) << inspector.status();
    inspector_ = *std::move(inspector);
    task_ = TaskOf(golden_.stages()["request"]);
    tokens_ = TokenMapsOf(golden_.stages()["request"]["tokens"]);
  }

  // The recorded request, standing at `scale` with the recorded tokens before it.
  ImageTask TaskAt(int scale) const {
    ImageTask task = task_;
    task.prefix.assign(tokens_.begin(), tokens_.begin() + scale);
    return task;
  }

  const Golden golden_;
  std::unique_ptr<Inspector> inspector_;
  ImageTask task_;
  std::vector<TokenMap> tokens_;
};

TEST_F(Stages, NextScalePassesEmbedAndScoreAsTheReference) {
  for (int scale = 0; scale <= 3; ++scale) {
    SCOPED_TRACE(scale);
    const std::string suffix = std::to_string(scale) + "_0";
    std::vector<float> embedded = inspector_->Embed(TaskAt(scale), 0, {}, {});
    const std::vector<float> wanted = golden_.array("embed_" + suffix);
    embedded.resize(wanted.size());  // Less the unconditional half, which is the same.
    EXPECT_LE(Distance(embedded, wanted), 1e-5);
    EXPECT_LE(Distance(inspector_->PassLogits(TaskAt(scale), 0, {}, {}),
                       golden_.array("logits_" + suffix)),
              1e-4);
  }
}

TEST_F(Stages, MaskPassesEmbedAndScoreAsTheReference) {
  int checked = 0;
  for (const nlohmann::json& state : golden_.stages()["masked"]) {
    const int scale = state["scale"].get<int>();
    const uint32_t step = state["step"].get<uint32_t>();
    const std::string suffix = std::to_string(scale) + "_" + std::to_string(step);
    SCOPED_TRACE(suffix);
    const auto tokens = state["tokens"].get<TokenMap>();
    const auto open = state["open"].get<std::vector<uint8_t>>();
    EXPECT_LE(Distance(inspector_->Embed(TaskAt(scale), step, tokens, open),
                       golden_.array("embed_" + suffix)),
              1e-5);
    EXPECT_LE(Distance(inspector_->PassLogits(TaskAt(scale), step, tokens, open),
                       golden_.array("logits_" + suffix)),
              1e-4);
    ++checked;
  }
  EXPECT_EQ(checked, 4);  // [1, 3] has one mask pass, [1, 1, 2, 5] three.
}

TEST_F(Stages, FeatureMapSumsTheScalesContributions) {
  std::vector<float> f_hat(golden_.array("f_hat_0").size(), 0);
  for (int scale = 0; scale < inspector_->config().num_scales(); ++scale) {
    const std::vector<float> added = inspector_->Contribution(scale, tokens_[scale]);
    for (size_t i = 0; i < f_hat.size(); ++i) f_hat[i] += added[i];
    const std::string name = "f_hat_" + std::to_string(scale);
    if (!golden_.has(name)) continue;
    EXPECT_LE(Distance(f_hat, golden_.array(name)), 1e-5) << scale;
  }
}

TEST_F(Stages, DecoderGivesTheReferencesImage) {
  const int last = inspector_->config().num_scales() - 1;
  const std::vector<float> image =
      inspector_->Decode(golden_.array("f_hat_" + std::to_string(last)));
  EXPECT_LE(Distance(image, golden_.array("decoded")), 1e-5);
}

TEST_F(Stages, EncoderGivesTheReferencesTokens) {
  EXPECT_EQ(inspector_->Encode(golden_.array("decoded")), TokenMapsOf(golden_.stages()["encoded"]));
}

TEST_F(Stages, DrawsAgreeUnderEveryTruncation) {
  const std::vector<float> logits = golden_.array("logits_3_0");
  const size_t V = 1024;
  DrawScratch scratch;
  for (const nlohmann::json& draw : golden_.stages()["draws"]) {
    SCOPED_TRACE(draw.dump().substr(0, 120));
    const DrawParams params(draw["temperature"].get<float>(), draw["top_k"].get<uint32_t>(),
                            draw["top_p"].get<float>());
    const auto tokens = draw["tokens"].get<TokenMap>();
    for (size_t i = 0; i < tokens.size(); ++i) {
      const float u = TokenUniform(draw["seed"].get<uint64_t>(), static_cast<uint32_t>(i),
                                   draw["scale"].get<uint32_t>(), draw["step"].get<uint32_t>());
      const Drawn drawn = DrawToken({logits.data() + i * V, V}, params, u, &scratch);
      EXPECT_EQ(drawn.token, tokens[i]) << i;
      EXPECT_NEAR(drawn.confidence, draw["confidence"][i].get<float>(), 1e-6) << i;
    }
  }
}

}  // namespace
}  // namespace hmar
