#include "client/load/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_split.h"
#include "client/load/svg_chart.h"

namespace hmar::load {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Summary Example(const std::string& name) {
  Summary summary;
  summary.name = name;
  summary.due = 10;
  summary.sent = 9;
  summary.not_sent = 1;
  summary.ok = 6;
  summary.failed = 3;
  summary.good = 4;
  summary.images = 6;
  summary.images_per_second = 3;
  summary.good_per_second = 2;
  summary.latency_ms = {6, 6, 10, 20, 30, 40, 50, {{0, 5}, {0.5, 10}, {0.9, 20}, {0.99, 50}}};
  summary.errors = {{{"INTERNAL", ""}, 1}, {{"RESOURCE_EXHAUSTED", "QUEUE_FULL"}, 2}};
  return summary;
}

Report ExampleReport(std::vector<double> rates) {
  Report report{.server = "host:1", .command = "--rate <5>", .slo_ms = 25};
  for (const double rate : rates) {
    RunReport run;
    run.rate = rate;
    run.sending_seconds = 2;
    run.measured_seconds = 2.5;
    run.sustained_images_per_second = 3.5;
    run.images_by_bucket = {1, 2, 3};
    run.all = Example("all");
    run.kinds = {Example("drafts"), Example("a-kind-with-a-rather-long-name")};
    report.runs.push_back(run);
  }
  report.metrics = {{"images done", 6, 2, 7}};
  report.warnings = {"look & see"};
  report.errors = {"<script>alert(1)</script>"};
  report.exit_code = 2;
  return report;
}

TEST(ReportTableTest, EverythingStandsInItWithinItsWidth) {
  const std::string table = ReportTable(ExampleReport({5}));
  EXPECT_THAT(table, HasSubstr("rate 5/s: images/s 3.50 while calls were sent (2.0 s)"));
  EXPECT_THAT(table, HasSubstr("  drafts                    10       1       6       3       0"
                               "       0      0      3.00     10.00     20.00     30.00     40.00"
                               "     50.00\n"));
  EXPECT_THAT(table, HasSubstr("a-kind-with-a-rathe~"));
  EXPECT_THAT(table, HasSubstr("      2 calls: RESOURCE_EXHAUSTED QUEUE_FULL\n"));
  EXPECT_THAT(table, HasSubstr("2.00  40.0 %\n"));
  EXPECT_THAT(table, HasSubstr("metrics: images done: 7 counted, 6 seen and 2 possible\n"));
  EXPECT_THAT(table, HasSubstr("WARNING: look & see\nERROR: <script>"));
  EXPECT_THAT(table, Not(HasSubstr("RATE/s")));
  for (const auto line : absl::StrSplit(table, '\n')) EXPECT_LE(line.size(), 140U) << line;
}

TEST(ReportTableTest, ASweepHasARowARate) {
  const std::string table = ReportTable(ExampleReport({5, 2.5}));
  EXPECT_THAT(table, HasSubstr("  RATE/s"));
  EXPECT_THAT(table, HasSubstr("\n  2.5           10       1       6       3      3.50"));
}

TEST(ReportJsonTest, EverythingCanBeReadBack) {
  const auto json = nlohmann::json::parse(ReportJson(ExampleReport({5})));
  EXPECT_EQ(json["exit_code"], 2);
  EXPECT_EQ(json["errors"][0], "<script>alert(1)</script>");
  EXPECT_EQ(json["metrics"][0]["counted"], 7);
  const auto& run = json["runs"][0];
  EXPECT_EQ(run["rate"], 5);
  EXPECT_FALSE(run.contains("concurrency"));
  EXPECT_EQ(run["timeline"]["images"], (std::vector<int>{1, 2, 3}));
  const auto& kind = run["kinds"][0];
  EXPECT_EQ(kind["name"], "drafts");
  EXPECT_EQ(kind["not_sent"], 1);
  EXPECT_EQ(kind["latency_ms"]["p99"], 40);
  EXPECT_EQ(kind["latency_ms"]["exact"], true);
  EXPECT_EQ(kind["accepted_ms"]["count"], 0);
  EXPECT_FALSE(kind["accepted_ms"].contains("p50"));
  EXPECT_EQ(kind["errors"][1]["reason"], "QUEUE_FULL");
  EXPECT_EQ(kind["goodput"]["share_of_due"], 0.4);
  EXPECT_EQ(kind["latency_curve"].size(), 4U);
}

TEST(ReportHtmlTest, ThePageNeedsNothingElseAndRunsNothing) {
  const std::string html = ReportHtml(ExampleReport({5, 10}));
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, Not(HasSubstr("http://")));
  EXPECT_THAT(html, Not(HasSubstr("https://")));
  EXPECT_THAT(html, HasSubstr("default-src 'none'"));
  EXPECT_THAT(html, HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt;"));
  EXPECT_THAT(html, HasSubstr("--rate &lt;5&gt;"));
  EXPECT_THAT(html, HasSubstr("Latency over rate"));
  EXPECT_THAT(html, HasSubstr("99 %"));
  EXPECT_THAT(html, HasSubstr("RESOURCE_EXHAUSTED QUEUE_FULL"));
}

TEST(ReportHtmlTest, ALoadWithoutAnAnswerHasAPage) {
  Report report{.server = "h:1", .command = ""};
  report.runs.emplace_back().concurrency = 1;
  EXPECT_THAT(ReportHtml(report), HasSubstr("nothing to draw"));
  EXPECT_THAT(ReportTable(report), HasSubstr("1 in flight"));
}

TEST(SvgChartTest, PointsLieInsideAndTextsAreEscaped) {
  const std::string svg = LineChartSvg({.title = "<t>",
                                        .x_label = "x",
                                        .y_label = "y",
                                        .x_ticks = {{0, "zero"}, {7, "outside"}},
                                        .series = {{"a&b", {{0, 0}, {2, 100}}}, {"none", {}}}});
  EXPECT_THAT(svg, HasSubstr("points=\"70.0,252.0 864.0,"));
  EXPECT_THAT(svg, HasSubstr("&lt;t&gt;"));
  EXPECT_THAT(svg, HasSubstr("a&amp;b"));
  EXPECT_THAT(svg, HasSubstr("zero"));
  EXPECT_THAT(svg, Not(HasSubstr("outside")));
  EXPECT_THAT(svg, Not(HasSubstr("none")));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

TEST(SvgChartTest, OnePointIsADot) {
  const std::string svg =
      LineChartSvg({.title = "t", .x_label = "x", .y_label = "y", .series = {{"a", {{3, 0}}}}});
  EXPECT_THAT(svg, HasSubstr("<circle"));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

}  // namespace
}  // namespace hmar::load
