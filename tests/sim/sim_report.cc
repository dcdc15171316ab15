#include "tests/sim/sim_report.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_format.h"
#include "model/sampling_plan.h"

namespace hmar::sim {
namespace {

using Json = nlohmann::ordered_json;

Json OutcomeOf(KindOutcome outcome, double seconds, double slo) {
  const double within = PartWithin(outcome.latencies, slo) * static_cast<double>(outcome.done);
  Json json = {{"calls", outcome.calls},
               {"done", outcome.done},
               {"expired", outcome.expired},
               {"refused", outcome.refused},
               {"lost", outcome.lost},
               {"tries", outcome.tries},
               {"images", outcome.images},
               {"degraded_images", outcome.degraded_images},
               {"wasted_images", outcome.wasted_images},
               {"goodput", within / seconds},
               {"within_slo", outcome.calls == 0 ? 0 : within / outcome.calls}};
  for (const auto& [name, q] : {std::pair("p50", 0.5), {"p90", 0.9}, {"p99", 0.99}}) {
    json["latency_ms"][name] = 1e3 * Quantile(outcome.latencies, q);
  }
  return json;
}

Json FleetOf(const SimOptions& options, const FleetResult& result) {
  const DeviceUse& use = result.use;
  const double images = static_cast<double>(result.images);
  Json json = {{"seconds", result.seconds},
               {"images_per_second", images / result.seconds},
               {"mean_replicas", result.replica_seconds / result.seconds},
               {"busy", use.busy_seconds / result.replica_seconds},
               {"steps", use.steps}};
  if (use.steps > 0) {
    json["rows_of_a_step"] = static_cast<double>(use.rows) / use.steps;
    json["images_of_a_step"] = static_cast<double>(use.passes) / use.steps;
    json["ms_of_a_step"] = 1e3 * use.busy_seconds / use.steps;
  }
  if (result.images > 0) {
    const double hours = result.replica_seconds / 3600 / images * 1e6;
    json["device_hours_per_million_images"] = hours;
    if (options.price > 0) json["price_per_million_images"] = hours * options.price;
  }
  return json;
}

Json MomentsOf(const std::vector<Moment>& moments) {
  Json json = Json::array();
  for (const Moment& m : moments) {
    json.push_back({{"seconds", m.seconds},
                    {"calls_per_second", m.calls_per_second},
                    {"images_per_second", m.images_per_second},
                    {"ready", m.ready},
                    {"starting", m.starting},
                    {"draining", m.draining},
                    {"wanted", m.wanted},
                    {"waiting", m.waiting},
                    {"queue_seconds", m.queue_seconds},
                    {"busy", m.busy},
                    {"p50_seconds", m.p50_seconds},
                    {"p99_seconds", m.p99_seconds}});
  }
  return json;
}

Json JsonOf(const SimOptions& options, FleetResult result) {
  Json json;
  json["fleet"] = FleetOf(options, result);
  KindOutcome all;
  Json kinds;
  for (size_t i = 0; i < result.kinds.size(); ++i) {
    all.Add(result.kinds[i]);
    kinds[options.fleet.kinds[i].name] =
        OutcomeOf(std::move(result.kinds[i]), result.seconds, options.slo);
  }
  json["all"] = OutcomeOf(std::move(all), result.seconds, options.slo);
  json["kinds"] = std::move(kinds);
  json["moments"] = MomentsOf(result.moments);
  return json;
}

std::string Line(const std::string& name, const Json& outcome) {
  const auto number = [&outcome](const char* key) { return outcome[key].get<double>(); };
  const Json& ms = outcome["latency_ms"];
  return absl::StrFormat(
      "%-12s %9.0f calls %9.0f done %7.0f expired %7.0f refused %6.0f lost"
      "   p50 %.0f p90 %.0f p99 %.0f ms   within the SLO %.2f %% (%.1f/s)\n",
      name, number("calls"), number("done"), number("expired"), number("refused"), number("lost"),
      ms["p50"].get<double>(), ms["p90"].get<double>(), ms["p99"].get<double>(),
      100 * number("within_slo"), number("goodput"));
}

}  // namespace

std::string JsonReport(const SimOptions& options, FleetResult result) {
  return JsonOf(options, std::move(result)).dump(1) + "\n";
}

std::string TextReport(const SimOptions& options, FleetResult result, double wall_seconds) {
  const Json json = JsonOf(options, std::move(result));
  const Json& fleet = json["fleet"];
  std::string text = absl::StrFormat(
      "%s: %.0f s, %.1f replicas in the mean, %.1f images/s, busy %.1f %%, "
      "%.2f device hours a million images",
      options.device, fleet["seconds"].get<double>(), fleet["mean_replicas"].get<double>(),
      fleet["images_per_second"].get<double>(), 100 * fleet["busy"].get<double>(),
      fleet.value("device_hours_per_million_images", 0.0));
  if (fleet.contains("price_per_million_images")) {
    absl::StrAppendFormat(&text, " (%.2f)", fleet["price_per_million_images"].get<double>());
  }
  absl::StrAppendFormat(&text, "\n%.0f steps of %.1f images, %.0f rows, %.2f ms\n",
                        fleet["steps"].get<double>(), fleet.value("images_of_a_step", 0.0),
                        fleet.value("rows_of_a_step", 0.0), fleet.value("ms_of_a_step", 0.0));
  if (json["kinds"].size() > 1) {
    for (const auto& [name, outcome] : json["kinds"].items()) text += Line(name, outcome);
  }
  text += Line("all", json["all"]);
  absl::StrAppendFormat(&text, "simulated in %.1f s\n", wall_seconds);
  return text;
}

std::string PassesReport(const ModelConfig& config) {
  Json scales = Json::array();
  for (int k = 0; k < config.num_scales(); ++k) scales.push_back(Json::array());
  for (const Pass& pass : PlanPasses(config, config.sampling, /*has_class=*/true, 0)) {
    scales[pass.scale].push_back(pass.rows());
  }
  return scales.dump() + "\n";
}

}  // namespace hmar::sim
