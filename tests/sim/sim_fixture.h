#ifndef HMAR_TESTS_SIM_SIM_FIXTURE_H_
#define HMAR_TESTS_SIM_SIM_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/fakes/fake_engine.h"
#include "tests/sim/fleet.h"
#include "tests/sim/fleet_options.h"

namespace hmar::sim {

// A device whose steps take so long whatever is in them, with a model of one pass and one slot: a
// queue with one server and constant service.
inline DeviceProfile OneAtATime(double seconds) {
  DeviceProfile profile;
  profile.config = FakeEngineInfo().config;
  profile.config.patch_nums = {1};
  profile.config.sampling.mask_schedule = {{1}};
  profile.slots = 1;
  profile.max_step_rows = 1;
  profile.forward = {{1, seconds}};
  return profile;
}

// 5 passes an image, 8 slots; 2 ms a step, 0.1 ms a row, 1 ms a picture: 4.9 ms of work an image
// and 10 ms of steps that it shares.
inline DeviceProfile Batching() {
  DeviceProfile profile;
  profile.config = FakeEngineInfo().config;
  profile.slots = 8;
  profile.max_step_rows = 64;
  profile.forward = {{1, 0.0021}, {101, 0.0121}};
  profile.picture_seconds = 0.001;
  profile.start_up_seconds = 5;
  return profile;
}

inline FleetOptions OptionsOf(DeviceProfile profile, double rate, absl::Duration length) {
  FleetOptions options;
  options.profile = std::move(profile);
  options.traffic.calls_per_second = rate;
  options.length = length;
  return options;
}

inline load::Kind KindOf(const std::string& name, double weight, int64_t images,
                         int64_t priority = 0) {
  load::Kind kind;
  kind.name = name;
  kind.weight = weight;
  kind.images = images;
  kind.priority = priority;
  return kind;
}

// The result; the test fails if there is none.
inline FleetResult ResultOf(const FleetOptions& options) {
  absl::StatusOr<FleetResult> result = Simulate(options);
  EXPECT_TRUE(result.ok()) << result.status();
  if (result.ok()) return *std::move(result);
  FleetResult nothing;
  nothing.kinds.resize(options.kinds.size());
  return nothing;
}

inline double Mean(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += value;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

}  // namespace hmar::sim

#endif  // HMAR_TESTS_SIM_SIM_FIXTURE_H_
