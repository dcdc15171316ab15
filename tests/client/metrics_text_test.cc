#include "client/metrics_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

using ::testing::HasSubstr;

std::string ErrorOf(const std::string& text) {
  const auto samples = ParseMetrics(text);
  return samples.ok() ? "no error" : std::string(samples.status().message());
}

TEST(MetricsTextTest, SamplesAreReadWithLabelsValuesAndTimes) {
  const auto samples = ParseMetrics(
      "# HELP a What it is {\"}\n# TYPE a counter\n\na 1\r\n"
      "a:b_total{x=\"1\",y=\"q\\\"\\\\\\n}\",} 2.5e3 1700000000000\n"
      "c{} +Inf\nd{z=\"\"}\tNaN\ne -Inf\n");
  ASSERT_TRUE(samples.ok()) << samples.status();
  ASSERT_EQ(samples->size(), 5U);
  EXPECT_EQ((*samples)[0].name, "a");
  EXPECT_EQ((*samples)[0].value, 1);
  EXPECT_EQ((*samples)[1].name, "a:b_total");
  EXPECT_EQ((*samples)[1].labels,
            (std::map<std::string, std::string>{{"x", "1"}, {"y", "q\"\\\n}"}}));
  EXPECT_EQ((*samples)[1].value, 2500);
  EXPECT_TRUE(std::isinf((*samples)[2].value));
  EXPECT_TRUE(std::isnan((*samples)[3].value));
  EXPECT_LT((*samples)[4].value, 0);
}

TEST(MetricsTextTest, WhatIsNotOfTheFormatIsToldByItsLine) {
  EXPECT_THAT(ErrorOf("a 1\na 2"), HasSubstr("line 2: it has no end"));
  EXPECT_THAT(ErrorOf("a 1\n1a 2\n"), HasSubstr("line 2: no name of a metric"));
  EXPECT_THAT(ErrorOf("a\n"), HasSubstr("line 1: no number"));
  EXPECT_THAT(ErrorOf("a one\n"), HasSubstr("no number at 'one'"));
  EXPECT_THAT(ErrorOf("a-b 1\n"), HasSubstr("no { or blank"));
  EXPECT_THAT(ErrorOf("a{x=1} 1\n"), HasSubstr("no \" at '1}"));
  EXPECT_THAT(ErrorOf("a{x:y=\"1\"} 1\n"), HasSubstr("no label"));
  EXPECT_THAT(ErrorOf("a{x=\"1\"y=\"2\"} 1\n"), HasSubstr("no , or }"));
  EXPECT_THAT(ErrorOf("a{x=\"1\",x=\"2\"} 1\n"), HasSubstr("second time"));
  EXPECT_THAT(ErrorOf("a{x=\"1\n"), HasSubstr("no end of the text"));
  EXPECT_THAT(ErrorOf("a{x=\"\\t\"} 1\n"), HasSubstr("an escape"));
  EXPECT_THAT(ErrorOf("a 1 soon\n"), HasSubstr("no time at 'soon'"));
  EXPECT_THAT(ErrorOf("a 1 2 3\n"), HasSubstr("more than a sample"));
  EXPECT_THAT(ErrorOf("<html>\x1b[2J\n"), HasSubstr("<html>\\u001B[2J"));
}

TEST(MetricsTextTest, WhatAServerMaySendIsBounded) {
  std::string labels = "a{";
  for (size_t i = 0; i <= kMaxMetricLabels; ++i) absl::StrAppend(&labels, "x", i, "=\"\",");
  EXPECT_THAT(ErrorOf(labels + "} 1\n"), HasSubstr("more than 64 labels"));
  std::string samples;
  for (size_t i = 0; i <= kMaxMetricsSamples; ++i) samples += "a 1\n";
  EXPECT_THAT(ErrorOf(samples), HasSubstr("more than 200000 samples"));
  std::string many;
  for (size_t i = 0; i < kMaxMetricsLabels / 4; ++i) many += "a{a=\"\",b=\"\",c=\"\",d=\"\"} 1\n";
  EXPECT_EQ(ErrorOf(many), "no error");
  EXPECT_THAT(ErrorOf(many + "a{a=\"\"} 1\n"),
              HasSubstr("line 125001: more than 500000 labels in all"));
  EXPECT_THAT(ErrorOf(std::string(kMaxMetricsBytes + 1, '\n')), HasSubstr("at most 16777216"));
}

TEST(MetricsTextTest, SumsAreOfTheSamplesThatHaveAllLabels) {
  const auto samples = ParseMetrics(
      "a{x=\"1\",y=\"1\"} 1\na{x=\"1\",y=\"2\"} 2\na{x=\"2\",y=\"1\"} 4\nab{x=\"1\"} 8\na 16\n");
  EXPECT_EQ(SumOf(*samples, "a", {}), 23);
  EXPECT_EQ(SumOf(*samples, "a", {{"x", "1"}}), 3);
  EXPECT_EQ(SumOf(*samples, "a", {{"x", "1"}, {"y", "2"}}), 2);
}

}  // namespace
}  // namespace hmar
