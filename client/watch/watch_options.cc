#include "client/watch/watch_options.h"

#include <CLI/CLI.hpp>
#include <string>
#include <utility>

#include "client/flag_values.h"

namespace hmar {
namespace {

constexpr double kMinIntervalSeconds = 0.1;
constexpr double kMaxIntervalSeconds = 3600;

}  // namespace

CLI::App* AddWatch(CLI::App& app, WatchCommand& command) {
  CLI::App* watch =
      app.add_subcommand("watch", "Follow a server's throughput, queue and latency; q ends it");
  const auto set = [&command](const std::string& text) {
    absl::StatusOr<MetricsAddress> address = ParseMetricsAddress(text);
    if (!address.ok()) {
      throw CLI::ValidationError("--metrics", std::string(address.status().message()));
    }
    command.metrics = *std::move(address);
  };
  watch
      ->add_option_function<std::string>(
          "--metrics", set, "HOST:PORT or URL of its Prometheus metrics (hmar-server --metrics)")
      ->envname("HMAR_METRICS")
      ->default_str("localhost:9090");
  watch->add_option("--interval", command.interval_seconds, "Seconds between two looks, up to 3600")
      ->check(Seconds())
      ->check(CLI::Range(kMinIntervalSeconds, kMaxIntervalSeconds))
      ->capture_default_str();
  watch->add_flag("--once", command.once, "Look twice, an interval apart, print that and end");
  return watch;
}

}  // namespace hmar
