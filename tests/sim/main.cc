// hmar-sim: what a fleet of servers does under a load, in virtual time. See README.md.

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <exception>
#include <fstream>
#include <string>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "tests/sim/fleet.h"
#include "tests/sim/sim_options.h"
#include "tests/sim/sim_report.h"

namespace hmar::sim {
namespace {

int Fail(const std::string& what) {
  std::fprintf(stderr, "hmar-sim: %s\n", what.c_str());
  return 1;
}

int Main(SimOptions& options) {
  absl::StatusOr<FleetOptions> fleet = FleetOf(options);
  if (!fleet.ok()) return Fail(std::string(fleet.status().message()));
  options.fleet = *std::move(fleet);
  if (options.passes) {
    std::fputs(PassesReport(options.fleet.profile.config).c_str(), stdout);
    return 0;
  }
  const auto start = std::chrono::steady_clock::now();
  const absl::StatusOr<FleetResult> result = Simulate(options.fleet);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  if (!result.ok()) return Fail(std::string(result.status().message()));
  if (options.json == "-") {
    std::fputs(JsonReport(options, *result).c_str(), stdout);
    return 0;
  }
  std::fputs(TextReport(options, *result, took.count()).c_str(), stdout);
  if (options.json.empty()) return 0;
  std::ofstream file(options.json);
  file << JsonReport(options, *result);
  file.close();
  return file ? 0 : Fail("cannot write " + options.json);
}

}  // namespace
}  // namespace hmar::sim

int main(int argc, char** argv) {
  try {
    CLI::App app("hmar-sim: a fleet of hmar-servers under a load, in virtual time.");
    hmar::sim::SimOptions options;
    hmar::sim::AddFlags(app, options);
    CLI11_PARSE(app, argc, argv);
    // A scheduler's lock is its zone's thread's alone here, taken some ten times a step.
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
    return hmar::sim::Main(options);
  } catch (const std::exception& error) {  // No memory, most likely.
    std::fprintf(stderr, "hmar-sim: %s\n", error.what());
    return 1;
  }
}
