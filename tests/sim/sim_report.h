#ifndef HMAR_TESTS_SIM_SIM_REPORT_H_
#define HMAR_TESTS_SIM_SIM_REPORT_H_

#include <string>

#include "model/config.h"
#include "tests/sim/fleet.h"
#include "tests/sim/sim_options.h"

namespace hmar::sim {

// What a simulation came to, for programs: "all" and each of "kinds" (calls, how they ended,
// latencies in ms, goodput: calls a second that were done within the SLO), "fleet", "moments".
std::string JsonReport(const SimOptions& options, FleetResult result);

// The same for people, without the moments. `wall_seconds`: what simulating it took.
std::string TextReport(const SimOptions& options, FleetResult result, double wall_seconds);

// Forward rows of the passes of a model's image by its own schedule: JSON, a list for each scale.
std::string PassesReport(const ModelConfig& config);

}  // namespace hmar::sim

#endif  // HMAR_TESTS_SIM_SIM_REPORT_H_
