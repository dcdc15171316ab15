// The CUDA engine against the CPU engine, stage by stage, and its promise that what shares a step
// changes no byte.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>

#include "model/inspector.h"
#include "tests/model/cuda_engine_fixture.h"

namespace hmar {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

// |a - b| / |b|, of norms.
double RelativeError(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double error = 0, norm = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    error += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return std::sqrt(error / norm);
}

TokenMap RandomTokens(const ModelConfig& config, int scale, std::mt19937* random) {
  TokenMap tokens(config.tokens_of_scale(scale));
  for (int32_t& token : tokens) {
    token = static_cast<int32_t>((*random)() % config.tokenizer.vocab_size);
  }
  return tokens;
}

class CudaParity : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    HMAR_SKIP_WITHOUT_GPU();
    const Golden golden(GetParam());
    auto folder = OpenModelFolder(golden.model_folder());
    ASSERT_TRUE(folder.ok()) << folder.status();
    auto cpu = MakeCpuInspector(*std::move(folder));
    folder = OpenModelFolder(golden.model_folder());
    CudaEngineOptions options;
    options.max_images = 1;
    options.max_step_rows = 4096;
    auto cuda = MakeCudaInspector(*std::move(folder), options);
    ASSERT_TRUE(cuda.ok()) << cuda.status();
    cpu_ = *std::move(cpu);
    cuda_ = *std::move(cuda);
  }

  const ModelConfig& config() const { return cpu_->config(); }

  std::unique_ptr<Inspector> cpu_, cuda_;
};

// Contributions are fp32 on both sides.
TEST_P(CudaParity, ContributionsAgree) {
  std::mt19937 random(1);
  for (int k = 0; k < config().num_scales(); ++k) {
    const TokenMap tokens = RandomTokens(config(), k, &random);
    EXPECT_LT(RelativeError(cuda_->Contribution(k, tokens), cpu_->Contribution(k, tokens)), 1e-5)
        << k;
  }
}

// The bound on logits is twice what a plain bf16 forward of the reference is off by
// (tests/bench/bf16_error.py).
TEST_P(CudaParity, EmbeddingsAndLogitsUnderForcedTokensAgree) {
  std::mt19937 random(2);
  ImageTask task;
  task.class_id = 3;
  task.sampling = config().sampling;
  task.sampling.cfg_scale = 1.5f;
  task.sampling.mask_schedule = PresetSchedule(SchedulePreset::kQuality, config());
  for (int k = 0; k < config().num_scales(); ++k) {
    const TokenMap tokens = RandomTokens(config(), k, &random);
    std::vector<uint8_t> open(tokens.size());
    for (uint8_t& o : open) o = random() % 2;
    const uint32_t steps = task.sampling.mask_schedule[k].size() > 1 ? 2 : 1;
    for (uint32_t step = 0; step < steps; ++step) {
      SCOPED_TRACE(testing::Message() << "scale " << k << " step " << step);
      EXPECT_LT(RelativeError(cuda_->Embed(task, step, tokens, open),
                              cpu_->Embed(task, step, tokens, open)),
                0.003);
      EXPECT_LT(RelativeError(cuda_->PassLogits(task, step, tokens, open),
                              cpu_->PassLogits(task, step, tokens, open)),
                0.03);
    }
    task.prefix.push_back(tokens);
  }
}

TEST_P(CudaParity, PixelsAgree) {
  std::mt19937 random(3);
  std::vector<float> f_hat;
  for (int k = 0; k < config().num_scales(); ++k) {
    const std::vector<float> added = cpu_->Contribution(k, RandomTokens(config(), k, &random));
    f_hat.resize(added.size());
    for (size_t i = 0; i < added.size(); ++i) f_hat[i] += added[i];
  }
  EXPECT_LT(RelativeError(cuda_->Decode(f_hat), cpu_->Decode(f_hat)), 0.03);
}

// As CudaEditTest's, for every kind of model.
TEST_P(CudaParity, EncodedTokensNearlyAgree) {
  TokenAgreement agreement;
  const int S = config().image_size;
  for (int seed = 0; seed < 3; ++seed) {
    std::vector<float> image_3SS;
    for (int i = 0; i < 3 * S * S; ++i) {
      const float x = static_cast<float>(i % S) / S, y = static_cast<float>(i / S % S) / S;
      const float wave = std::sin((seed + 2) * 3 * x + (i / S / S + 1) * 4 * y + seed);
      image_3SS.push_back(std::round(127.5f * (0.85f * wave + 1)) / 127.5f - 1);
    }
    agreement.Add(cuda_->Encode(image_3SS), cpu_->Encode(image_3SS));
  }
  EXPECT_GE(agreement.comparable, 30);
  EXPECT_GE(agreement.comparable_equal, 0.93 * agreement.comparable);
}

INSTANTIATE_TEST_SUITE_P(Models, CudaParity,
                         testing::Values("hmar-cifar10", "tiny-256", "tiny-256-shared",
                                         "tiny-256-plain", "tiny-512"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_P(CudaEngineTest, CrowdAtMixedScalesChangesNoByte) {
  constexpr ImageId kImages = 24;
  std::mt19937 random(7);
  std::map<ImageId, Seen> seen;
  std::vector<ImageId> ids;
  ImageId next = 1;
  while (next <= kImages || !ids.empty()) {
    for (uint32_t joins = random() % 4; joins > 0 && next <= kImages; --joins, ++next) {
      ASSERT_TRUE(engine_->Admit(next, Task(next, ModeOf(next))).ok());
      ids.push_back(next);
    }
    if (ids.empty()) continue;
    std::shuffle(ids.begin(), ids.end(), random);
    const std::vector<ImageId> now(ids.begin(), ids.begin() + 1 + random() % ids.size());
    Take(engine_->Step(now), &ids, &seen);
    ASSERT_FALSE(HasFatalFailure());
  }
  Drain(engine_.get(), kImages, &seen);
  ASSERT_THAT(seen, SizeIs(kImages));
  for (ImageId id = 1; id <= kImages; ++id) {
    SCOPED_TRACE(id);
    EXPECT_THAT(seen[id].previews, SizeIs(config().num_scales()));
    ExpectSame(seen[id], Alone(engine_.get(), Task(id, ModeOf(id))));
  }
}

TEST_P(CudaEngineTest, GraphsChangeNoByte) {
  const std::unique_ptr<Engine> plain = Load(/*graphs=*/false);
  for (const uint64_t seed : {0, 3, 4, 5}) {
    SCOPED_TRACE(seed);
    ExpectSame(Alone(engine_.get(), Task(seed, PreviewMode::kFast)),
               Alone(plain.get(), Task(seed, PreviewMode::kFast)));
  }
}

TEST_P(CudaEngineTest, AnotherGpuMakesTheSameBytes) {
  int count = 0;
  cudaGetDeviceCount(&count);
  if (count < 2) GTEST_SKIP() << "one CUDA device";
  const std::unique_ptr<Engine> other = Load(true, 1);
  for (const uint64_t seed : {0, 3, 4}) {
    ExpectSame(Alone(engine_.get(), Task(seed)), Alone(other.get(), Task(seed)));
  }
}

TEST_P(CudaEngineTest, APrefixContinuesAsItWasDrawn) {
  const Seen whole = Alone(engine_.get(), Task(6));
  for (const size_t scales : {size_t{1}, size_t{3}, whole.tokens.size()}) {
    ImageTask task = Task(6);
    task.prefix.assign(whole.tokens.begin(), whole.tokens.begin() + scales);
    ExpectSame(Alone(engine_.get(), task), whole);
  }
}

TEST_P(CudaEngineTest, CancelledImagesAreInNoReport) {
  std::map<ImageId, Seen> seen;
  std::vector<ImageId> ids = {1, 2, 3};
  for (const ImageId id : ids) ASSERT_TRUE(engine_->Admit(id, Task(id, PreviewMode::kFast)).ok());
  Take(engine_->Step(ids), &ids, &seen);
  engine_->Cancel(2);
  std::erase(ids, ImageId{2});
  const size_t before = seen[2].previews.size();
  while (!ids.empty()) Take(engine_->Step(ids), &ids, &seen);
  Drain(engine_.get(), 2, &seen);
  EXPECT_EQ(seen[2].previews.size(), before);
  EXPECT_TRUE(engine_->Admit(2, Task(2)).ok());
  engine_->Cancel(2);
}

TEST_P(CudaEngineTest, RefusesWhatItCannotStep) {
  EXPECT_EQ(engine_->Step({77}).status().code(), absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(engine_->Admit(5, Task(5)).ok());
  EXPECT_EQ(engine_->Step({5, 5}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(engine_->Admit(5, Task(5)).code(), absl::StatusCode::kAlreadyExists);
  engine_->Cancel(5);
  for (ImageId id = 0; id < 48; ++id) ASSERT_TRUE(engine_->Admit(id, Task(id)).ok());
  EXPECT_EQ(engine_->Admit(48, Task(48)).code(), absl::StatusCode::kResourceExhausted);
}

// Memory of the device and pinned memory are taken while loading.
TEST_P(CudaEngineTest, StepsAllocateNothing) {
  const auto free_bytes = [] {
    size_t free = 0, total = 0;
    CheckCuda(cudaMemGetInfo(&free, &total));
    return free;
  };
  const size_t before = free_bytes();
  std::map<ImageId, Seen> seen;
  std::vector<ImageId> ids;
  for (ImageId id = 1; id <= 40; ++id) {
    ASSERT_TRUE(engine_->Admit(id, Task(id, ModeOf(id))).ok());
    ids.push_back(id);
  }
  while (!ids.empty()) Take(engine_->Step(ids), &ids, &seen);
  Drain(engine_.get(), 40, &seen);
  EXPECT_EQ(free_bytes(), before);
}

TEST_P(CudaEngineTest, MoreImagesThanMemoryAreRefusedWithTheSizes) {
  auto folder = OpenModelFolder(Golden(GetParam().model).model_folder());
  CudaEngineOptions options;
  options.max_images = 50'000'000;
  const auto engine = MakeCudaEngine(*std::move(folder), options);
  EXPECT_EQ(engine.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(engine.status().message()), testing::HasSubstr("MiB are free"));
  EXPECT_THAT(Alone(engine_.get(), Task(1)).tokens, SizeIs(config().num_scales()));
}

TEST(CudaDevice, OneThatIsNotThereIsNamed) {
  auto folder = OpenModelFolder("deploy/models/hmar-cifar10");
  ASSERT_TRUE(folder.ok());
  CudaEngineOptions options;
  options.device = 99;
  const auto engine = MakeCudaEngine(*std::move(folder), options);
  EXPECT_EQ(engine.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(engine.status().message()), testing::HasSubstr("cuda:99"));
}

INSTANTIATE_TEST_SUITE_P(Models, CudaEngineTest, testing::ValuesIn(kEngineCases), NameOf);

}  // namespace
}  // namespace hmar
