// What the CUDA engine's pictures come with: their tokens, and failures where they are not finite.
// Images whose prefix has every scale take no forward, so many of them can share a step.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "model/cuda_engine.h"
#include "model/model_folder.h"
#include "nlohmann/json.hpp"
#include "tests/kernels/device_array.h"
#include "tests/model/golden.h"
#include "tests/model/seen_images.h"

namespace hmar {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

std::unique_ptr<Engine> Load(const std::string& folder, uint32_t max_images) {
  auto opened = OpenModelFolder(folder);
  EXPECT_TRUE(opened.ok()) << opened.status();
  CudaEngineOptions options;
  options.max_images = max_images;
  options.max_step_rows = 4096;
  options.fast_previews = false;
  options.graphs = false;
  auto engine = MakeCudaEngine(*std::move(opened), options);
  EXPECT_TRUE(engine.ok()) << engine.status();
  return *std::move(engine);
}

// Every token given; never `never`.
ImageTask Drawn(const ModelConfig& config, uint64_t seed, int32_t never = -1) {
  ImageTask task;
  task.sampling = config.sampling;
  std::mt19937 random(static_cast<uint32_t>(seed));
  for (int k = 0; k < config.num_scales(); ++k) {
    TokenMap& tokens = task.prefix.emplace_back(config.tokens_of_scale(k));
    for (int32_t& token : tokens) {
      do {
        token = static_cast<int32_t>(random() % config.tokenizer.vocab_size);
      } while (token == never);
    }
  }
  return task;
}

// All that comes of images that share their only step.
struct Outcome {
  std::map<ImageId, Seen> seen;
  std::map<ImageId, absl::Status> failed;
};

Outcome MakeAll(Engine* engine, const std::map<ImageId, ImageTask>& tasks) {
  Outcome outcome;
  std::vector<ImageId> ids;
  for (const auto& [id, task] : tasks) {
    EXPECT_TRUE(engine->Admit(id, task).ok());
    ids.push_back(id);
  }
  const auto delivered = [&outcome] {
    return std::count_if(outcome.seen.begin(), outcome.seen.end(),
                         [](const auto& entry) { return !entry.second.picture.rgb.empty(); });
  };
  for (int i = 0; i < 1000; ++i) {
    const auto report = engine->Step(i == 0 ? ids : std::vector<ImageId>());
    EXPECT_TRUE(report.ok()) << report.status();
    if (!report.ok()) break;
    Record(*report, &outcome.seen);
    for (const FailureReport& failure : report->failures) {
      EXPECT_TRUE(outcome.failed.emplace(failure.id, failure.status).second) << "failed twice";
    }
    if (delivered() + outcome.failed.size() == tasks.size()) break;
  }
  return outcome;
}

// More finals in one step than there are buffers for feature maps (64 batches of 4 at 512 px): the
// first pictures are delivered while the last are ordered.
TEST(CudaPicturesTest, ComeWithTheirTokensHoweverManyEndInAStep) {
  HMAR_SKIP_WITHOUT_GPU();
  constexpr ImageId kImages = 330;
  const std::unique_ptr<Engine> engine = Load(Golden("tiny-512").model_folder(), kImages);
  std::map<ImageId, ImageTask> tasks;
  for (ImageId id = 1; id <= kImages; ++id) tasks[id] = Drawn(engine->info().config, id);
  Outcome outcome = MakeAll(engine.get(), tasks);
  ASSERT_THAT(outcome.seen, SizeIs(kImages));
  int wrong = 0;
  for (const auto& [id, task] : tasks) wrong += outcome.seen[id].tokens != task.prefix;
  EXPECT_EQ(wrong, 0) << "images with other tokens than theirs";
  for (const ImageId id : {ImageId{1}, ImageId{200}, kImages}) {
    SCOPED_TRACE(id);
    ExpectSame(outcome.seen[id], MakeAll(engine.get(), {{id, tasks[id]}}).seen[id]);
  }
}

// A copy of a model with one vector of the codebook NaN, in whatever type the file has.
class NanModel {
 public:
  NanModel(const std::string& folder, int32_t token, int vocabulary)
      : folder_(testing::TempDir() + "nan-model-" + std::to_string(getpid())) {
    std::filesystem::remove_all(folder_);
    std::filesystem::copy(folder, folder_);
    const std::string path = folder_ + "/vqvae.safetensors";
    std::ifstream in(path, std::ios::binary);
    std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    uint64_t header = 0;
    std::memcpy(&header, bytes.data(), sizeof(header));
    const auto offsets = nlohmann::json::parse(bytes.substr(sizeof(header), header))
                             .at("quantize.embedding.weight")
                             .at("data_offsets")
                             .get<std::vector<size_t>>();
    const size_t row = (offsets[1] - offsets[0]) / vocabulary;
    std::memset(bytes.data() + sizeof(header) + header + offsets[0] + token * row, 0xFF, row);
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    std::ofstream(path, std::ios::binary) << bytes;
  }
  ~NanModel() { std::filesystem::remove_all(folder_); }

  const std::string& folder() const { return folder_; }

 private:
  const std::string folder_;
};

class CudaNanTest : public testing::Test {
 protected:
  static constexpr int32_t kNan = 77;

  void SetUp() override {
    HMAR_SKIP_WITHOUT_GPU();
    const NanModel model(Golden("tiny-256").model_folder(), kNan, 512);
    engine_ = Load(model.folder(), 16);
    ASSERT_EQ(config().tokenizer.vocab_size, 512);
  }

  const ModelConfig& config() const { return engine_->info().config; }

  ImageTask Finite(uint64_t seed) const { return Drawn(config(), seed, kNan); }

  ImageTask NanAt(uint64_t seed, int scale) const {
    ImageTask task = Finite(seed);
    task.prefix[scale].back() = kNan;
    return task;
  }

  static void ExpectNotFinite(const absl::Status& status, int scale) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << status;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("scale " + std::to_string(scale) + " is not finite"));
  }

  std::unique_ptr<Engine> engine_;
};

TEST_F(CudaNanTest, APictureThatIsNotFiniteFailsItsImageAlone) {
  const int last = config().num_scales() - 1;
  std::map<ImageId, ImageTask> tasks;
  for (ImageId id = 1; id <= 9; ++id) tasks[id] = id == 4 ? NanAt(id, last) : Finite(id);
  Outcome outcome = MakeAll(engine_.get(), tasks);
  ASSERT_THAT(outcome.failed, SizeIs(1));
  ExpectNotFinite(outcome.failed[4], last);
  EXPECT_THAT(outcome.seen, SizeIs(8));
  for (const ImageId id : {1, 3, 5, 9}) {
    SCOPED_TRACE(id);
    ExpectSame(outcome.seen[id], MakeAll(engine_.get(), {{id, tasks[id]}}).seen[id]);
  }
  EXPECT_THAT(MakeAll(engine_.get(), {{4, Finite(4)}}).seen, SizeIs(1))
      << "its slot and id are free";
}

TEST_F(CudaNanTest, SoDoesAPreviewAndNothingComesAfterIt) {
  constexpr int kScale = 3;
  std::map<ImageId, ImageTask> tasks;
  for (ImageId id = 1; id <= 3; ++id) {
    tasks[id] = id == 2 ? NanAt(id, kScale) : Finite(id);
    tasks[id].preview_mode = PreviewMode::kFull;
    tasks[id].preview_scales.assign(config().num_scales(), true);
  }
  Outcome outcome = MakeAll(engine_.get(), tasks);
  ASSERT_THAT(outcome.failed, SizeIs(1));
  ExpectNotFinite(outcome.failed[2], kScale);
  EXPECT_THAT(outcome.seen[2].previews, SizeIs(kScale));
  EXPECT_TRUE(outcome.seen[2].picture.rgb.empty());
  for (const ImageId id : {1, 3}) {
    EXPECT_THAT(outcome.seen[id].previews, SizeIs(config().num_scales()));
    EXPECT_FALSE(outcome.seen[id].picture.rgb.empty());
  }
}

}  // namespace
}  // namespace hmar
