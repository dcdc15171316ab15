#include "client/watch/watch_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::Time At(double seconds) { return absl::UnixEpoch() + absl::Seconds(seconds); }

ServerCounts Counts(int done, int failed) {
  return CountsOf(
             ParseMetrics(
                 absl::StrCat(
                     "hmar_images_total{model=\"ships\",outcome=\"done\"} ", done,
                     "\nhmar_images_total{model=\"ships\",outcome=\"failed\"} ", failed,
                     "\nhmar_images_total{model=\"ships\",outcome=\"expired\"} 3\n"
                     "hmar_requests_total{code=\"OK\"} ",
                     done, "\nhmar_admission_rejected_total{reason=\"QUEUE_FULL\"} ", failed,
                     "\nhmar_queue_images{model=\"ships\"} 4\n"
                     "hmar_running_images{model=\"ships\",device=\"cuda:0\"} 6\n"
                     "hmar_device_busy_seconds_total{device=\"cuda:0\"} ",
                     done / 100.0,
                     "\nhmar_device_memory_bytes{device=\"cuda:0\",kind=\"weights\"} 1048576\n"
                     "hmar_buffer_bytes{buffer=\"upload\"} 1024\n"
                     "hmar_buffer_limit_bytes{buffer=\"upload\"} 4096\n"
                     "hmar_step_duration_seconds_count ",
                     done, "\nhmar_step_images_sum ", 3 * done, "\nhmar_step_tokens_sum ",
                     64 * done, "\nhmar_request_duration_seconds_bucket{le=\"0.5\"} ", done,
                     "\nhmar_request_duration_seconds_bucket{le=\"+Inf\"} ", done,
                     "\nhmar_model_info{model=\"ships\",digest=\"0123456789abcdef\","
                     "precision=\"bf16\"} 1\n"
                     "hmar_build_info{version=\"0.1.0\"} 1\nhmar_ready 1\nhmar_waiting_clients 2\n"
                     "hmar_open_calls 12\nhmar_connections 13\nprocess_start_time_seconds 1000\n"
                     "process_resident_memory_bytes 2097152\n"))
                 .value())
      .value();
}

WatchState StateAfterTwoLooks() {
  WatchState state{.address = "http://h:1/metrics"};
  state.window.Add(Counts(100, 0), At(5000));
  state.window.Add(Counts(150, 1), At(5002));
  state.seen = At(5002);
  return state;
}

TEST(WatchPageTest, AServerIsOnOneScreen) {
  EXPECT_THAT(
      WatchPage(StateAfterTwoLooks(), At(5002)),
      ElementsAre("http://h:1/metrics   ready",
                  "version 0.1.0   up 1h6m42s   memory 2.0 MiB   over the last 2.0 s:",
                  "images     25.0/s done   0.5/s failed",
                  "steps      25.0/s   3 images and 64 rows each", "requests   25.0/s OK",
                  "refused    0.5/s QUEUE_FULL",
                  "queue      4 images waiting of 2 clients   6 running   12 calls, 13 connections",
                  "latency           p50        p90        p99         of",
                  "  request    250.0 ms   450.0 ms   495.0 ms         50",
                  "  preview           -          -          -          0",
                  "  queue             -          -          -          0",
                  "  step              -          -          -          0",
                  "buffer     upload                 [#####...............] 1.0 KiB of 4.0 KiB",
                  "device     cuda:0                  25 % busy   6 running   weights 1.0 MiB",
                  "model      ships                     25.0/s   4 waiting   6 running   bf16   "
                  "0123456789ab"));
}

TEST(WatchPageTest, OneLookHasNoRatesYet) {
  WatchState state{.address = "a"};
  state.window.Add(Counts(100, 0), At(5000));
  state.seen = At(5000);
  const std::vector<std::string> page = WatchPage(state, At(5000));
  EXPECT_THAT(page[1], HasSubstr("rates come with the next look"));
  EXPECT_EQ(page[2], "images     0.0/s done");
  EXPECT_EQ(page[3], "steps      0.0/s   - images and - rows each");
}

TEST(WatchPageTest, NoAnswerIsSaidAndTheLastOneStays) {
  WatchState state = StateAfterTwoLooks();
  state.failure = "http://h:1/metrics: refused";
  const std::vector<std::string> page = WatchPage(state, At(5032));
  EXPECT_EQ(page[0],
            "http://h:1/metrics   no answer, last seen 30s ago: http://h:1/metrics: refused");
  EXPECT_EQ(page.size(), 15U);
  EXPECT_EQ(page[1], WatchPage(StateAfterTwoLooks(), At(5002))[1]);
}

TEST(WatchPageTest, BeforeTheFirstAnswerThereIsOneLine) {
  EXPECT_THAT(WatchPage({.address = "a", .failure = "refused"}, At(1)),
              ElementsAre("a   no answer: refused"));
  EXPECT_THAT(WatchPage({.address = "a"}, At(1)), ElementsAre("a   asking"));
}

TEST(WatchPageTest, AnyNumberIsShown) {
  WatchState state{.address = "a"};
  for (int i = 0; i < 2; ++i) {
    state.window.Add(
        CountsOf(ParseMetrics("hmar_queue_images{model=\"m\"} 1e300\nhmar_open_calls NaN\n"
                              "hmar_connections -Inf\nhmar_buffer_bytes{buffer=\"b\"} 1e308\n"
                              "hmar_buffer_limit_bytes{buffer=\"b\"} -5\n"
                              "process_start_time_seconds -1e300\n"
                              "process_resident_memory_bytes NaN\n"
                              "hmar_device_busy_seconds_total{device=\"d\"} 1e308\n")
                     .value())
            .value(),
        At(i));
  }
  for (const std::string& line : WatchPage(state, At(2))) EXPECT_LE(line.size(), 120U) << line;
  EXPECT_THAT(WatchPage(state, At(2))[6], HasSubstr("1e+300 images waiting"));
}

TEST(WatchLineTest, APipeGetsOneLineALook) {
  EXPECT_EQ(WatchLine(StateAfterTwoLooks(), At(5002), absl::UTCTimeZone()),
            "1970-01-01T01:23:22  ready  images 25.0/s done   0.5/s failed  steps 25.0/s  "
            "waiting 4  running 6  request p50 250.0 ms p99 495.0 ms");
  WatchState gone = StateAfterTwoLooks();
  gone.failure = "refused";
  EXPECT_EQ(WatchLine(gone, At(5003), absl::UTCTimeZone()),
            "1970-01-01T01:23:23  no answer, last seen 1s ago: refused");
}

}  // namespace
}  // namespace hmar
