#ifndef HMAR_TESTS_SIM_FLEET_OPTIONS_H_
#define HMAR_TESTS_SIM_FLEET_OPTIONS_H_

#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "client/load/mix.h"
#include "tests/sim/autoscaler.h"
#include "tests/sim/balancer.h"
#include "tests/sim/device_profile.h"
#include "tests/sim/replica.h"
#include "tests/sim/traffic.h"

namespace hmar::sim {

// A mix of one kind: a call is one image, without previews or a deadline.
inline std::vector<load::Kind> OneImageACall() {
  load::Kind kind;
  kind.name = "image";
  return {kind};
}

// A simulation in full: the same options give the same result, whatever `threads` says.
struct FleetOptions {
  DeviceProfile profile;
  ServerSettings server;
  std::vector<load::Kind> kinds = OneImageACall();
  uint32_t principals = 100;  // Of each kind without one of its own.
  TrafficOptions traffic;
  absl::Duration length = absl::Minutes(1);       // Calls come for so long; then what is open ends.
  absl::Duration warm_up = absl::ZeroDuration();  // Calls that come before it are not counted.

  uint32_t replicas = 1;  // Ready at the start.
  // Each zone has its own balancer, its part of the replicas and of the calls; an autoscaler sees
  // them all. Zones run beside each other: with one a core, so much faster.
  uint32_t zones = 1;
  uint32_t threads = 1;
  Balancing balancing = Balancing::kLeastRequest;
  AutoscalerOptions autoscaler;
  // The autoscaler's metrics are means over so long (queue time: of the images that ended then),
  absl::Duration metric_window = absl::Minutes(1);
  // and reach it so much later (a scrape, an adapter's interval).
  absl::Duration metric_lag = absl::Seconds(15);
  // From the autoscaler's decision, or a failure, to a process that starts: a pod is placed, a
  // machine comes up, an image is pulled. The profile's start_up_seconds come on top.
  absl::Duration scheduling_lag = absl::Seconds(10);

  absl::Duration mean_life;  // Of a replica, after which it fails (exponential); 0: none fails.
  uint32_t tries = 3;        // Of a call whose replica fails, or that finds none.
  absl::Duration retry_delay = absl::Milliseconds(100);  // Before the second; doubles.
  uint64_t seed = 1;
};

// INVALID_ARGUMENT names the option, its value and the limit.
absl::Status CheckFleet(const FleetOptions& options);

}  // namespace hmar::sim

#endif  // HMAR_TESTS_SIM_FLEET_OPTIONS_H_
