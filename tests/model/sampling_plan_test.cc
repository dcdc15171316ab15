#include "model/sampling_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <random>

namespace hmar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

ModelConfig Official(const std::string& name = "hmar-d16") { return *OfficialArchitecture(name); }

std::vector<std::string> Fields(const SamplingParams& sampling, const ModelConfig& config) {
  std::vector<std::string> fields;
  for (const SamplingViolation& v : CheckSampling(sampling, config)) fields.push_back(v.field);
  return fields;
}

// ---------------------------------------------------------------- presets

TEST(PresetSchedule, IsValidForEveryModelAndPreset) {
  for (const std::string name : {"hmar-d16", "hmar-d16-512"}) {
    ModelConfig config = Official(name);
    for (const auto preset :
         {SchedulePreset::kModel, SchedulePreset::kNone, SchedulePreset::kQuality}) {
      SamplingParams sampling = config.sampling;
      sampling.mask_schedule = PresetSchedule(preset, config);
      EXPECT_THAT(CheckSampling(sampling, config), IsEmpty()) << name;
    }
  }
}

TEST(PresetSchedule, OfModelIsTheModelsOwn) {
  EXPECT_EQ(PresetSchedule(SchedulePreset::kModel, Official()), Official().sampling.mask_schedule);
}

TEST(PresetSchedule, OfNoneTakesOnePassAScale) {
  for (const auto& passes : PresetSchedule(SchedulePreset::kNone, Official())) {
    EXPECT_EQ(passes.size(), 1u);
  }
}

TEST(PresetSchedule, OfQualityIsNeverCoarserThanTheModelsOwn) {
  for (const std::string name : {"hmar-d16", "hmar-d16-512"}) {
    const ModelConfig config = Official(name);
    const MaskSchedule quality = PresetSchedule(SchedulePreset::kQuality, config);
    for (int k = 0; k < config.num_scales(); ++k) {
      EXPECT_GE(quality[k].size(), config.sampling.mask_schedule[k].size()) << name << " " << k;
    }
  }
}

TEST(PresetSchedule, OfQualityGrowsThePassesOfAScale) {
  const MaskSchedule quality = PresetSchedule(SchedulePreset::kQuality, Official());
  EXPECT_THAT(quality[2], ElementsAre(1, 1, 2, 5));  // The model's own has more passes.
  EXPECT_THAT(quality[3], ElementsAre(1, 3, 5, 7));
  EXPECT_THAT(quality[4], ElementsAre(1, 3, 5, 7, 9));
  EXPECT_THAT(quality[6], ElementsAre(1, 3, 5, 7, 9, 11, 13, 15));
  EXPECT_THAT(quality[7], ElementsAre(100));  // Above half of the last grid.
  const MaskSchedule large = PresetSchedule(SchedulePreset::kQuality, Official("hmar-d16-512"));
  EXPECT_THAT(large[6], ElementsAre(2, 8, 13, 19, 24, 29, 34, 40));  // 169 tokens in 8 passes.
}

// ---------------------------------------------------------------- checks

TEST(CheckSampling, AcceptsTheEdgesOfEveryRange) {
  const ModelConfig config = Official();
  SamplingParams sampling = config.sampling;
  for (const float cfg : {0.0f, kMaxCfgScale}) {
    for (const uint32_t top_k : {0u, 4096u}) {
      for (const float top_p : {std::numeric_limits<float>::denorm_min(), 1.0f}) {
        for (const float t : {kMinTemperature, std::numeric_limits<float>::max()}) {
          sampling = {cfg, top_k, top_p, t, config.sampling.mask_schedule};
          EXPECT_THAT(Fields(sampling, config), IsEmpty());
        }
      }
    }
  }
}

TEST(CheckSampling, RefusesNanInfinityAndWhatIsOutOfRange) {
  const ModelConfig config = Official();
  const float nan = std::nanf("");
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float value : {nan, infinity, -infinity, -0.5f, 1001.0f}) {
    SamplingParams sampling = config.sampling;
    sampling.cfg_scale = value;
    EXPECT_THAT(Fields(sampling, config), ElementsAre("cfg_scale")) << value;
  }
  for (const float value : {nan, infinity, -infinity, -0.5f, 0.0f, 1.5f}) {
    SamplingParams sampling = config.sampling;
    sampling.top_p = value;
    EXPECT_THAT(Fields(sampling, config), ElementsAre("top_p")) << value;
  }
  for (const float value : {nan, infinity, -infinity, -0.5f, 0.0f, 1e-7f}) {
    SamplingParams sampling = config.sampling;
    sampling.temperature = value;
    EXPECT_THAT(Fields(sampling, config), ElementsAre("temperature")) << value;
  }
  SamplingParams sampling = config.sampling;
  sampling.top_k = 4097;
  EXPECT_THAT(Fields(sampling, config), ElementsAre("top_k"));
}

TEST(CheckSampling, NamesTheValueAndTheLimit) {
  SamplingParams sampling = Official().sampling;
  sampling.top_k = 5000;
  const auto violations = CheckSampling(sampling, Official());
  ASSERT_EQ(violations.size(), 1u);
  EXPECT_THAT(violations[0].description, ::testing::AllOf(HasSubstr("5000"), HasSubstr("4096")));
}

TEST(CheckSampling, ListsEveryViolationInFieldOrder) {
  SamplingParams sampling = Official().sampling;
  sampling.cfg_scale = -1;
  sampling.top_p = 2;
  sampling.temperature = 0;
  sampling.mask_schedule[1] = {1, 2};
  sampling.mask_schedule[3] = {8, 0, 8};
  sampling.mask_schedule[4] = {};
  EXPECT_THAT(Fields(sampling, Official()),
              ElementsAre("cfg_scale", "top_p", "temperature", "mask_schedule.scales[1].tokens",
                          "mask_schedule.scales[3].tokens[1]", "mask_schedule.scales[4].tokens"));
  sampling.mask_schedule.pop_back();
  EXPECT_EQ(Fields(sampling, Official()).back(), "mask_schedule.scales");
}

TEST(CheckSampling, DoesNotLetASumWrapAround) {
  SamplingParams sampling = Official().sampling;
  sampling.mask_schedule[1] = {0xffffffff, 5};  // 4 modulo 2^32.
  EXPECT_THAT(Fields(sampling, Official()), ElementsAre("mask_schedule.scales[1].tokens"));
}

// ---------------------------------------------------------------- plans

TEST(PlanPasses, FollowsTheReleasedScheduleInFourteenPasses) {
  const ModelConfig config = Official();
  const auto plan = PlanPasses(config, config.sampling, /*has_class=*/true, 0);
  ASSERT_EQ(plan.size(), 14u);
  std::vector<uint32_t> reopened;
  for (const Pass& pass : plan) reopened.push_back(pass.reopened);
  EXPECT_THAT(reopened, ElementsAre(1, 4, 3, 9, 8, 7, 5, 16, 25, 36, 64, 100, 169, 256));
}

TEST(PlanPasses, KeepsItsPromisesForEveryPresetPrefixAndGuidance) {
  const ModelConfig config = Official("hmar-d20-512");
  for (const auto preset :
       {SchedulePreset::kModel, SchedulePreset::kNone, SchedulePreset::kQuality}) {
    SamplingParams sampling = config.sampling;
    sampling.mask_schedule = PresetSchedule(preset, config);
    for (const bool has_class : {false, true}) {
      for (const float cfg : {0.0f, 1.5f}) {
        sampling.cfg_scale = cfg;
        for (int prefix = 0; prefix <= config.num_scales(); ++prefix) {
          std::vector<size_t> steps(config.num_scales(), 0);
          std::vector<int> settled(config.num_scales(), 0);
          for (const Pass& pass : PlanPasses(config, sampling, has_class, prefix)) {
            EXPECT_EQ(pass.step, steps[pass.scale]++);
            EXPECT_EQ(settled[pass.scale], 0) << "a pass after the settling one";
            EXPECT_EQ(static_cast<int>(pass.tokens), config.tokens_of_scale(pass.scale));
            EXPECT_EQ(pass.guided, has_class && cfg > 0 && pass.scale > 0 && pass.step == 0);
            EXPECT_EQ(pass.rows(), pass.tokens * (pass.guided ? 2 : 1));
            EXPECT_LE(pass.reopened, pass.tokens);
            EXPECT_GE(pass.reopened, 1u);
            settled[pass.scale] += pass.settles_scale;
          }
          for (int k = 0; k < config.num_scales(); ++k) {
            EXPECT_EQ(steps[k], k < prefix ? 0 : sampling.mask_schedule[k].size());
            EXPECT_EQ(settled[k], k < prefix ? 0 : 1);
          }
        }
      }
    }
  }
}

TEST(PlanPasses, OfAnEditRedrawsInProportionAndSkipsWhatIsKept) {
  const ModelConfig config = Official();
  std::mt19937 random(8);
  SamplingParams sampling = config.sampling;
  for (int trial = 0; trial < 200; ++trial) {
    sampling.mask_schedule =
        PresetSchedule(trial % 2 == 0 ? SchedulePreset::kQuality : SchedulePreset::kModel, config);
    const uint32_t percent = random() % 101;
    std::vector<KeepMap> keep;
    for (int k = 0; k < config.num_scales(); ++k) {
      KeepMap& map = keep.emplace_back(config.tokens_of_scale(k));
      for (uint8_t& kept : map) kept = random() % 100 < percent;
    }
    std::vector<std::vector<Pass>> passes(config.num_scales());
    for (const Pass& pass : PlanPasses(config, sampling, true, 0, keep)) {
      passes[pass.scale].push_back(pass);
    }
    for (int k = 0; k < config.num_scales(); ++k) {
      uint32_t left = config.tokens_of_scale(k);
      std::vector<uint32_t> wanted;
      for (const uint32_t settled : sampling.mask_schedule[k]) {
        const uint32_t redrawn = Reopened(left, config.tokens_of_scale(k), Generated(keep[k]));
        if (redrawn > 0) wanted.push_back(redrawn);
        left -= settled;
      }
      ASSERT_EQ(passes[k].size(), wanted.size());
      for (size_t step = 0; step < wanted.size(); ++step) {
        EXPECT_EQ(passes[k][step].reopened, wanted[step]);
        EXPECT_EQ(passes[k][step].step, step);
        EXPECT_EQ(passes[k][step].settles_scale, step + 1 == wanted.size());
      }
    }
  }
}

TEST(PlanPasses, OfAnEditThatKeepsEverythingIsEmpty) {
  const ModelConfig config = Official();
  std::vector<KeepMap> keep;
  for (int k = 0; k < config.num_scales(); ++k) keep.emplace_back(config.tokens_of_scale(k), 1);
  EXPECT_TRUE(PlanPasses(config, config.sampling, true, 0, keep).empty());
}

// ---------------------------------------------------------------- arithmetic

// A truncated plan is the plan of the sampling that it is said to be made with, for generations and
// edits, wherever it is cut.
TEST(TruncatePlan, IsThePlanOfTheTruncatedSampling) {
  const ModelConfig config = Official();
  std::mt19937 random(3);
  for (const auto preset : {SchedulePreset::kModel, SchedulePreset::kQuality}) {
    for (const bool edit : {false, true}) {
      SamplingParams sampling = config.sampling;
      sampling.mask_schedule = PresetSchedule(preset, config);
      KeepMap cells(config.tokens_of_scale(config.num_scales() - 1));
      for (uint8_t& cell : cells) cell = random() % 3 != 0;
      const std::vector<KeepMap> keep = edit ? KeepMaps(cells, config) : std::vector<KeepMap>();
      const std::vector<Pass> plan = PlanPasses(config, sampling, true, 0, keep);
      for (size_t next = 0; next < plan.size(); ++next) {
        for (int scales = plan[next].scale + 1; scales <= config.num_scales(); ++scales) {
          const std::vector<Pass> cut = TruncatePlan(plan, next, scales);
          const SamplingParams as_run = TruncatedSampling(config, sampling, plan, cut, scales);
          EXPECT_THAT(CheckSampling(as_run, config), IsEmpty());
          EXPECT_EQ(NumScales(config, as_run), scales);
          const std::vector<Pass> again = PlanPasses(config, as_run, true, 0, keep);
          ASSERT_EQ(again.size(), cut.size()) << "cut before pass " << next << " to " << scales;
          for (size_t i = 0; i < cut.size(); ++i) {
            EXPECT_EQ(again[i].scale, cut[i].scale);
            EXPECT_EQ(again[i].step, cut[i].step);
            EXPECT_EQ(again[i].guided, cut[i].guided);
            EXPECT_EQ(again[i].settles_scale, cut[i].settles_scale);
            EXPECT_EQ(again[i].reopened, cut[i].reopened);
          }
        }
      }
    }
  }
}

TEST(GuidanceWeight, GrowsLinearlyFromNoneToAllOfIt) {
  EXPECT_EQ(GuidanceWeight(1.7f, 0, 10), 0.0f);
  EXPECT_EQ(GuidanceWeight(1.7f, 9, 10), 1.7f);
  EXPECT_EQ(GuidanceWeight(3.0f, 1, 3), 1.5f);
  EXPECT_EQ(GuidanceWeight(3.0f, 0, 1), 0.0f);
}

TEST(GuidanceWeight, RoundsInFp32AfterEachOperation) {
  // torch: torch.tensor(1.7) * 7 / 9 and torch.tensor(2.1) * 5 / 6.
  EXPECT_EQ(GuidanceWeight(1.7f, 7, 10), 0x1.527d280000000p+0f);
  EXPECT_EQ(GuidanceWeight(2.1f, 5, 7), 0x1.c000000000000p+0f);
}

TEST(Reopened, RoundsHalfUp) {
  EXPECT_EQ(Reopened(8, 9, 9), 8u);
  EXPECT_EQ(Reopened(8, 9, 0), 0u);
  EXPECT_EQ(Reopened(1, 4, 2), 1u);  // Of 0.5.
  EXPECT_EQ(Reopened(1, 4, 1), 0u);  // Of 0.25.
  EXPECT_EQ(Reopened(3, 4, 2), 2u);  // Of 1.5.
}

TEST(Reopened, NeverExceedsTheGeneratedTokensOrTheScheduleAndDoesNotOverflow) {
  for (uint32_t n : {1u, 4u, 9u, 16u}) {
    for (uint32_t left = 0; left <= n; ++left) {
      for (uint32_t generated = 0; generated <= n; ++generated) {
        EXPECT_LE(Reopened(left, n, generated), std::min(left, generated));
      }
    }
  }
  EXPECT_EQ(Reopened(65536, 65536, 65536), 65536u);
  EXPECT_EQ(Reopened(0x7fffffff, 0x7fffffff, 0x7fffffff), 0x7fffffffu);
}

}  // namespace
}  // namespace hmar
