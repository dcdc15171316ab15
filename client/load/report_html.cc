#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/load/report.h"
#include "client/load/svg_chart.h"

namespace hmar::load {
namespace {

constexpr char kHead[] = R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>hmar-load</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
:root{--ink:#1d2330;--paper:#fff;--faint:#dfe3ea}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ef;--paper:#171b22;--faint:#343b47}}
body{font:15px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--paper);
max-width:920px;margin:2em auto;padding:0 1em}
pre{overflow-x:auto;font-size:12px;border:1px solid var(--faint);padding:1em}
svg{width:100%;height:auto;margin:1em 0}
svg text{font:11px system-ui,sans-serif;fill:var(--ink)}svg text.title{font-size:14px;font-weight:600}
.grid{stroke:var(--faint)}.axis{stroke:var(--ink)}
polyline{fill:none;stroke-width:2}line{stroke-width:2}.grid,.axis{stroke-width:1}
.c0{stroke:#3b82c4}.c1{stroke:#d9822b}.c2{stroke:#2f9e6e}.c3{stroke:#b3409a}
.c4{stroke:#8a6d3b}.c5{stroke:#c0392b}.c6{stroke:#6c5ce7}.c7{stroke:#5f6b7a}
.bar{fill:#c0392b}.error{color:#c0392b;font-weight:600}.warning{font-weight:600}
</style></head><body>
)";

// Percentiles as 1 / (1 - p) on a logarithmic axis: each nine as wide as the one before.
Series CurveOf(const Summary& summary) {
  Series series{summary.name, {}};
  for (const auto& [p, ms] : summary.latency_ms.curve) {
    series.points.emplace_back(-std::log10(1 - p), ms);
  }
  return series;
}

std::string CurveChart(const RunReport& run) {
  LineChart chart{.title = "Latency by percentile, ok calls, from when a call was due",
                  .x_label = "percentile, by 1/(1-p)",
                  .y_label = "ms"};
  chart.x_ticks = {{0, "0"},      {std::log10(2), "50 %"}, {1, "90 %"},     {2, "99 %"},
                   {3, "99.9 %"}, {4, "99.99 %"},          {5, "99.999 %"}, {6, "99.9999 %"}};
  chart.series.push_back(CurveOf(run.all));
  if (run.kinds.size() > 1) {
    for (const Summary& kind : run.kinds) chart.series.push_back(CurveOf(kind));
  }
  return LineChartSvg(chart);
}

std::string ThroughputChart(const RunReport& run) {
  LineChart chart{.title = "Images a second over time, warm-up and end included",
                  .x_label = "seconds from the start",
                  .y_label = "images/s"};
  Series series{"all", {}};
  for (size_t i = 0; i < run.images_by_bucket.size(); ++i) {
    series.points.emplace_back((static_cast<double>(i) + 0.5) * run.bucket_seconds,
                               static_cast<double>(run.images_by_bucket[i]) / run.bucket_seconds);
  }
  chart.series.push_back(std::move(series));
  return LineChartSvg(chart);
}

std::string ErrorChart(const RunReport& run) {
  const Summary& all = run.all;
  std::vector<std::pair<std::string, double>> bars;
  for (const auto& [key, count] : all.errors) {
    bars.emplace_back(absl::StrCat(key.first, key.second.empty() ? "" : " ", key.second), count);
  }
  for (const auto& [name, count] : {std::pair("not sent: too many outstanding", all.not_sent),
                                    std::pair("timed out here", all.timed_out),
                                    std::pair("interrupted here", all.interrupted)}) {
    if (count > 0) bars.emplace_back(name, static_cast<double>(count));
  }
  std::stable_sort(bars.begin(), bars.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  return BarChartSvg("Calls without an answer, by code and reason", bars);
}

std::string SweepChart(const Report& report) {
  LineChart chart{
      .title = "Latency over rate, ok calls", .x_label = "calls due a second", .y_label = "ms"};
  Series p50{"p50", {}};
  Series p99{"p99", {}};
  std::vector<std::pair<double, const Distribution*>> runs;
  for (const RunReport& run : report.runs) {
    if (run.all.latency_ms.count > 0) runs.emplace_back(run.rate.value_or(0), &run.all.latency_ms);
  }
  std::stable_sort(runs.begin(), runs.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [rate, latency] : runs) {
    p50.points.emplace_back(rate, latency->p50);
    p99.points.emplace_back(rate, latency->p99);
  }
  chart.series = {std::move(p50), std::move(p99)};
  return LineChartSvg(chart);
}

std::string Lines(const char* style, const std::vector<std::string>& lines) {
  std::string html;
  for (const std::string& line : lines) {
    absl::StrAppend(
        &html, absl::StrFormat("<p class=\"%s\">%s: %s</p>\n", style, style, HtmlEscape(line)));
  }
  return html;
}

}  // namespace

std::string ReportHtml(const Report& report) {
  std::string html = absl::StrCat(kHead, "<h1>hmar-load</h1>\n<p>", HtmlEscape(report.server),
                                  " <code>", HtmlEscape(report.command), "</code></p>\n",
                                  Lines("error", report.errors), Lines("warning", report.warnings));
  if (report.runs.size() > 1) absl::StrAppend(&html, SweepChart(report));
  for (const RunReport& run : report.runs) {
    absl::StrAppend(&html, "<h2>", HtmlEscape(RunName(run)), "</h2>\n", CurveChart(run),
                    ThroughputChart(run), ErrorChart(run));
  }
  absl::StrAppend(&html, "<h2>In figures</h2>\n<pre>", HtmlEscape(ReportTable(report)),
                  "</pre>\n</body></html>\n");
  return html;
}

}  // namespace hmar::load
