#include "tests/sim/sim_options.h"

#include <fstream>
#include <iterator>
#include <map>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/load/mix.h"
#include "model/status_macros.h"

namespace hmar::sim {
namespace {

void AddServer(CLI::App& app, SimOptions& options) {
  ServerSettings& server = options.fleet.server;
  app.add_option("--device", options.device, "A device of the file")->capture_default_str();
  app.add_option("--devices", options.devices, "File of what devices take")->capture_default_str();
  app.add_option("--max-step-rows", server.max_step_rows, "hmar-server's; 0: the device's");
  app.add_option("--max-images-in-flight", server.max_images_in_flight, "Likewise");
  app.add_option("--max-queued-images", server.max_queued_images, "hmar-server's")
      ->capture_default_str();
  app.add_option("--max-queued-images-per-client", server.max_queued_images_per_client, "Likewise")
      ->capture_default_str();
  app.add_option("--reserved-slots", server.reserved_slots, "Likewise")->capture_default_str();
}

void AddTraffic(CLI::App& app, SimOptions& options) {
  TrafficOptions& traffic = options.fleet.traffic;
  app.add_option("--mix", options.mix, "hmar-load's mix file; default: one image a call");
  app.add_option("--principals", options.fleet.principals, "Of each kind without one of its own")
      ->capture_default_str();
  app.add_option("--rate", traffic.calls_per_second, "Calls a second, in the mean")
      ->capture_default_str();
  app.add_option("--concurrency", traffic.open_calls, "A closed loop of so many calls a zone");
  app.add_option("--day-swing", traffic.day_swing, "The day's part of the rate, 0 to 1");
  app.add_option("--day", options.day, "Length of a day")->capture_default_str();
  app.add_option("--burst-times", traffic.burst_times, "Rate of a burst, by the calm's")
      ->capture_default_str();
  app.add_option("--burst", options.burst, "Length of a burst, in the mean")->capture_default_str();
  app.add_option("--burst-share", traffic.burst_share, "Part of time that has bursts")
      ->capture_default_str();
  app.add_option("--seconds", options.length, "Of arrivals")->capture_default_str();
  app.add_option("--warm-up", options.warm_up, "Of these, not counted")->capture_default_str();
  app.add_option("--seed", options.fleet.seed, "Of all that is random")->capture_default_str();
}

void AddReplicas(CLI::App& app, SimOptions& options) {
  FleetOptions& fleet = options.fleet;
  app.add_option("--replicas", fleet.replicas, "At the start")->capture_default_str();
  app.add_option("--zones", fleet.zones, "Each with its own balancer")->capture_default_str();
  app.add_option("--threads", fleet.threads, "For the zones")->capture_default_str();
  app.add_option("--balancer", options.balancer, "round-robin, least-request, random-of-two")
      ->capture_default_str();
  app.add_option("--mean-life", options.mean_life, "Of a replica, until it fails; 0: none does");
  app.add_option("--tries", fleet.tries, "Of a call whose replica fails")->capture_default_str();
  app.add_option("--scheduling-lag", options.scheduling_lag,
                 "From a decision to a process that starts")
      ->capture_default_str();
}

void AddAutoscaler(CLI::App& app, SimOptions& options) {
  AutoscalerOptions& scaler = options.fleet.autoscaler;
  app.add_option(
      "--hpa-target", options.targets,
      "METRIC=VALUE, the one that asks for most counts; METRIC: queue-seconds (mean, of "
      "those that began), wait-seconds (of one that comes now), busy-share, images-per-pod");
  app.add_option("--hpa-min", scaler.min_replicas, "Replicas")->capture_default_str();
  app.add_option("--hpa-max", scaler.max_replicas, "Replicas")->capture_default_str();
  app.add_option("--hpa-down-window", options.down_window, "stabilizationWindowSeconds")
      ->capture_default_str();
  app.add_option("--hpa-down-percent", scaler.down_percent, "At most so much fewer a period")
      ->capture_default_str();
  app.add_option("--hpa-down-period", options.down_period, "Its periodSeconds")
      ->capture_default_str();
  app.add_option("--hpa-down-pods", scaler.down_pods, "or so many, whichever is more")
      ->capture_default_str();
  app.add_option("--hpa-up-percent", scaler.up_percent, "At most so much more a period")
      ->capture_default_str();
  app.add_option("--hpa-up-pods", scaler.up_pods, "or so many, whichever is more")
      ->capture_default_str();
  app.add_option("--hpa-up-period", options.up_period, "Its periodSeconds")->capture_default_str();
  app.add_option("--metric-window", options.metric_window, "Over which the metrics are means")
      ->capture_default_str();
  app.add_option("--metric-lag", options.metric_lag, "Until the autoscaler sees them")
      ->capture_default_str();
}

absl::StatusOr<std::vector<load::Kind>> KindsOf(const std::string& path) {
  if (path.empty()) return OneImageACall();
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat("cannot read ", path));
  const std::string text(std::istreambuf_iterator<char>(file), {});
  HMAR_ASSIGN_OR_RETURN(std::vector<load::Kind> kinds, load::ParseMix(text, path));
  load::NameKinds(kinds);
  return kinds;
}

absl::StatusOr<ScalingTarget> TargetOf(const std::string& text) {
  static const auto& metrics =
      *new std::map<std::string, ScalingMetric>{{"queue-seconds", ScalingMetric::kQueueSeconds},
                                                {"wait-seconds", ScalingMetric::kWaitSeconds},
                                                {"busy-share", ScalingMetric::kBusyShare},
                                                {"images-per-pod", ScalingMetric::kImagesPerPod}};
  const std::pair<std::string, std::string> parts = absl::StrSplit(text, absl::MaxSplits('=', 1));
  const auto metric = metrics.find(parts.first);
  double value;
  if (metric == metrics.end() || !absl::SimpleAtod(parts.second, &value)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--hpa-target is \"", text, "\", must be METRIC=VALUE; METRIC is one of ",
        absl::StrJoin(metrics, ", ",
                      [](std::string* out, const auto& entry) { out->append(entry.first); })));
  }
  return ScalingTarget{metric->second, value};
}

}  // namespace

void AddFlags(CLI::App& app, SimOptions& options) {
  AddServer(app, options);
  AddTraffic(app, options);
  AddReplicas(app, options);
  AddAutoscaler(app, options);
  app.add_option("--slo", options.slo, "Of a call, from when it is due")->capture_default_str();
  app.add_option("--price", options.price, "Of a device's hour, in whatever money");
  app.add_flag("--passes", options.passes,
               "Print the rows of the passes of the device's model, scale by scale, and end");
  app.add_option("--json", options.json, "File for everything; -: standard output");
}

absl::StatusOr<FleetOptions> FleetOf(const SimOptions& options) {
  FleetOptions fleet = options.fleet;
  HMAR_ASSIGN_OR_RETURN(const DeviceProfiles profiles, ReadDeviceProfiles(options.devices));
  const auto profile = profiles.find(options.device);
  if (profile == profiles.end()) {
    const std::string names = absl::StrJoin(
        profiles, ", ", [](std::string* out, const auto& entry) { out->append(entry.first); });
    return absl::InvalidArgumentError(
        absl::StrCat("no device \"", options.device, "\" in ", options.devices, ": ", names));
  }
  fleet.profile = profile->second;
  HMAR_ASSIGN_OR_RETURN(fleet.kinds, KindsOf(options.mix));
  HMAR_ASSIGN_OR_RETURN(fleet.balancing, ParseBalancing(options.balancer));
  for (const std::string& text : options.targets) {
    HMAR_ASSIGN_OR_RETURN(fleet.autoscaler.targets.emplace_back(), TargetOf(text));
  }
  fleet.length = absl::Seconds(options.length);
  fleet.warm_up = absl::Seconds(options.warm_up);
  fleet.traffic.day = absl::Seconds(options.day);
  fleet.traffic.burst = absl::Seconds(options.burst);
  fleet.scheduling_lag = absl::Seconds(options.scheduling_lag);
  fleet.mean_life = absl::Seconds(options.mean_life);
  fleet.metric_window = absl::Seconds(options.metric_window);
  fleet.metric_lag = absl::Seconds(options.metric_lag);
  fleet.autoscaler.down_window = absl::Seconds(options.down_window);
  fleet.autoscaler.down_period = absl::Seconds(options.down_period);
  fleet.autoscaler.up_period = absl::Seconds(options.up_period);
  return fleet;
}

}  // namespace hmar::sim
