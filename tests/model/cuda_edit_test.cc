// Edits on the CUDA engine: what is kept stays, whatever shares the steps; and its encoder against
// the CPU engine's.

#include <cmath>
#include <cstdio>
#include <random>

#include "tests/model/cuda_engine_fixture.h"

namespace hmar {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

size_t FreeBytes() {
  size_t free = 0, total = 0;
  CheckCuda(cudaMemGetInfo(&free, &total));
  return free;
}

class CudaEditTest : public CudaEngineTest {
 protected:
  int scales() const { return config().num_scales(); }

  // A picture of waves; `seed` makes it.
  Picture Source(uint64_t seed) const {
    const auto S = static_cast<uint32_t>(config().image_size);
    Picture picture{S, S, std::vector<uint8_t>(size_t{3} * S * S)};
    for (size_t i = 0; i < picture.rgb.size(); ++i) {
      const double x = static_cast<double>(i / 3 % S) / S, y = static_cast<double>(i / 3 / S) / S;
      const double wave = std::sin((seed % 5 + 2) * 3 * x + (i % 3 + 1) * 4 * y + seed);
      picture.rgb[i] = static_cast<uint8_t>(128 + 110 * wave);
    }
    return picture;
  }

  std::vector<TokenPyramid> Encoded(const std::vector<Picture>& pictures) const {
    std::vector<const Picture*> pointers;
    for (const Picture& picture : pictures) pointers.push_back(&picture);
    auto tokens = engine_->Encode(pointers);
    EXPECT_TRUE(tokens.ok()) << tokens.status();
    return *std::move(tokens);
  }

  // Of a source picture, a random box is generated.
  ImageTask Edit(uint64_t seed, PreviewMode mode = PreviewMode::kNone) const {
    ImageTask task = Task(seed, mode);
    const int S = config().image_size;
    std::mt19937 random(static_cast<uint32_t>(seed));
    const int x0 = random() % S, y0 = random() % S;
    const int x1 = x0 + 1 + random() % (S - x0), y1 = y0 + 1 + random() % (S - y0);
    std::vector<uint8_t> region(static_cast<size_t>(S) * S, 0);
    for (int y = y0; y < y1; ++y) {
      std::fill(region.begin() + y * S + x0, region.begin() + y * S + x1, 1);
    }
    task.keep =
        std::make_shared<std::vector<KeepMap>>(KeepMaps(KeepCells(region, config()), config()));
    task.given = std::make_shared<TokenPyramid>(Encoded({Source(seed)}).front());
    return task;
  }

  std::shared_ptr<std::vector<KeepMap>> KeepsAll() const {
    auto keep = std::make_shared<std::vector<KeepMap>>();
    for (int k = 0; k < scales(); ++k) keep->emplace_back(config().tokens_of_scale(k), 1);
    return keep;
  }

  // Generates one token of scales 2 and scales() - 3: known scales lie before the first pass,
  // between the two and behind the last.
  ImageTask TwoTokens(PreviewMode mode) const {
    ImageTask task = Edit(3, mode);
    auto keep = KeepsAll();
    (*keep)[2][4] = 0;
    (*keep)[scales() - 3][7] = 0;
    task.keep = keep;
    task.sampling.mask_schedule = PresetSchedule(SchedulePreset::kNone, config());
    return task;
  }

  static void ExpectKept(const ImageTask& task, const TokenPyramid& tokens) {
    ASSERT_EQ(tokens.size(), task.given->size());
    for (size_t k = task.prefix.size(); k < tokens.size(); ++k) {
      for (size_t i = 0; i < tokens[k].size(); ++i) {
        if ((*task.keep)[k][i] == 0) continue;
        EXPECT_EQ(tokens[k][i], (*task.given)[k][i]) << "scale " << k << ", token " << i;
      }
    }
  }
};

TEST_P(CudaEditTest, EditsShareStepsWithGenerationsAndNoByteChanges) {
  constexpr ImageId kImages = 20;
  std::vector<ImageTask> tasks(1);
  for (ImageId id = 1; id <= kImages; ++id) {
    tasks.push_back(id % 3 == 0 ? Task(id, ModeOf(id)) : Edit(id, ModeOf(id)));
  }
  tasks[1] = TwoTokens(PreviewMode::kFast);
  tasks[2] = TwoTokens(PreviewMode::kFull);
  tasks[4].prefix = {Encoded({Source(50), Source(51)}).front()[0]};
  std::mt19937 random(11);
  std::map<ImageId, Seen> seen;
  std::vector<ImageId> ids;
  ImageId next = 1;
  const size_t free_bytes = FreeBytes();
  while (next <= kImages || !ids.empty()) {
    for (uint32_t joins = random() % 6; joins > 0 && next <= kImages; --joins, ++next) {
      ASSERT_TRUE(engine_->Admit(next, tasks[next]).ok());
      ids.push_back(next);
    }
    if (ids.empty()) continue;
    std::shuffle(ids.begin(), ids.end(), random);
    const std::vector<ImageId> now(ids.begin(), ids.begin() + 1 + random() % ids.size());
    Take(engine_->Step(now), &ids, &seen);
    ASSERT_FALSE(HasFatalFailure());
    Encoded({Source(random() % 9), Source(1)});  // Between steps, as the server does it.
  }
  Drain(engine_.get(), kImages, &seen);
  EXPECT_EQ(FreeBytes(), free_bytes);
  for (ImageId id = 1; id <= kImages; ++id) {
    SCOPED_TRACE(id);
    EXPECT_THAT(seen[id].previews, SizeIs(scales()));
    ExpectSame(seen[id], Alone(engine_.get(), tasks[id]));
  }
}

TEST_P(CudaEditTest, GraphsChangeNoByteOfAnEdit) {
  const std::unique_ptr<Engine> plain = Load(/*graphs=*/false);
  for (const ImageTask& task :
       {Edit(0, PreviewMode::kFast), Edit(1), Edit(2), Edit(4), TwoTokens(PreviewMode::kFast)}) {
    SCOPED_TRACE(task.seed);
    ExpectSame(Alone(engine_.get(), task), Alone(plain.get(), task));
  }
}

TEST_P(CudaEditTest, EditsNeverChangeAKeptToken) {
  int generated = 0;
  for (uint64_t seed = 100; seed < 112; ++seed) {
    SCOPED_TRACE(seed);
    const ImageTask task = Edit(seed);
    const Seen seen = Alone(engine_.get(), task);
    ExpectKept(task, seen.tokens);
    generated += seen.tokens != *task.given;
  }
  EXPECT_EQ(generated, 12) << "an edit that generated nothing";
}

// Everything a step reports of an edit's passes is settled by its task.
TEST_P(CudaEditTest, TakesThePassesThatTheCpuEngineTakes) {
  const std::unique_ptr<Engine> cpu = LoadEngine(Golden(GetParam().model).model_folder());
  const auto passes_of = [](Engine* engine, const ImageTask& task) {
    std::vector<std::vector<uint32_t>> passes;
    EXPECT_TRUE(engine->Admit(1, task).ok());
    for (bool last = false; !last;) {
      const auto report = engine->Step({1});
      EXPECT_TRUE(report.ok()) << report.status();
      if (!report.ok() || report->passes.empty()) break;
      const PassReport& pass = report->passes[0];
      last = pass.last;
      passes.push_back({pass.scale, pass.step, pass.rows, pass.settled_scale, pass.last});
    }
    engine->Cancel(1);
    return passes;
  };
  ImageTask everything = Edit(7);
  everything.keep = KeepsAll();
  for (const ImageTask& task :
       {Edit(1), Edit(4), TwoTokens(PreviewMode::kNone), everything, Task(1)}) {
    EXPECT_EQ(passes_of(engine_.get(), task), passes_of(cpu.get(), task)) << task.seed;
  }
}

TEST_P(CudaEditTest, KnownScalesCostNoForwardAndLeaveTheirPreviewsInOrder) {
  for (const PreviewMode mode : {PreviewMode::kFast, PreviewMode::kFull}) {
    const ImageTask task = TwoTokens(mode);
    std::vector<uint32_t> expected;
    for (int k = 0; k < scales(); ++k) expected.push_back(k);
    std::map<ImageId, Seen> seen;
    std::vector<ImageId> ids = {1};
    ASSERT_TRUE(engine_->Admit(1, task).ok());
    uint32_t rows = 0;
    while (!ids.empty()) {
      const auto report = engine_->Step(ids);
      Take(report, &ids, &seen);
      ASSERT_FALSE(HasFatalFailure());
      rows += report->rows;
    }
    Drain(engine_.get(), 1, &seen);
    const uint32_t one_scale = task.class_id && task.sampling.cfg_scale != 0 ? 2 : 1;
    EXPECT_EQ(rows,
              one_scale * (config().tokens_of_scale(2) + config().tokens_of_scale(scales() - 3)));
    std::vector<uint32_t> of;
    for (const auto& [scale, rgb] : seen[1].previews) of.push_back(scale);
    EXPECT_EQ(of, expected);
    ExpectKept(task, seen[1].tokens);
    if (mode == PreviewMode::kFull) {  // The last scale's is the picture.
      EXPECT_TRUE(seen[1].previews.back().second == seen[1].picture.rgb);
    }
  }
}

TEST_P(CudaEditTest, AnEditThatKeepsEverythingIsTheSourcesDecodedTokens) {
  ImageTask task = Edit(5), prefix = Task(5);
  task.keep = KeepsAll();
  prefix.prefix = *task.given;
  ASSERT_TRUE(engine_->Admit(1, task).ok());
  std::map<ImageId, Seen> seen;
  std::vector<ImageId> ids = {1};
  const auto report = engine_->Step({1});
  Take(report, &ids, &seen);
  EXPECT_EQ(report->rows, 0u);
  EXPECT_THAT(ids, IsEmpty());
  Drain(engine_.get(), 1, &seen);
  EXPECT_EQ(seen[1].tokens, *task.given);
  ExpectSame(seen[1], Alone(engine_.get(), prefix));
}

TEST_P(CudaEditTest, APrefixGoesBeforeTheSourcesTokens) {
  ImageTask task = Edit(6);
  for (int k = 0; k < 3; ++k) task.prefix.emplace_back(config().tokens_of_scale(k), 7);
  const Seen seen = Alone(engine_.get(), task);
  for (int k = 0; k < 3; ++k) EXPECT_EQ(seen.tokens[k], task.prefix[k]);
  ExpectKept(task, seen.tokens);
}

// The slot's next image must see nothing of the edit that left it.
TEST_P(CudaEditTest, ACancelledEditLeavesNothingBehind) {
  const ImageTask plain = Task(7), edit = Edit(8);
  ImageTask cancelled = Edit(3);
  auto keep = KeepsAll();
  for (int k = 1; k < scales(); ++k) std::fill((*keep)[k].begin(), (*keep)[k].end(), 0);
  cancelled.keep = keep;
  const Seen plain_alone = Alone(engine_.get(), plain), edit_alone = Alone(engine_.get(), edit);
  for (const ImageTask& after : {plain, edit}) {
    for (int steps = 0; steps < 4; ++steps) {
      ASSERT_TRUE(engine_->Admit(1, cancelled).ok());
      for (int i = 0; i < steps; ++i) ASSERT_TRUE(engine_->Step({1}).ok());
      engine_->Cancel(1);
      ExpectSame(Alone(engine_.get(), after), after.keep ? edit_alone : plain_alone);
    }
  }
}

TEST_P(CudaEditTest, EncodesAPictureTheSameInAnyBatch) {
  std::vector<Picture> pictures;
  for (uint64_t seed = 0; seed < 19; ++seed) pictures.push_back(Source(seed));
  const std::vector<TokenPyramid> together = Encoded(pictures);
  ASSERT_THAT(together, SizeIs(19));
  for (const size_t i : {0, 1, 7, 8, 15, 16, 18}) {
    EXPECT_EQ(together[i], Encoded({pictures[i]}).front()) << i;
  }
  EXPECT_NE(together[0], together[1]);
  EXPECT_THAT(Encoded({}), IsEmpty());
}

// bf16 in the encoder moves a token here and there. Emulating it in the reference gives, of
// pictures that the models made, 93 % (bundled) and 86 % (tiny) of all tokens and 99.3 % and 98.8 %
// of the comparable ones. A wrong layer, phi or average gives next to none.
TEST_P(CudaEditTest, EncodesNearlyTheCpuEnginesTokens) {
  const std::unique_ptr<Engine> cpu = LoadEngine(Golden(GetParam().model).model_folder());
  std::vector<Picture> pictures;
  for (uint64_t seed = 0; seed < 6; ++seed) {
    pictures.push_back(Alone(engine_.get(), Task(seed)).picture);
    if (seed % 3 == 0) pictures.push_back(Source(seed));
  }
  std::vector<const Picture*> pointers;
  for (const Picture& picture : pictures) pointers.push_back(&picture);
  const auto expected = cpu->Encode(pointers);
  ASSERT_TRUE(expected.ok()) << expected.status();
  const std::vector<TokenPyramid> actual = Encoded(pictures);
  TokenAgreement agreement;
  for (size_t i = 0; i < pictures.size(); ++i) agreement.Add(actual[i], (*expected)[i]);
  std::printf("%s: %.1f %% of %d tokens are the CPU engine's; %.2f %% of the %d comparable ones\n",
              GetParam().model.c_str(), 100.0 * agreement.equal / agreement.tokens,
              agreement.tokens, 100.0 * agreement.comparable_equal / agreement.comparable,
              agreement.comparable);
  EXPECT_GE(agreement.comparable, 100);
  EXPECT_GE(agreement.comparable_equal, 0.95 * agreement.comparable);
  EXPECT_GE(agreement.equal, 0.5 * agreement.tokens);
}

TEST_P(CudaEditTest, RefusesToEncodeAPictureOfAnotherSize) {
  const Picture right = Source(0), wrong{8, 32, std::vector<uint8_t>(8 * 32 * 3)};
  const Picture* pictures[] = {&right, &wrong};
  EXPECT_EQ(engine_->Encode(pictures).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Encoded({right}), SizeIs(1));
}

INSTANTIATE_TEST_SUITE_P(Models, CudaEditTest, testing::ValuesIn(kEngineCases), NameOf);

}  // namespace
}  // namespace hmar
