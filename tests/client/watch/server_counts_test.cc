#include "client/watch/server_counts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

ServerCounts Read(const std::string& text) { return CountsOf(ParseMetrics(text).value()).value(); }

absl::Time At(double seconds) { return absl::UnixEpoch() + absl::Seconds(seconds); }

TEST(ServerCountsTest, EveryFamilyGoesToItsPlace) {
  const ServerCounts counts = Read(
      "hmar_images_total{model=\"a\",outcome=\"done\"} 5\n"
      "hmar_images_total{model=\"b\",outcome=\"done\"} 7\n"
      "hmar_images_total{model=\"a\",outcome=\"degraded\"} 2\n"
      "hmar_images_total{model=\"a\",outcome=\"failed\"} 1\n"
      "hmar_requests_total{model=\"a\",code=\"OK\"} 9\n"
      "hmar_admission_rejected_total{reason=\"QUEUE_FULL\"} 3\n"
      "hmar_queue_images{model=\"a\"} 4\n"
      "hmar_running_images{model=\"a\",device=\"cuda:0\"} 6\n"
      "hmar_running_images{model=\"a\",device=\"cuda:1\"} 8\n"
      "hmar_device_busy_seconds_total{device=\"cuda:1\"} 1.5\n"
      "hmar_device_memory_bytes{device=\"cuda:1\",kind=\"weights\"} 100\n"
      "hmar_buffer_bytes{buffer=\"upload\"} 10\nhmar_buffer_limit_bytes{buffer=\"upload\"} 40\n"
      "hmar_step_duration_seconds_count{model=\"a\",device=\"cuda:0\"} 11\n"
      "hmar_step_images_sum{model=\"a\",device=\"cuda:0\"} 33\n"
      "hmar_step_tokens_sum{model=\"a\",device=\"cuda:0\"} 99\n"
      "hmar_model_info{model=\"a\",digest=\"3ece\",precision=\"fp32\"} 1\n"
      "hmar_build_info{version=\"0.1.0\"} 1\nhmar_ready 1\nhmar_waiting_clients 2\n"
      "hmar_open_calls 12\nhmar_connections 13\nprocess_start_time_seconds 1000\n"
      "process_resident_memory_bytes 2048\n");
  EXPECT_THAT(counts.images, ElementsAre(Pair("degraded", 2), Pair("done", 12), Pair("failed", 1)));
  EXPECT_THAT(counts.requests, ElementsAre(Pair("OK", 9)));
  EXPECT_THAT(counts.refused, ElementsAre(Pair("QUEUE_FULL", 3)));
  EXPECT_EQ(counts.models.at("a").images, 7);
  EXPECT_EQ(counts.models.at("a").waiting, 4);
  EXPECT_EQ(counts.models.at("a").running, 14);
  EXPECT_EQ(counts.models.at("a").digest, "3ece");
  EXPECT_EQ(counts.models.at("a").precision, "fp32");
  EXPECT_EQ(counts.devices.at("cuda:1").running, 8);
  EXPECT_EQ(counts.devices.at("cuda:1").busy_seconds, 1.5);
  EXPECT_THAT(counts.devices.at("cuda:1").memory_bytes, ElementsAre(Pair("weights", 100)));
  EXPECT_EQ(counts.buffers.at("upload").bytes, 10);
  EXPECT_EQ(counts.buffers.at("upload").limit_bytes, 40);
  EXPECT_EQ(counts.steps, 11);
  EXPECT_EQ(counts.step_images, 33);
  EXPECT_EQ(counts.step_rows, 99);
  EXPECT_EQ(counts.version, "0.1.0");
  EXPECT_TRUE(counts.ready);
  EXPECT_EQ(counts.waiting_clients, 2);
  EXPECT_EQ(counts.open_calls, 12);
  EXPECT_EQ(counts.connections, 13);
  EXPECT_EQ(counts.start_seconds, 1000);
  EXPECT_EQ(counts.resident_bytes, 2048);
}

TEST(ServerCountsTest, AnotherProgramsMetricsAreTold) {
  const absl::Status status =
      CountsOf(ParseMetrics("process_start_time_seconds 1\ngo_threads 3\n").value()).status();
  EXPECT_TRUE(absl::IsDataLoss(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("names start with hmar_"));
}

TEST(ServerCountsTest, NamesAreBoundedAndPrintable) {
  std::string text;
  for (int i = 0; i < 1000; ++i) {
    for (const char* start :
         {"hmar_queue_images{model=", "hmar_images_total{outcome=",
          "hmar_device_memory_bytes{device=\"d\",kind=", "hmar_running_images{model=\"m\",device=",
          "hmar_buffer_bytes{buffer="}) {
      absl::StrAppend(&text, start, "\"", i, std::string(200, 'x'), "\"} 1\n");
    }
    absl::StrAppend(&text, "hmar_step_duration_seconds_bucket{le=\"", i, "\"} 1\n");
  }
  const ServerCounts counts = Read(text);
  EXPECT_EQ(counts.models.size(), kMaxCountNames);
  EXPECT_EQ(counts.images.size(), kMaxCountNames);
  EXPECT_EQ(counts.devices.size(), kMaxCountNames);
  EXPECT_EQ(counts.devices.at("d").memory_bytes.size(), kMaxCountNames);
  EXPECT_EQ(counts.buffers.size(), kMaxCountNames);
  EXPECT_EQ(counts.latency.at(kStepSeconds).size(), kMaxCountBuckets);
  for (const auto& [name, count] : counts.images) EXPECT_LE(name.size(), kMaxCountNameBytes);
  EXPECT_TRUE(Read("hmar_queue_images{model=\"\x1b[2J\"} 1\n").models.contains("\\u001B[2J"));
}

TEST(QuantileTest, LiesWhereItsRankFalls) {
  const Buckets buckets = {{1, 10}, {2, 20}, {4, 40}, {HUGE_VAL, 40}};
  EXPECT_EQ(Quantile(buckets, 0.5), 2);
  EXPECT_EQ(Quantile(buckets, 0.25), 1);
  EXPECT_EQ(Quantile(buckets, 0.125), 0.5);
  EXPECT_EQ(Quantile(buckets, 0.75), 3);
  EXPECT_EQ(Quantile(buckets, 1), 4);
}

TEST(QuantileTest, AboveAllBoundsItIsTheLargest) {
  EXPECT_EQ(Quantile({{1, 1}, {2, 1}, {HUGE_VAL, 10}}, 0.9), 2);
}

TEST(QuantileTest, OfNothingThereIsNone) {
  EXPECT_EQ(Quantile({}, 0.5), std::nullopt);
  EXPECT_EQ(Quantile({{1, 0}, {HUGE_VAL, 0}}, 0.5), std::nullopt);
  EXPECT_EQ(Quantile({{1, std::nan("")}}, 0.5), std::nullopt);
}

TEST(CountWindowTest, RatesAreGrowthOverTheWindow) {
  CountWindow window;
  const auto counts = [](int done, double busy, int steps) {
    return Read(absl::StrCat("hmar_images_total{model=\"a\",outcome=\"done\"} ", done,
                             "\nhmar_device_busy_seconds_total{device=\"cpu\"} ", busy,
                             "\nhmar_step_duration_seconds_count ", steps,
                             "\nhmar_step_duration_seconds_bucket{le=\"1\"} ", steps,
                             "\nhmar_step_duration_seconds_bucket{le=\"+Inf\"} ", steps, "\n"));
  };
  window.Add(counts(100, 50, 1000), At(0));
  EXPECT_EQ(window.seconds(), 0);
  EXPECT_EQ(window.Rate(&ServerCounts::steps), 0);
  EXPECT_THAT(window.Observed(kStepSeconds), ElementsAre());
  window.Add(counts(110, 51, 1040), At(4));
  EXPECT_EQ(window.seconds(), 4);
  EXPECT_EQ(window.Rate(&ServerCounts::steps), 10);
  EXPECT_THAT(window.Rates(&ServerCounts::images), ElementsAre(Pair("done", 2.5)));
  EXPECT_EQ(window.ImagesRate("a"), 2.5);
  EXPECT_EQ(window.ImagesRate("b"), 0);
  EXPECT_EQ(window.BusyPart("cpu"), 0.25);
  EXPECT_THAT(window.Observed(kStepSeconds), ElementsAre(Pair(1, 40), Pair(HUGE_VAL, 40)));
}

TEST(CountWindowTest, OldLooksLeaveButTwoStay) {
  CountWindow window;
  const ServerCounts counts = Read("hmar_ready 1\n");
  for (int i = 0; i <= 30; ++i) window.Add(counts, At(i));
  EXPECT_EQ(window.seconds(), 10);
  window.Add(counts, At(1000));
  EXPECT_EQ(window.seconds(), 970);
  CountWindow often;
  for (int i = 0; i <= 10'000; ++i) often.Add(counts, At(i * 0.001));
  EXPECT_LT(often.seconds(), 0.001 * CountWindow::kMaxLooks);
}

TEST(CountWindowTest, ARestartBeginsAnew) {
  const auto counts = [](double start, int ok) {
    return Read(absl::StrCat("process_start_time_seconds ", start,
                             "\nhmar_requests_total{code=\"OK\"} ", ok, "\n"));
  };
  CountWindow window;
  window.Add(counts(1, 100), At(0));
  window.Add(counts(1, 110), At(1));
  window.Add(counts(2, 120), At(2));  // Another process, which has counted further already.
  EXPECT_EQ(window.seconds(), 0);
  window.Add(counts(2, 130), At(3));
  EXPECT_THAT(window.Rates(&ServerCounts::requests), ElementsAre(Pair("OK", 10)));
  window.Add(counts(2, 5), At(4));  // Behind a balancer, say: counters went back.
  EXPECT_EQ(window.seconds(), 0);
}

TEST(CountWindowTest, NumbersThatAreNoneMakeNoRate) {
  CountWindow window;
  window.Add(Read("hmar_images_total{outcome=\"done\"} 1\nhmar_ready 1\n"), At(0));
  window.Add(Read("hmar_images_total{outcome=\"done\"} NaN\nhmar_ready 1\n"), At(1));
  EXPECT_THAT(window.Rates(&ServerCounts::images), ElementsAre(Pair("done", 0)));
}

}  // namespace
}  // namespace hmar
