#include <nlohmann/json.hpp>

#include "client/load/report.h"

namespace hmar::load {
namespace {

using Json = nlohmann::ordered_json;

Json ToJson(const Distribution& of) {
  Json json = {{"count", of.count}, {"exact", of.kept == of.count}};
  if (of.count == 0) return json;
  json.update(
      {{"p50", of.p50}, {"p90", of.p90}, {"p95", of.p95}, {"p99", of.p99}, {"max", of.max}});
  return json;
}

Json ErrorsOf(const Summary& summary) {
  Json errors = Json::array();
  for (const auto& [key, count] : summary.errors) {
    errors.push_back({{"code", key.first}, {"reason", key.second}, {"calls", count}});
  }
  return errors;
}

Json ToJson(const Summary& s, double slo_ms) {
  Json json = {{"name", s.name},
               {"due", s.due},
               {"sent", s.sent},
               {"not_sent", s.not_sent},
               {"ok", s.ok},
               {"failed", s.failed},
               {"no_answer", s.no_answer},
               {"mismatched", s.mismatched},
               {"cancelled", s.cancelled},
               {"timed_out", s.timed_out},
               {"interrupted", s.interrupted},
               {"degraded", s.degraded},
               {"images", s.images},
               {"images_per_second", s.images_per_second},
               {"errors", ErrorsOf(s)},
               {"latency_ms", ToJson(s.latency_ms)},
               {"accepted_ms", ToJson(s.accepted_ms)},
               {"first_preview_ms", ToJson(s.first_preview_ms)},
               {"refusal_ms", ToJson(s.refusal_ms)},
               {"estimate_ratio", ToJson(s.estimate_ratio)}};
  Json curve = Json::array();
  for (const auto& [p, ms] : s.latency_ms.curve) curve.push_back({p, ms});
  json["latency_curve"] = curve;
  if (slo_ms > 0) {
    json["goodput"] = {
        {"slo_ms", slo_ms},
        {"calls", s.good},
        {"calls_per_second", s.good_per_second},
        {"share_of_due",
         s.due == 0 ? 0.0 : static_cast<double>(s.good) / static_cast<double>(s.due)}};
  }
  return json;
}

Json ToJson(const RunReport& run, double slo_ms) {
  Json json = {{"name", RunName(run)}};
  if (run.rate) json["rate"] = *run.rate;
  if (run.concurrency) json["concurrency"] = *run.concurrency;
  json["sending_seconds"] = run.sending_seconds;
  json["measured_seconds"] = run.measured_seconds;
  json["sustained_images_per_second"] = run.sustained_images_per_second;
  json["late_ms"] = ToJson(run.late_ms);
  json["timeline"] = {{"bucket_seconds", run.bucket_seconds}, {"images", run.images_by_bucket}};
  json["all"] = ToJson(run.all, slo_ms);
  json["kinds"] = Json::array();
  for (const Summary& kind : run.kinds) json["kinds"].push_back(ToJson(kind, slo_ms));
  return json;
}

}  // namespace

std::string ReportJson(const Report& report) {
  Json json = {{"server", report.server},       {"command", report.command},
               {"exit_code", report.exit_code}, {"verified", report.verified},
               {"warnings", report.warnings},   {"errors", report.errors}};
  json["metrics"] = Json::array();
  for (const MetricsRow& row : report.metrics) {
    json["metrics"].push_back({{"what", row.what},
                               {"seen", row.seen},
                               {"possible", row.possible},
                               {"counted", row.counted}});
  }
  json["runs"] = Json::array();
  for (const RunReport& run : report.runs) json["runs"].push_back(ToJson(run, report.slo_ms));
  return json.dump(2, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n";
}

}  // namespace hmar::load
