// The packed engine's promises: what shares a step changes nothing, to the byte; previews, cancel,
// failures.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <random>

#include "model/cpu_engine.h"
#include "model/model_folder.h"
#include "model/sampling_plan.h"
#include "tests/model/golden.h"
#include "tests/model/seen_images.h"

namespace hmar {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class EngineTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    engine_ = LoadEngine("deploy/models/hmar-cifar10", true).release();
  }
  static void TearDownTestSuite() { delete engine_; }

  static const ModelConfig& config() { return engine_->info().config; }

  static ImageTask Task(uint64_t seed, PreviewMode mode = PreviewMode::kNone) {
    return VariedTask(config(), seed, mode);
  }

  // Steps `ids` and drops from it the images that finish.
  static StepReport StepAll(std::vector<ImageId>* ids) {
    auto report = engine_->Step(*ids);
    EXPECT_TRUE(report.ok()) << report.status();
    for (const ImageReport& image : report->images) std::erase(*ids, image.id);
    return *std::move(report);
  }

  static Seen Alone(const ImageTask& task) {
    std::map<ImageId, Seen> seen;
    std::vector<ImageId> ids = {1};
    EXPECT_TRUE(engine_->Admit(1, task).ok());
    while (!ids.empty()) Record(StepAll(&ids), &seen);
    return seen[1];
  }

  // A picture of waves; `seed` makes it.
  static Picture Source(uint64_t seed) {
    const auto S = static_cast<uint32_t>(config().image_size);
    Picture picture{S, S, std::vector<uint8_t>(3 * S * S)};
    for (size_t i = 0; i < picture.rgb.size(); ++i) {
      picture.rgb[i] = static_cast<uint8_t>(128 + 100 * std::sin(0.01 * (seed + 2) * i + seed));
    }
    return picture;
  }

  // An edit of a source picture: a random box is generated.
  static ImageTask Edit(uint64_t seed, PreviewMode mode = PreviewMode::kNone) {
    ImageTask task = Task(seed, mode);
    const int S = config().image_size;
    std::mt19937 random(static_cast<uint32_t>(seed));
    const int x0 = random() % S, y0 = random() % S, x1 = x0 + 1 + random() % (S - x0),
              y1 = y0 + 1 + random() % (S - y0);
    std::vector<uint8_t> region(S * S, 0);
    for (int y = y0; y < y1; ++y) std::fill(&region[y * S + x0], &region[y * S] + x1, 1);
    task.keep =
        std::make_shared<std::vector<KeepMap>>(KeepMaps(KeepCells(region, config()), config()));
    task.given = std::make_shared<TokenPyramid>(Encoded({Source(seed)}).front());
    return task;
  }

  static std::vector<TokenPyramid> Encoded(const std::vector<Picture>& pictures) {
    std::vector<const Picture*> pointers;
    for (const Picture& picture : pictures) pointers.push_back(&picture);
    auto tokens = engine_->Encode(pointers);
    EXPECT_TRUE(tokens.ok()) << tokens.status();
    return *std::move(tokens);
  }

  static Engine* engine_;
};

Engine* EngineTest::engine_ = nullptr;

TEST_F(EngineTest, CrowdAtMixedScalesChangesNoByte) {
  constexpr int kImages = 24;
  std::mt19937 random(7);
  std::map<ImageId, Seen> seen;
  std::vector<ImageId> ids;
  ImageId next = 1;
  while (next <= kImages || !ids.empty()) {
    for (uint32_t joins = random() % 4; joins > 0 && next <= kImages; --joins, ++next) {
      ASSERT_TRUE(
          engine_->Admit(next, Task(next, next % 2 ? PreviewMode::kFast : PreviewMode::kFull))
              .ok());
      ids.push_back(next);
    }
    if (ids.empty()) continue;
    // Some sit a step out, and the order is never the same.
    std::shuffle(ids.begin(), ids.end(), random);
    std::vector<ImageId> now(ids.begin(), ids.begin() + 1 + random() % ids.size());
    auto report = engine_->Step(now);
    ASSERT_TRUE(report.ok()) << report.status();
    for (const ImageReport& image : report->images) std::erase(ids, image.id);
    Record(*report, &seen);
  }
  ASSERT_THAT(seen, SizeIs(kImages));
  for (ImageId id = 1; id <= kImages; ++id) {
    SCOPED_TRACE(id);
    ExpectSame(seen[id], Alone(Task(id, id % 2 ? PreviewMode::kFast : PreviewMode::kFull)));
  }
}

TEST_F(EngineTest, EditsShareStepsWithGenerationsAndNoByteChanges) {
  std::map<ImageId, Seen> seen;
  std::vector<ImageId> ids;
  std::vector<ImageTask> tasks(1);
  for (uint64_t i = 1; i <= 16; ++i) {
    const PreviewMode mode = i % 3 == 0 ? PreviewMode::kFast : PreviewMode::kFull;
    tasks.push_back(i % 2 == 0 ? Task(i, mode) : Edit(i, mode));
    ASSERT_TRUE(engine_->Admit(i, tasks.back()).ok());
    ids.push_back(i);
  }
  while (!ids.empty()) {
    Record(StepAll(&ids), &seen);
    Encoded({Source(1), Source(2)});  // Between steps, as the server does it.
  }
  for (ImageId id = 1; id <= 16; ++id) {
    SCOPED_TRACE(id);
    ExpectSame(seen[id], Alone(tasks[id]));
  }
}

TEST_F(EngineTest, EditsNeverChangeAKeptToken) {
  for (uint64_t seed = 100; seed < 130; ++seed) {
    const ImageTask task = Edit(seed);
    const Seen seen = Alone(task);
    bool changed = false;
    for (int k = 0; k < config().num_scales(); ++k) {
      for (size_t i = 0; i < seen.tokens[k].size(); ++i) {
        const bool same = seen.tokens[k][i] == (*task.given)[k][i];
        EXPECT_TRUE(same || (*task.keep)[k][i] == 0) << "seed " << seed << " scale " << k;
        changed = changed || !same;
      }
    }
    EXPECT_TRUE(changed) << "nothing was generated for seed " << seed;
  }
}

TEST_F(EngineTest, ScalesThatAreKeptCostNoForward) {
  ImageTask task = Edit(3, PreviewMode::kFast);
  auto keep = std::make_shared<std::vector<KeepMap>>();
  for (int k = 0; k < config().num_scales(); ++k) {
    keep->emplace_back(config().tokens_of_scale(k), 1);
  }
  (*keep)[2][4] = 0;
  (*keep)[4][7] = 0;
  task.keep = keep;
  task.sampling.mask_schedule = PresetSchedule(SchedulePreset::kNone, config());
  ASSERT_TRUE(engine_->Admit(1, task).ok());
  const auto first = engine_->Step({1}), second = engine_->Step({1});
  ASSERT_TRUE(first.ok() && second.ok());
  const auto scales = [](const StepReport& report) {
    std::vector<uint32_t> of;
    for (const PreviewReport& preview : report.previews) of.push_back(preview.scale);
    return of;
  };
  EXPECT_EQ(first->passes[0].scale, 2);
  EXPECT_THAT(scales(*first), ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(second->passes[0].scale, 4);
  EXPECT_TRUE(second->passes[0].last);
  EXPECT_THAT(scales(*second), ElementsAre(4, 5, 6));
  ASSERT_THAT(second->images, SizeIs(1));
  for (int k = 0; k < config().num_scales(); ++k) {
    if (k == 2 || k == 4) continue;
    EXPECT_EQ(second->images[0].tokens[k], (*task.given)[k]);
  }
}

TEST_F(EngineTest, AnEditThatKeepsEverythingIsTheSourcesDecodedTokens) {
  ImageTask task = Edit(5), prefix = Task(5);
  task.keep = std::make_shared<std::vector<KeepMap>>(
      KeepMaps(KeepMap(config().tokens_of_scale(config().num_scales() - 1), 1), config()));
  prefix.prefix = *task.given;
  ASSERT_TRUE(engine_->Admit(1, task).ok());
  const auto report = engine_->Step({1});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->rows, 0u);
  ASSERT_THAT(report->images, SizeIs(1));
  EXPECT_EQ(report->images[0].tokens, *task.given);
  EXPECT_TRUE(report->images[0].picture.rgb == Alone(prefix).picture.rgb);
}

TEST_F(EngineTest, APrefixGoesBeforeTheSourcesTokens) {
  ImageTask task = Edit(6);
  for (int k = 0; k < 3; ++k) task.prefix.emplace_back(config().tokens_of_scale(k), 7);
  const Seen seen = Alone(task);
  for (int k = 0; k < 3; ++k) EXPECT_EQ(seen.tokens[k], task.prefix[k]);
  for (size_t i = 0; i < seen.tokens[5].size(); ++i) {
    if ((*task.keep)[5][i] == 0) continue;
    EXPECT_EQ(seen.tokens[5][i], (*task.given)[5][i]);
  }
}

TEST_F(EngineTest, EncodesAPictureTheSameInAnyBatch) {
  std::vector<Picture> pictures;
  for (uint64_t seed = 0; seed < 70; ++seed) pictures.push_back(Source(seed));  // Two batches.
  const std::vector<TokenPyramid> together = Encoded(pictures);
  ASSERT_THAT(together, SizeIs(70));
  for (const size_t i : {0u, 1u, 31u, 63u, 64u, 69u}) {
    EXPECT_EQ(together[i], Encoded({pictures[i]}).front()) << i;
  }
  EXPECT_THAT(Encoded({}), IsEmpty());
}

TEST_F(EngineTest, RefusesToEncodeAPictureOfAnotherSize) {
  const Picture picture{8, 32, std::vector<uint8_t>(8 * 32 * 3)};
  const Picture* pictures[] = {&picture};
  const auto tokens = engine_->Encode(pictures);
  EXPECT_EQ(tokens.status(), absl::InvalidArgumentError("a picture of 8 x 32 pixels; the model's "
                                                        "images are 32 x 32"));
}

TEST_F(EngineTest, LargeCrowdChangesNoByte) {
  std::vector<ImageId> ids;
  for (ImageId id = 1; id <= 64; ++id) {
    ASSERT_TRUE(engine_->Admit(id, Task(id)).ok());
    ids.push_back(id);
  }
  std::map<ImageId, Seen> seen;
  while (!ids.empty()) Record(StepAll(&ids), &seen);
  for (const ImageId id : {1, 2, 14, 33, 64}) {
    SCOPED_TRACE(id);
    ExpectSame(seen[id], Alone(Task(id)));
  }
}

TEST_F(EngineTest, PreviewsComeInScaleOrderAndTheLastIsTheImage) {
  const Seen seen = Alone(Task(6, PreviewMode::kFull));
  ASSERT_THAT(seen.previews, SizeIs(config().num_scales()));
  for (uint32_t k = 0; k < seen.previews.size(); ++k) EXPECT_EQ(seen.previews[k].first, k);
  EXPECT_TRUE(seen.previews.back().second == seen.picture.rgb);
}

TEST_F(EngineTest, OnlyAskedScalesLeavePreviews) {
  ImageTask task = Task(6, PreviewMode::kFast);
  task.preview_scales = {false, true, false, false, true, false, false};
  const Seen seen = Alone(task);
  ASSERT_THAT(seen.previews, SizeIs(2));
  EXPECT_EQ(seen.previews[0].first, 1u);
  EXPECT_EQ(seen.previews[1].first, 4u);
}

// Mean squared distance of two pictures in steps of 1/255.
double MeanSquare(const std::vector<uint8_t>& a, const std::vector<uint8_t>& b) {
  EXPECT_EQ(a.size(), b.size());
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum / static_cast<double>(a.size());
}

TEST_F(EngineTest, FastPreviewsResembleTheDecodersPictures) {
  double error = 0, other = 0;
  for (uint64_t seed = 100; seed < 110; ++seed) {
    const Seen fast = Alone(Task(seed, PreviewMode::kFast)),
               full = Alone(Task(seed, PreviewMode::kFull));
    const Seen stranger = Alone(Task(seed + 50, PreviewMode::kFull));
    ASSERT_EQ(fast.previews.size(), full.previews.size());
    error += MeanSquare(fast.previews.back().second, full.previews.back().second);
    other += MeanSquare(fast.previews.back().second, stranger.previews.back().second);
  }
  // 20 dB: shapes and colours can be recognised.
  EXPECT_LT(error / 10, 255.0 * 255.0 / 100);
  EXPECT_LT(error * 5, other);
}

TEST_F(EngineTest, PrefixContinuesAsIfNeverInterrupted) {
  const ImageTask task = Task(12, PreviewMode::kFast);
  const Seen whole = Alone(task);
  for (int scales = 1; scales <= config().num_scales(); ++scales) {
    SCOPED_TRACE(scales);
    ImageTask cut = task;
    cut.prefix.assign(whole.tokens.begin(), whole.tokens.begin() + scales);
    ExpectSame(Alone(cut), whole);
  }
}

TEST_F(EngineTest, CancelledImageLeavesTheOthersAlone) {
  for (ImageId id = 1; id <= 3; ++id) ASSERT_TRUE(engine_->Admit(id, Task(id)).ok());
  std::vector<ImageId> ids = {1, 2, 3};
  std::map<ImageId, Seen> seen;
  for (int i = 0; i < 4; ++i) Record(StepAll(&ids), &seen);
  engine_->Cancel(2);
  engine_->Cancel(77);  // Unknown: ignored.
  EXPECT_EQ(engine_->Step({2}).status().code(), absl::StatusCode::kInvalidArgument);
  std::erase(ids, 2);
  while (!ids.empty()) Record(StepAll(&ids), &seen);
  ExpectSame(seen[1], Alone(Task(1)));
  ExpectSame(seen[3], Alone(Task(3)));
}

TEST_F(EngineTest, SaysWhatItsMemoryIsTakenFor) {
  const EngineInfo& info = engine_->info();
  std::map<std::string, uint64_t> bytes;
  for (const MemoryUse& use : info.memory) bytes[use.kind] = use.bytes;
  // fp32, and little more: panels padded to whole vectors, the codebook a second time, the read-out
  // of FAST previews.
  EXPECT_GT(bytes["weights"], info.parameters * sizeof(float));
  EXPECT_LT(bytes["weights"], info.parameters * sizeof(float) * 1.1);
  const TransformerConfig& transformer = info.config.transformer;
  const uint64_t blocks = transformer.depth + transformer.n_layers_train;
  EXPECT_EQ(bytes["class vectors"], (info.config.classes.size() + 1) * (6 * blocks + 4) *
                                        transformer.embed_dim * sizeof(float));
  const uint64_t f_hat = info.config.tokenizer.z_channels * 8 * 8 * sizeof(float);
  EXPECT_GT(bytes["slots"], info.max_images * f_hat);
  EXPECT_LT(bytes["slots"], info.max_images * f_hat * 2);
  EXPECT_THAT(bytes, SizeIs(3));
}

TEST_F(EngineTest, SlotsAreBoundedAndIdsUnique) {
  for (ImageId id = 1; id <= 64; ++id) ASSERT_TRUE(engine_->Admit(id, Task(id)).ok());
  EXPECT_EQ(engine_->Admit(65, Task(65)).code(), absl::StatusCode::kResourceExhausted);
  engine_->Cancel(64);
  EXPECT_EQ(engine_->Admit(1, Task(1)).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(engine_->Admit(65, Task(65)).ok());
  EXPECT_EQ(engine_->Step({1, 1}).status().code(), absl::StatusCode::kInvalidArgument);
  for (ImageId id = 1; id <= 65; ++id) engine_->Cancel(id);
}

TEST_F(EngineTest, EmptyStepReportsNothing) {
  auto report = engine_->Step({});
  ASSERT_TRUE(report.ok());
  EXPECT_THAT(report->passes, IsEmpty());
  EXPECT_THAT(report->images, IsEmpty());
}

TEST_F(EngineTest, NonFiniteLogitsFailTheirImageOnly) {
  ImageTask broken = Task(3);
  broken.class_id = 3;
  broken.sampling.cfg_scale =
      std::numeric_limits<float>::infinity();  // Validation refuses it; an overflow would not.
  ASSERT_TRUE(engine_->Admit(1, Task(1)).ok());
  ASSERT_TRUE(engine_->Admit(2, broken).ok());
  std::vector<ImageId> ids = {1, 2};
  std::map<ImageId, Seen> seen;
  Record(StepAll(&ids), &seen);  // Scale 0 has no guidance.
  const StepReport report = StepAll(&ids);
  ASSERT_THAT(report.failures, SizeIs(1));
  EXPECT_EQ(report.failures[0].id, 2u);
  EXPECT_EQ(report.failures[0].status.code(), absl::StatusCode::kInternal);
  ids = {1};
  while (!ids.empty()) Record(StepAll(&ids), &seen);
  ExpectSame(seen[1], Alone(Task(1)));
}

TEST(EngineFormats, PthGivesTheSameImagesAsSafetensors) {
  const Golden golden("tiny-256");
  const ImageTask task = golden.images()[0].task;
  const auto pth = LoadEngine(golden.model_folder() + "-pth");
  const std::vector<ImageReport> images = RunAll(pth.get(), {task});
  EXPECT_EQ(images[0].tokens, golden.images()[0].tokens);
}

}  // namespace
}  // namespace hmar
