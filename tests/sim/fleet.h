#ifndef HMAR_TESTS_SIM_FLEET_H_
#define HMAR_TESTS_SIM_FLEET_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/sim/fleet_options.h"
#include "tests/sim/outcome.h"

namespace hmar::sim {

// What the fleet was between two looks of the autoscaler, at the end of that time.
struct Moment {
  double seconds = 0;  // Since the start.
  double calls_per_second = 0;
  double images_per_second = 0;
  uint32_t ready = 0, starting = 0, draining = 0;
  uint32_t wanted = 0;                      // What the autoscaler asks for, from now on.
  uint32_t waiting = 0;                     // Images.
  double queue_seconds = 0;                 // Mean of the images that ended.
  double busy = 0;                          // Part of the replicas' time that was spent in steps.
  double p50_seconds = 0, p99_seconds = 0;  // Of the calls that were done.
};

struct FleetResult {
  std::vector<KindOutcome> kinds;  // By index in the mix: of calls after the warm-up.
  // From the warm-up to the end of the arrivals:
  double seconds = 0;
  uint64_t images = 0;         // That ended, of whatever calls.
  double replica_seconds = 0;  // That replicas were there, the starting and the draining, too.
  DeviceUse use;
  std::vector<Moment> moments;  // From the start to the end of the arrivals.
};

// Runs the simulation to its end: until every call that came has ended. Errors: CheckFleet's, and
// those of the mix (CallMaker).
absl::StatusOr<FleetResult> Simulate(const FleetOptions& options);

}  // namespace hmar::sim

#endif  // HMAR_TESTS_SIM_FLEET_H_
