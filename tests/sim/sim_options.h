#ifndef HMAR_TESTS_SIM_SIM_OPTIONS_H_
#define HMAR_TESTS_SIM_SIM_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/sim/fleet_options.h"

namespace hmar::sim {

// The command line of hmar-sim, as it was given. Times are seconds.
struct SimOptions {
  std::string device = "cpu-2";
  std::string devices = "tests/sim/devices.json";
  std::string mix;  // A file of hmar-load's mixes; empty: one image a call.
  std::string balancer = "least-request";
  std::vector<std::string> targets;  // METRIC=VALUE
  double length = 60, warm_up = 0;
  double day = 86400, burst = 30;
  double scheduling_lag = 10, mean_life = 0;
  double down_window = 300, down_period = 60, up_period = 15, metric_window = 60, metric_lag = 15;
  double slo = 1;
  double price = 0;     // Of a device's hour; 0: nobody said.
  bool passes = false;  // Print those of the device's model, and end.
  std::string json;     // File for everything; "-": standard output, and no table.
  FleetOptions fleet;   // The rest, and what FleetOf makes of all this.
};

// Declares every flag. `options` outlives the app.
void AddFlags(CLI::App& app, SimOptions& options);

// Errors name the file or the option.
absl::StatusOr<FleetOptions> FleetOf(const SimOptions& options);

}  // namespace hmar::sim

#endif  // HMAR_TESTS_SIM_SIM_OPTIONS_H_
