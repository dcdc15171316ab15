#ifndef HMAR_TESTS_MODEL_SEEN_IMAGES_H_
#define HMAR_TESTS_MODEL_SEEN_IMAGES_H_

// What comes out of an engine, to be held against what came out another time; and tasks that differ
// in all that could change a batch.

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "model/engine.h"
#include "model/sampling_plan.h"

namespace hmar {

// Everything a client could see of an image.
struct Seen {
  Picture picture;
  TokenPyramid tokens;
  std::vector<std::pair<uint32_t, std::vector<uint8_t>>> previews;  // Scale, pixels.
};

// Adds what a report delivers. The test fails if a preview comes after its image.
inline void Record(const StepReport& report, std::map<ImageId, Seen>* seen) {
  for (const PreviewReport& p : report.previews) {
    EXPECT_TRUE((*seen)[p.id].picture.rgb.empty()) << "a preview after its image";
    (*seen)[p.id].previews.emplace_back(p.scale, p.picture.rgb);
  }
  for (const ImageReport& i : report.images) {
    (*seen)[i.id].picture = i.picture;
    (*seen)[i.id].tokens = i.tokens;
  }
}

inline void ExpectSame(const Seen& a, const Seen& b) {
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_TRUE(a.picture.rgb == b.picture.rgb) << "pixels differ";
  EXPECT_TRUE(a.previews == b.previews) << "previews differ";
}

// `seed` decides class, schedule and temperature, too. Previews, if any, are of every scale.
// REQUIRES: the model has 10 classes or more.
inline ImageTask VariedTask(const ModelConfig& config, uint64_t seed, PreviewMode mode) {
  ImageTask task;
  if (seed % 5 != 4) task.class_id = seed % 10;
  task.seed = seed;
  task.sampling = config.sampling;
  if (seed % 3 == 1) {
    task.sampling.mask_schedule = PresetSchedule(SchedulePreset::kQuality, config);
  }
  if (seed % 3 == 2) task.sampling.mask_schedule = PresetSchedule(SchedulePreset::kNone, config);
  if (seed % 7 == 3) task.sampling.temperature = 0.8f;
  task.preview_mode = mode;
  task.preview_scales.assign(config.num_scales(), mode != PreviewMode::kNone);
  return task;
}

}  // namespace hmar

#endif  // HMAR_TESTS_MODEL_SEEN_IMAGES_H_
