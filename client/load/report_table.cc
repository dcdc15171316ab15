#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/load/report.h"

namespace hmar::load {
namespace {

constexpr size_t kNameColumns = 20;

std::string Name(const std::string& name) {
  return name.size() <= kNameColumns ? name : absl::StrCat(name.substr(0, kNameColumns - 1), "~");
}

// Three digits and more of a value; "-" where there is none.
std::string Number(const Distribution& of, double value) {
  if (of.count == 0) return "-";
  return value < 100 ? absl::StrFormat("%.2f", value) : absl::StrFormat("%.0f", value);
}

std::string Pair(const Distribution& of, double one, double other) {
  return absl::StrCat(Number(of, one), "/", Number(of, other));
}

constexpr char kCallsHead[] =
    "  KIND                     DUE  UNSENT      OK  FAILED  CANCEL TIMEOUT  DEGR.  IMAGES/S"
    "       p50       p90       p95       p99       max ms\n";

std::string CallsRow(const Summary& s) {
  const Distribution& ms = s.latency_ms;
  return absl::StrFormat("  %-20s %7d %7d %7d %7d %7d %7d %6d %9.2f %9s %9s %9s %9s %9s\n",
                         Name(s.name), s.due, s.not_sent, s.ok, s.failed, s.cancelled, s.timed_out,
                         s.degraded, s.images_per_second, Number(ms, ms.p50), Number(ms, ms.p90),
                         Number(ms, ms.p95), Number(ms, ms.p99), Number(ms, ms.max));
}

constexpr char kTimesHead[] =
    "  KIND                   ACCEPTED ms     1st PREVIEW ms      REFUSED ms     ESTIMATE/TRUTH"
    "   IN SLO/s  OF DUE\n"
    "                             p50/p99            p50/p99         p50/p99            p50/p95\n";

std::string TimesRow(const Summary& s, double slo_ms) {
  const std::string share = slo_ms == 0 || s.due == 0
                                ? "-"
                                : absl::StrFormat("%.1f %%", 100.0 * static_cast<double>(s.good) /
                                                                 static_cast<double>(s.due));
  return absl::StrFormat("  %-20s %13s %18s %15s %18s %10s %7s\n", Name(s.name),
                         Pair(s.accepted_ms, s.accepted_ms.p50, s.accepted_ms.p99),
                         Pair(s.first_preview_ms, s.first_preview_ms.p50, s.first_preview_ms.p99),
                         Pair(s.refusal_ms, s.refusal_ms.p50, s.refusal_ms.p99),
                         Pair(s.estimate_ratio, s.estimate_ratio.p50, s.estimate_ratio.p95),
                         slo_ms == 0 ? "-" : absl::StrFormat("%.2f", s.good_per_second), share);
}

std::string Errors(const Summary& all) {
  std::string lines;
  for (const auto& [key, count] : all.errors) {
    absl::StrAppend(&lines, absl::StrFormat("  %7d calls: %s%s\n", count, key.first,
                                            key.second.empty() ? "" : " " + key.second));
  }
  return lines;
}

// One kind alone is all there is.
template <typename Row>
std::string Rows(const RunReport& run, const Row& row) {
  std::string lines = row(run.all);
  if (run.kinds.size() < 2) return lines;
  for (const Summary& kind : run.kinds) absl::StrAppend(&lines, row(kind));
  return lines;
}

std::string RunTable(const RunReport& run, double slo_ms) {
  return absl::StrCat(
      absl::StrFormat("\n%s: images/s %.2f while calls were sent (%.1f s), %.2f over all %.1f s; "
                      "calls sent late by p99 %s, max %s ms\n",
                      RunName(run), run.sustained_images_per_second, run.sending_seconds,
                      run.all.images_per_second, run.measured_seconds,
                      Number(run.late_ms, run.late_ms.p99), Number(run.late_ms, run.late_ms.max)),
      kCallsHead, Rows(run, CallsRow), kTimesHead,
      Rows(run, [&](const Summary& s) { return TimesRow(s, slo_ms); }), Errors(run.all));
}

std::string SweepTable(const Report& report) {
  std::string table =
      "\n  RATE/s       DUE  UNSENT      OK  FAILED  IMAGES/S   IN SLO/s"
      "       p50       p90       p95       p99       max ms\n";
  for (const RunReport& run : report.runs) {
    const Summary& all = run.all;
    const Distribution& ms = all.latency_ms;
    absl::StrAppend(
        &table,
        absl::StrFormat("  %-9s %6d %7d %7d %7d %9.2f %10s %9s %9s %9s %9s %9s\n",
                        absl::StrFormat("%g", run.rate.value_or(0)), all.due, all.not_sent, all.ok,
                        all.failed, run.sustained_images_per_second,
                        report.slo_ms == 0 ? "-" : absl::StrFormat("%.2f", all.good_per_second),
                        Number(ms, ms.p50), Number(ms, ms.p90), Number(ms, ms.p95),
                        Number(ms, ms.p99), Number(ms, ms.max)));
  }
  return table;
}

}  // namespace

std::string RunName(const RunReport& run) {
  return run.rate ? absl::StrFormat("rate %g/s", *run.rate)
                  : absl::StrCat(run.concurrency.value_or(0), " in flight");
}

std::string ReportTable(const Report& report) {
  std::string text = absl::StrCat("hmar-load ", report.server, "  ", report.command, "\n");
  for (const RunReport& run : report.runs) absl::StrAppend(&text, RunTable(run, report.slo_ms));
  if (report.runs.size() > 1) absl::StrAppend(&text, SweepTable(report));
  if (!report.metrics.empty()) absl::StrAppend(&text, "\n");
  for (const MetricsRow& row : report.metrics) {
    const std::string possible =
        row.possible == 0 ? "" : absl::StrCat(" and ", row.possible, " possible");
    absl::StrAppend(&text, absl::StrFormat("  metrics: %s: %g counted, %d seen%s\n", row.what,
                                           row.counted, row.seen, possible));
  }
  if (!report.warnings.empty() || !report.errors.empty()) absl::StrAppend(&text, "\n");
  for (const std::string& warning : report.warnings) {
    absl::StrAppend(&text, "WARNING: ", warning, "\n");
  }
  for (const std::string& error : report.errors) absl::StrAppend(&text, "ERROR: ", error, "\n");
  return text;
}

}  // namespace hmar::load
