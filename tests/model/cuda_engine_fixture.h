#ifndef HMAR_TESTS_MODEL_CUDA_ENGINE_FIXTURE_H_
#define HMAR_TESTS_MODEL_CUDA_ENGINE_FIXTURE_H_

// Images through a CUDA engine, alone and in crowds, in every precision.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "model/cuda_engine.h"
#include "model/model_folder.h"
#include "model/sampling_plan.h"
#include "tests/kernels/device_array.h"
#include "tests/model/golden.h"
#include "tests/model/seen_images.h"

namespace hmar {

// Which of one engine's tokens of source pictures are another's. A token that differs changes what
// every finer scale of its picture is made of, so the sharp measure is of the comparable ones:
// those whose coarser scales all agree.
struct TokenAgreement {
  int tokens = 0, equal = 0;
  int comparable = 0, comparable_equal = 0;

  void Add(const TokenPyramid& actual, const TokenPyramid& expected) {
    ASSERT_EQ(actual.size(), expected.size());
    bool coarser_agree = true;
    for (size_t k = 0; k < actual.size(); ++k) {
      const TokenMap &a = actual[k], &b = expected[k];
      ASSERT_EQ(a.size(), b.size()) << "scale " << k;
      const auto count = static_cast<int>(a.size());
      int same = 0;
      for (int i = 0; i < count; ++i) same += a[i] == b[i];
      tokens += count, equal += same;
      if (coarser_agree) comparable += count, comparable_equal += same;
      coarser_agree = coarser_agree && same == count;
    }
  }
};

// A golden's model, and what it is computed in.
struct EngineCase {
  std::string model;
  Precision precision;

  friend std::ostream& operator<<(std::ostream& out, const EngineCase& c) {
    return out << c.model << (c.precision == Precision::kFp8 ? " in fp8" : " in bf16");
  }
};

inline std::string NameOf(const testing::TestParamInfo<EngineCase>& info) {
  return std::string(info.param.model == "tiny-256" ? "tiny" : "bundled") +
         (info.param.precision == Precision::kFp8 ? "_fp8" : "");
}

inline const EngineCase kEngineCases[] = {{"hmar-cifar10", Precision::kBf16},
                                          {"tiny-256", Precision::kBf16},
                                          {"hmar-cifar10", Precision::kFp8},
                                          {"tiny-256", Precision::kFp8}};

class CudaEngineTest : public testing::TestWithParam<EngineCase> {
 protected:
  void SetUp() override {
    HMAR_SKIP_WITHOUT_GPU();
    engine_ = Load(/*graphs=*/true);
  }

  static std::unique_ptr<Engine> Load(bool graphs, int device = 0) {
    auto folder = OpenModelFolder(Golden(GetParam().model).model_folder());
    EXPECT_TRUE(folder.ok()) << folder.status();
    CudaEngineOptions options;
    options.max_images = 48;
    options.precision = GetParam().precision;
    options.graphs = graphs;
    options.device = device;
    auto engine = MakeCudaEngine(*std::move(folder), options);
    EXPECT_TRUE(engine.ok()) << engine.status();
    return *std::move(engine);
  }

  const ModelConfig& config() const { return engine_->info().config; }

  ImageTask Task(uint64_t seed, PreviewMode mode = PreviewMode::kNone) const {
    return VariedTask(config(), seed, mode);
  }

  // One report: into `seen`; takes images past their last pass out of `running`.
  static void Take(const absl::StatusOr<StepReport>& report, std::vector<ImageId>* running,
                   std::map<ImageId, Seen>* seen) {
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_THAT(report->failures, testing::IsEmpty());
    for (const PassReport& pass : report->passes) {
      if (pass.last) std::erase(*running, pass.id);
    }
    Record(*report, seen);
  }

  // Waits for the pictures of `count` images.
  static void Drain(Engine* engine, size_t count, std::map<ImageId, Seen>* seen) {
    std::vector<ImageId> none;
    for (int i = 0; i < 1000; ++i) {
      const auto delivered = std::count_if(seen->begin(), seen->end(), [](const auto& entry) {
        return !entry.second.picture.rgb.empty();
      });
      if (static_cast<size_t>(delivered) == count) return;
      Take(engine->Step({}), &none, seen);
    }
    ADD_FAILURE() << "pictures are missing";
  }

  static Seen Alone(Engine* engine, const ImageTask& task) {
    std::map<ImageId, Seen> seen;
    std::vector<ImageId> ids = {1000};
    EXPECT_TRUE(engine->Admit(1000, task).ok());
    while (!ids.empty() && !testing::Test::HasFatalFailure()) {
      Take(engine->Step(ids), &ids, &seen);
    }
    Drain(engine, 1, &seen);
    return seen[1000];
  }

  std::unique_ptr<Engine> engine_;
};

inline PreviewMode ModeOf(ImageId id) { return id % 2 ? PreviewMode::kFast : PreviewMode::kFull; }

}  // namespace hmar

#endif  // HMAR_TESTS_MODEL_CUDA_ENGINE_FIXTURE_H_
