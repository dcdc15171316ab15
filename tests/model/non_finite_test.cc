// Numbers that are not finite, wherever a model makes them, fail the image that they would be in,
// and no other. Made with the bundled model and weights that break it for some tokens or for all.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/model/golden.h"
#include "tests/model/seen_images.h"
#include "tests/model/weight_files.h"

namespace hmar {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr uint16_t kNan = 0x7e00, kInfinity = 0x7c00, kLowest = 0xfbff;  // In fp16.

// A copy of the bundled model, some of whose weights are others.
class PatchedModel {
 public:
  PatchedModel() {
    for (const char* file : {"config.json", "hmar.safetensors", "vqvae.safetensors"}) {
      std::filesystem::copy_file(std::string("deploy/models/hmar-cifar10/") + file, folder_ / file);
    }
  }

  // Sets `count` elements of a tensor from `first` on.
  void Set(const std::string& file, const std::string& tensor, size_t first, size_t count,
           uint16_t fp16) {
    std::string bytes = ReadFile(folder_ / file);
    uint64_t header_bytes = 0;
    std::memcpy(&header_bytes, bytes.data(), sizeof(header_bytes));
    const auto row = nlohmann::json::parse(bytes.substr(8, header_bytes)).at(tensor);
    ASSERT_EQ(row.at("dtype"), "F16");
    const size_t begin = row.at("data_offsets")[0].get<size_t>() + 2 * first;
    ASSERT_LE(begin + 2 * count, row.at("data_offsets")[1].get<size_t>());
    for (size_t i = 0; i < count; ++i) {
      std::memcpy(&bytes[8 + header_bytes + begin + 2 * i], &fp16, sizeof(fp16));
    }
    folder_.Write(file, bytes);
  }

  std::unique_ptr<Engine> Load() const { return LoadEngine(folder_.path(), true); }

 private:
  TempFolder folder_;
};

constexpr int32_t kBroken = 1023;  // The codebook's last token.

// Of kBroken the codebook says nothing, so that each feature map with it, and each picture made of
// that, is not finite. It is never drawn.
std::unique_ptr<Engine> EngineOfABrokenToken() {
  PatchedModel model;
  model.Set("vqvae.safetensors", "quantize.embedding.weight", kBroken * 32, 32, kNan);
  for (const char* head : {"ns_head.bias", "mask_head.bias"}) {
    model.Set("hmar.safetensors", head, kBroken, 1, kLowest);
  }
  return model.Load();
}

// The tokens that `seed` draws, kBroken put at a place of one scale.
TokenPyramid BrokenTokens(Engine* engine, uint64_t seed, int scale) {
  TokenPyramid tokens =
      RunAll(engine, {VariedTask(engine->info().config, seed, PreviewMode::kNone)})[0].tokens;
  tokens[scale].back() = kBroken;
  return tokens;
}

// What became of images.
struct Fates {
  std::map<ImageId, Seen> seen;
  std::map<ImageId, absl::Status> failed;
  std::vector<ImageId> passed;  // Images that a step both failed and reported a pass of.
};

// Runs tasks in the same steps; image i has id i + 1.
Fates FatesOf(Engine* engine, const std::vector<ImageTask>& tasks) {
  Fates fates;
  std::vector<ImageId> ids;
  for (const ImageTask& task : tasks) {
    ids.push_back(ids.size() + 1);
    EXPECT_TRUE(engine->Admit(ids.back(), task).ok());
  }
  while (!ids.empty()) {
    const auto report = engine->Step(ids);
    EXPECT_TRUE(report.ok()) << report.status();
    if (!report.ok()) break;
    Record(*report, &fates.seen);
    for (const ImageReport& image : report->images) std::erase(ids, image.id);
    for (const FailureReport& failure : report->failures) {
      std::erase(ids, failure.id);
      EXPECT_TRUE(fates.failed.emplace(failure.id, failure.status).second) << "failed twice";
      for (const PassReport& pass : report->passes) {
        if (pass.id == failure.id) fates.passed.push_back(pass.id);
      }
      EXPECT_EQ(engine->Step({failure.id}).status().code(), absl::StatusCode::kInvalidArgument);
    }
  }
  return fates;
}

// The scales of the previews that an image left.
std::vector<uint32_t> PreviewScales(const Seen& seen) {
  std::vector<uint32_t> scales;
  for (const auto& [scale, rgb] : seen.previews) scales.push_back(scale);
  return scales;
}

void ExpectNotFinite(const Fates& fates, ImageId id, int scale) {
  ASSERT_EQ(fates.failed.count(id), 1u) << "image " << id;
  EXPECT_EQ(fates.failed.at(id), absl::InternalError("the picture of scale " +
                                                     std::to_string(scale) + " is not finite"));
}

TEST(NonFinitePictures, FailTheirImagesAlone) {
  const auto engine = EngineOfABrokenToken();
  const ModelConfig& config = engine->info().config;
  const int last = config.num_scales() - 1;
  std::vector<ImageTask> tasks;
  for (const uint64_t seed : {1, 2, 3, 4}) {  // Two to be left alone, two to fail.
    tasks.push_back(VariedTask(config, seed, seed % 2 ? PreviewMode::kFast : PreviewMode::kFull));
  }
  const std::vector<ImageTask> sound = {tasks[0], tasks[1]};
  // Everything is laid but one scale's tokens, and the last one keeps the broken token.
  tasks[2].given = std::make_shared<TokenPyramid>(BrokenTokens(engine.get(), 3, last));
  auto keep = std::make_shared<std::vector<KeepMap>>();
  for (int k = 0; k <= last; ++k) keep->emplace_back(config.tokens_of_scale(k), 1);
  keep->back()[0] = 0;
  tasks[2].keep = keep;
  tasks[2].preview_mode = PreviewMode::kNone;
  // Everything is laid.
  tasks[3].prefix = BrokenTokens(engine.get(), 4, last);
  tasks[3].preview_mode = PreviewMode::kNone;

  const Fates fates = FatesOf(engine.get(), tasks);
  EXPECT_THAT(fates.failed, SizeIs(2));
  ExpectNotFinite(fates, 3, last);
  ExpectNotFinite(fates, 4, last);
  EXPECT_THAT(fates.passed, IsEmpty());
  for (size_t i = 0; i < sound.size(); ++i) {
    const Fates alone = FatesOf(engine.get(), {sound[i]});
    ExpectSame(fates.seen.at(i + 1), alone.seen.at(1));
    EXPECT_THAT(alone.seen.at(1).previews, SizeIs(last + 1));
  }
}

TEST(NonFinitePictures, OfPreviewsFailTheirImagesAlone) {
  const auto engine = EngineOfABrokenToken();
  const ModelConfig& config = engine->info().config;
  const ImageTask sound = VariedTask(config, 1, PreviewMode::kFull);
  for (const PreviewMode mode : {PreviewMode::kFast, PreviewMode::kFull}) {
    ImageTask laid = VariedTask(config, 5, mode);  // Laid before the first pass.
    laid.prefix = BrokenTokens(engine.get(), 5, 2);
    laid.prefix.resize(4);
    ImageTask settled = VariedTask(config, 6, mode);  // Kept in a scale that has a pass.
    settled.given = std::make_shared<TokenPyramid>(BrokenTokens(engine.get(), 6, 3));
    auto keep = std::make_shared<std::vector<KeepMap>>();
    for (int k = 0; k < config.num_scales(); ++k) keep->emplace_back(config.tokens_of_scale(k), 1);
    for (const int k : {1, 3, 4}) (*keep)[k][0] = 0;
    settled.keep = keep;

    const Fates fates = FatesOf(engine.get(), {laid, sound, settled});
    EXPECT_THAT(fates.failed, SizeIs(2));
    ExpectNotFinite(fates, 1, 2);
    ExpectNotFinite(fates, 3, 3);
    EXPECT_THAT(PreviewScales(fates.seen.at(1)), ElementsAre(0, 1));
    EXPECT_THAT(PreviewScales(fates.seen.at(3)), ElementsAre(0, 1, 2));
    EXPECT_THAT(fates.passed, IsEmpty());
    ExpectSame(fates.seen.at(2), FatesOf(engine.get(), {sound}).seen.at(1));
  }
}

TEST(NonFinitePictures, AreNotHiddenByTheRangeOfAByte) {
  for (const uint16_t value : {kNan, kInfinity}) {
    PatchedModel model;
    model.Set("vqvae.safetensors", "decoder.conv_out.bias", 1, 1, value);
    const auto engine = model.Load();
    const ImageTask task = VariedTask(engine->info().config, 1, PreviewMode::kNone);
    ExpectNotFinite(FatesOf(engine.get(), {task}), 1, 6);
    // Nor is a read-out fitted to such pictures.
    const absl::Status fast =
        engine->Admit(1, VariedTask(engine->info().config, 1, PreviewMode::kFast));
    EXPECT_EQ(fast.code(), absl::StatusCode::kFailedPrecondition) << fast;
  }
}

TEST(NonFiniteFeatures, HaveNoTokens) {
  PatchedModel model;
  model.Set("vqvae.safetensors", "encoder.conv_out.bias", 0, 1, kInfinity);
  const auto engine = model.Load();
  const auto S = static_cast<uint32_t>(engine->info().config.image_size);
  const Picture picture{S, S, std::vector<uint8_t>(size_t{3} * S * S, 128)};
  const Picture* pictures[] = {&picture};
  const absl::Status status = engine->Encode(pictures).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("features are not finite"));
}

}  // namespace
}  // namespace hmar
