#ifndef HMAR_TESTS_SIM_TIMED_ENGINE_H_
#define HMAR_TESTS_SIM_TIMED_ENGINE_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "client/load/schedule.h"
#include "model/engine.h"
#include "tests/sim/device_profile.h"

namespace hmar::sim {

// An engine that computes nothing: it follows the sampling plans of its images, and says how long
// the device of a profile would have taken. Its reports are as model/engine.h promises; pictures
// and tokens are empty. Edits are not simulated. Thread-compatible.
class TimedEngine final : public Engine {
 public:
  // `profile` outlives it. `seed`: of the jitter.
  TimedEngine(const DeviceProfile* profile, EngineInfo info, uint64_t seed)
      : profile_(*profile), info_(std::move(info)), random_(seed) {}

  const EngineInfo& info() const override { return info_; }
  absl::Status Admit(ImageId id, ImageTask task) override;
  void Cancel(ImageId id) override { held_.erase(id); }
  absl::Status Truncate(ImageId id, uint32_t scales) override;
  // INVALID_ARGUMENT: an id that is not held.
  absl::StatusOr<StepReport> Step(absl::Span<const ImageId> ids) override;
  // UNIMPLEMENTED.
  absl::StatusOr<std::vector<TokenPyramid>> Encode(absl::Span<const Picture* const>) override;

  // What the device takes for a step that reported this, begun after such a rest.
  double SecondsOf(const StepReport& report, double rest_seconds);

  size_t images_held() const { return held_.size(); }

 private:
  struct Held {
    ImageTask task;
    std::vector<Pass> passes;
    size_t next_pass = 0;
    int scales = 0;  // That it is to have.
  };

  void Advance(ImageId id, Held& held, StepReport& report) const;
  double Jitter();

  const DeviceProfile& profile_;
  const EngineInfo info_;
  load::Random random_;
  absl::flat_hash_map<ImageId, Held> held_;
};

}  // namespace hmar::sim

#endif  // HMAR_TESTS_SIM_TIMED_ENGINE_H_
