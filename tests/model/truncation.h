#ifndef HMAR_TESTS_MODEL_TRUNCATION_H_
#define HMAR_TESTS_MODEL_TRUNCATION_H_

// Images that end early, on any engine, held against what they must equal: an image whose schedule
// settles the same scales in as many passes, and the FULL preview of the last of them.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "model/edit.h"
#include "model/engine.h"
#include "model/sampling_plan.h"
#include "tests/model/seen_images.h"

namespace hmar {

// Before its pass `before_pass` the image is truncated to `scales` scales.
struct Cut {
  size_t before_pass = 0;
  uint32_t scales = 0;
};

// A cut that the task's plan allows.
inline Cut RandomCut(const ModelConfig& config, const ImageTask& task, std::mt19937* random) {
  const std::vector<Pass> plan = PlanPasses(config, task);
  const size_t before = (*random)() % plan.size();
  const uint32_t fewest = plan[before].scale + 1u;
  const uint32_t most = config.num_scales();
  return {before, fewest + static_cast<uint32_t>((*random)() % (most - fewest + 1))};
}

// Runs image i of `tasks`, cut by entry i of `cuts`, under id i + 1; all that are left in each
// step, in an order that changes.
inline std::map<ImageId, Seen> RunCut(Engine* engine, const std::vector<ImageTask>& tasks,
                                      const std::vector<std::optional<Cut>>& cuts) {
  std::map<ImageId, Seen> seen;
  std::map<ImageId, size_t> passes_run;
  std::vector<ImageId> running;
  for (size_t i = 0; i < tasks.size(); ++i) {
    EXPECT_TRUE(engine->Admit(i + 1, tasks[i]).ok());
    running.push_back(i + 1);
  }
  std::mt19937 random(11);
  const auto missing = [&] {
    return std::any_of(tasks.begin(), tasks.end(), [&, id = ImageId{0}](const auto&) mutable {
      return seen[++id].picture.rgb.empty();
    });
  };
  for (int steps = 0; steps < 1000 && missing(); ++steps) {
    for (const ImageId id : running) {
      const std::optional<Cut>& cut = cuts[id - 1];
      if (cut && cut->before_pass == passes_run[id]) {
        EXPECT_EQ(engine->Truncate(id, cut->scales), absl::OkStatus());
      }
    }
    std::shuffle(running.begin(), running.end(), random);
    const auto report = engine->Step(running);
    EXPECT_TRUE(report.ok()) << report.status();
    if (!report.ok()) break;
    EXPECT_TRUE(report->failures.empty());
    for (const PassReport& pass : report->passes) {
      ++passes_run[pass.id];
      if (pass.last) std::erase(running, pass.id);
    }
    Record(*report, &seen);
  }
  return seen;
}

// The task with the schedule that the cut leaves of its own. REQUIRES: no edit.
inline ImageTask SpelledOut(const ModelConfig& config, ImageTask task, const Cut& cut) {
  const std::vector<Pass> plan =
      TruncatePlan(PlanPasses(config, task), cut.before_pass, static_cast<int>(cut.scales));
  MaskSchedule schedule = PresetSchedule(SchedulePreset::kNone, config);
  for (size_t i = 0; i < plan.size(); ++i) {
    if (plan[i].step == 0) schedule[plan[i].scale].clear();
    const uint32_t left = plan[i].settles_scale ? 0 : plan[i + 1].reopened;
    schedule[plan[i].scale].push_back(plan[i].reopened - left);
  }
  task.sampling.mask_schedule = schedule;
  task.preview_mode = PreviewMode::kFull;
  task.preview_scales.assign(config.num_scales(), true);
  return task;
}

// That `cut_short` is what `whole`, with FULL previews of every scale, is after `scales` scales.
inline void ExpectBeginningOf(const Seen& cut_short, const Seen& whole, uint32_t scales) {
  ASSERT_EQ(cut_short.tokens.size(), scales);
  EXPECT_EQ(cut_short.tokens,
            TokenPyramid(whole.tokens.begin(), whole.tokens.begin() + cut_short.tokens.size()));
  for (const auto& [scale, rgb] : whole.previews) {
    if (scale + 1 == scales) {
      EXPECT_TRUE(cut_short.picture.rgb == rgb) << "pixels differ";
      return;
    }
  }
  ADD_FAILURE() << "no preview of scale " << scales - 1;
}

// A crowd of images, every second of them cut somewhere, none the worse for it.
inline void ExpectCutsHarmNobody(Engine* engine, size_t images) {
  const ModelConfig& config = engine->info().config;
  std::mt19937 random(5);
  std::vector<ImageTask> tasks, spelled_out;
  std::vector<std::optional<Cut>> cuts;
  for (size_t i = 0; i < images; ++i) {
    tasks.push_back(VariedTask(config, i, i % 4 < 2 ? PreviewMode::kFull : PreviewMode::kFast));
    cuts.push_back(std::nullopt);
    if (i % 2 == 1) cuts.back() = RandomCut(config, tasks.back(), &random);
    spelled_out.push_back(cuts[i] ? SpelledOut(config, tasks[i], *cuts[i]) : tasks[i]);
  }
  std::map<ImageId, Seen> cut_short = RunCut(engine, tasks, cuts);
  std::map<ImageId, Seen> whole =
      RunCut(engine, spelled_out, std::vector<std::optional<Cut>>(images));
  for (size_t i = 0; i < images; ++i) {
    SCOPED_TRACE(i);
    if (!cuts[i]) {
      ExpectSame(cut_short[i + 1], whole[i + 1]);
      continue;
    }
    SCOPED_TRACE(testing::Message() << "cut before pass " << cuts[i]->before_pass << " to "
                                    << cuts[i]->scales << " scales");
    ExpectBeginningOf(cut_short[i + 1], whole[i + 1], cuts[i]->scales);
    EXPECT_EQ(cut_short[i + 1].previews.size(), cuts[i]->scales);
  }
}

// Generates the upper half of an image that the engine made.
inline ImageTask EditOfUpperHalf(Engine* engine) {
  const ModelConfig& config = engine->info().config;
  const ImageTask source = VariedTask(config, 9, PreviewMode::kNone);
  ImageTask edit = VariedTask(config, 4, PreviewMode::kNone);
  edit.given = std::make_shared<TokenPyramid>(RunCut(engine, {source}, {std::nullopt})[1].tokens);
  const auto S = static_cast<size_t>(config.image_size);
  std::vector<uint8_t> region(S * S, 0);
  std::fill(region.begin(), region.begin() + static_cast<ptrdiff_t>(S * S / 2), 1);
  edit.keep = std::make_shared<std::vector<KeepMap>>(KeepMaps(KeepCells(region, config), config));
  return edit;
}

// An edit without its mask passes, then one that ends `scales` early: as one pass a scale makes it.
inline void ExpectCutEditIsBeginningOfItself(Engine* engine, ImageTask edit) {
  const ModelConfig& config = engine->info().config;
  const auto K = static_cast<uint32_t>(config.num_scales());
  ImageTask whole = edit;
  whole.sampling.mask_schedule = PresetSchedule(SchedulePreset::kNone, config);
  whole.preview_mode = PreviewMode::kFull;
  whole.preview_scales.assign(K, true);
  const uint32_t fewest = PlanPasses(config, edit).front().scale + 1u;
  const Seen expected = RunCut(engine, {whole}, {std::nullopt})[1];
  for (uint32_t scales = fewest; scales <= K; ++scales) {
    SCOPED_TRACE(scales);
    ExpectBeginningOf(RunCut(engine, {edit}, {Cut{0, scales}})[1], expected, scales);
  }
}

// What Truncate refuses, and that nothing has changed then.
inline void ExpectRefusesWhatItCannotCut(Engine* engine) {
  const ModelConfig& config = engine->info().config;
  const auto K = static_cast<uint32_t>(config.num_scales());
  const ImageTask task = VariedTask(config, 1, PreviewMode::kFull);
  ImageTask known = task;
  for (int k = 0; k < config.num_scales(); ++k)
    known.prefix.emplace_back(config.tokens_of_scale(k));
  const Seen expected = RunCut(engine, {task}, {std::nullopt})[1];
  EXPECT_TRUE(absl::IsInvalidArgument(engine->Truncate(1, K))) << "unknown";
  ASSERT_TRUE(engine->Admit(1, task).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(engine->Truncate(1, 0)));
  EXPECT_TRUE(absl::IsInvalidArgument(engine->Truncate(1, K + 1)));
  ASSERT_TRUE(engine->Admit(2, known).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(engine->Truncate(2, K))) << "no pass left";
  std::map<ImageId, Seen> seen;
  std::vector<ImageId> running = {1};
  while (!running.empty()) {
    const auto report = engine->Step(running);
    ASSERT_TRUE(report.ok()) << report.status();
    Record(*report, &seen);
    if (!report->passes.empty() && report->passes[0].last) running.clear();
    for (uint32_t scales = 0; !running.empty() && scales <= report->passes[0].scale; ++scales) {
      EXPECT_TRUE(absl::IsInvalidArgument(engine->Truncate(1, scales)));
    }
  }
  for (int i = 0; i < 1000 && seen[1].picture.rgb.empty(); ++i) Record(*engine->Step({}), &seen);
  ExpectSame(seen[1], expected);
  engine->Cancel(2);
}

}  // namespace hmar

#endif  // HMAR_TESTS_MODEL_TRUNCATION_H_
