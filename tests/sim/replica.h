#ifndef HMAR_TESTS_SIM_REPLICA_H_
#define HMAR_TESTS_SIM_REPLICA_H_

#include <cstdint>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/scheduling/scheduler.h"
#include "tests/sim/device_profile.h"
#include "tests/sim/timed_engine.h"

namespace hmar::sim {

// How a server is started: its options of the same names, 0 of the first two as in the profile.
struct ServerSettings {
  uint32_t max_step_rows = 0;
  uint32_t max_images_in_flight = 0;
  uint32_t max_queued_images = 2048;
  uint32_t max_queued_images_per_client = 1024;
  uint32_t reserved_slots = 4;
  absl::Duration aging = absl::Minutes(1);
};

// What a device did.
struct DeviceUse {
  double busy_seconds = 0;  // Inside steps.
  uint64_t steps = 0;
  uint64_t rows = 0;
  uint64_t passes = 0;  // Images of steps.

  void Add(const DeviceUse& more);
};

// One server of one device: the server's own Scheduler, with its admission, policy and cost model,
// as hmar-server has it, and a TimedEngine in place of the engine. The caller does what the engine
// loop's thread does, in virtual time: BeginStep, and at its end EndStep. Thread-compatible.
class Replica {
 public:
  // All outlive it. The probe image has been made when it returns, in no time: so the cost model
  // knows what a lone image's steps take. `seed`: of the device's jitter.
  Replica(const ServerSettings& settings, const DeviceProfile* profile, const Clock* clock,
          uint64_t seed);

  // As Scheduler::Submit.
  absl::StatusOr<Admission> Submit(Work work) { return scheduler_.Submit(std::move(work)); }

  // If no step is under way and there is something to do, begins one. Returns when the next may
  // begin, counted from now: EndStep must be called then. Listeners may be called, too.
  std::optional<absl::Duration> BeginStep();

  // The step under way ends, and what it made is delivered. REQUIRES: BeginStep returned a time.
  void EndStep();

  // Takes no new work; what was taken is done.
  void Drain() { scheduler_.BeginDrain(); }

  // The process is gone: what was taken fails with `status`. No step ends any more.
  void Kill(const absl::Status& status) { scheduler_.Stop(status); }

  // Nothing waits or runs.
  bool idle() const { return !step_ && running() + waiting() == 0; }
  uint32_t waiting() const { return scheduler_.queued_images(); }
  uint32_t running() const { return scheduler_.running_images(); }
  // What its device did since the last call.
  DeviceUse TakeUse() { return std::exchange(use_, {}); }

 private:
  struct Running {
    PlannedStep step;
    StepReport report;
    absl::Duration took;
  };

  void Prepare(PlannedStep& step);
  void MakeProbeImage();

  const DeviceProfile& profile_;
  const Clock& clock_;
  absl::Time rests_since_;  // The end of its last step.
  TimedEngine engine_;
  Scheduler scheduler_;
  std::optional<Running> step_;
  DeviceUse use_;
};

}  // namespace hmar::sim

#endif  // HMAR_TESTS_SIM_REPLICA_H_
