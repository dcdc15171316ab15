#include "server/operations/metrics.h"

#include <unistd.h>

#include <string>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "prometheus/metric_family.h"
#include "server/operations/process_metrics.h"

namespace hmar {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::unique_ptr<Metrics> TwoModels() {
  auto metrics = Metrics::Create({{"small", "aa", "fp32", 2}, {"large", "bb", "bf16", 3}},
                                 {{"cpu", {}}}, "1.2.3");
  EXPECT_TRUE(metrics.ok()) << metrics.status();
  return *std::move(metrics);
}

TEST(MetricsTest, EverySeriesExistsFromTheStart) {
  const std::string text = TwoModels()->Text();
  for (const char* line : {
           "hmar_requests_total{code=\"OK\",model=\"small\"} 0\n",
           "hmar_requests_total{code=\"NOT_FOUND\",model=\"\"} 0\n",
           "hmar_images_total{model=\"large\",outcome=\"cancelled\"} 0\n",
           "hmar_images_total{model=\"large\",outcome=\"degraded\"} 0\n",
           "hmar_previews_total{mode=\"fast\",model=\"small\",outcome=\"dropped\"} 0\n",
           "hmar_request_duration_seconds_count{model=\"small\"} 0\n",
           "hmar_time_to_first_preview_seconds_count{model=\"small\"} 0\n",
           "hmar_queue_duration_seconds_count{model=\"small\"} 0\n",
           "hmar_step_duration_seconds_count{device=\"cpu\",model=\"large\"} 0\n",
           "hmar_scale_device_seconds_total{device=\"cpu\",model=\"large\",scale=\"2\"} 0\n",
           "hmar_cancel_release_seconds_count{model=\"large\"} 0\n",
           "hmar_estimate_ratio_count{model=\"large\"} 0\n",
           "hmar_encode_duration_seconds_count 0\n",
           "hmar_decode_duration_seconds_count{device=\"cpu\",model=\"small\"} 0\n",
           "hmar_admission_rejected_total{reason=\"QUEUE_FULL\"} 0\n",
           "hmar_admission_rejected_total{reason=\"DRAINING\"} 0\n",
           "hmar_queue_images{model=\"small\"} 0\n",
           "hmar_running_images{device=\"cpu\",model=\"small\"} 0\n",
           "hmar_device_busy_seconds_total{device=\"cpu\"} 0\n",
           "hmar_model_info{digest=\"bb\",model=\"large\",precision=\"bf16\"} 1\n",
           "hmar_build_info{version=\"1.2.3\"} 1\n",
       }) {
    EXPECT_NE(text.find(line), std::string::npos) << line;
  }
  EXPECT_THAT(text, Not(HasSubstr("scale=\"2\",model=\"small\"")));
}

TEST(MetricsTest, EventsReachTheirSeries) {
  const auto metrics = TwoModels();
  metrics->RequestDone(0, absl::StatusCode::kOk, absl::Milliseconds(300));
  metrics->RequestDone(std::nullopt, absl::StatusCode::kNotFound, absl::Milliseconds(1));
  metrics->PreviewSent(0, PreviewMode::kFull);
  metrics->PreviewDropped(1, PreviewMode::kFast);
  metrics->FirstPreview(0, absl::Milliseconds(40));
  metrics->RequestEstimated(0, absl::Seconds(2), absl::Seconds(3));
  metrics->PictureEncoded(absl::Milliseconds(2));
  metrics->AdmissionRejected(Reason::kDraining);
  metrics->QueueChanged(1, 7);
  metrics->RunningChanged(0, 1, 3);
  metrics->ImageStarted(1, absl::Seconds(4));
  metrics->ImagesEnded(1, ImageOutcome::kExpired, 5);
  metrics->ImagesEnded(0, ImageOutcome::kDegraded, 2);
  metrics->ScaleRan(0, 1, 2, 0.25);
  metrics->CancelReleased(0, absl::Milliseconds(250));
  metrics->StepDone(0, 0, 680, 12, absl::Milliseconds(100), 0.02);
  metrics->StepDone(0, 1, 16, 1, absl::Milliseconds(400), 0);
  const std::string text = metrics->Text();
  for (const char* line : {
           "hmar_requests_total{code=\"OK\",model=\"small\"} 1\n",
           "hmar_requests_total{code=\"NOT_FOUND\",model=\"\"} 1\n",
           "hmar_request_duration_seconds_bucket{model=\"small\",le=\"0.2\"} 0\n",
           "hmar_request_duration_seconds_bucket{model=\"small\",le=\"0.5\"} 1\n",
           "hmar_previews_total{mode=\"full\",model=\"small\",outcome=\"sent\"} 1\n",
           "hmar_previews_total{mode=\"fast\",model=\"large\",outcome=\"dropped\"} 1\n",
           "hmar_time_to_first_preview_seconds_sum{model=\"small\"} 0.04\n",
           "hmar_estimate_ratio_bucket{model=\"small\",le=\"1.3\"} 0\n",
           "hmar_estimate_ratio_bucket{model=\"small\",le=\"1.5\"} 1\n",
           "hmar_encode_duration_seconds_sum 0.002\n",
           "hmar_admission_rejected_total{reason=\"DRAINING\"} 1\n",
           "hmar_queue_images{model=\"large\"} 7\n",
           "hmar_running_images{device=\"cpu\",model=\"large\"} 3\n",
           "hmar_queue_duration_seconds_sum{model=\"large\"} 4\n",
           "hmar_images_total{model=\"large\",outcome=\"expired\"} 5\n",
           "hmar_images_total{model=\"small\",outcome=\"degraded\"} 2\n",
           "hmar_scale_device_seconds_total{device=\"cpu\",model=\"large\",scale=\"2\"} 0.25\n",
           "hmar_cancel_release_seconds_sum{model=\"small\"} 0.25\n",
           "hmar_step_tokens_sum{device=\"cpu\",model=\"small\"} 680\n",
           "hmar_step_images_sum{device=\"cpu\",model=\"small\"} 12\n",
           "hmar_decode_duration_seconds_count{device=\"cpu\",model=\"small\"} 1\n",
           "hmar_decode_duration_seconds_count{device=\"cpu\",model=\"large\"} 0\n",
           "hmar_device_busy_seconds_total{device=\"cpu\"} 0.5\n",
       }) {
    EXPECT_NE(text.find(line), std::string::npos) << line;
  }
}

TEST(MetricsTest, WithoutAnEstimateThereIsNoRatio) {
  const auto metrics = TwoModels();
  metrics->RequestEstimated(0, absl::ZeroDuration(), absl::Seconds(3));
  EXPECT_THAT(metrics->Text(), HasSubstr("hmar_estimate_ratio_count{model=\"small\"} 0\n"));
}

TEST(MetricsTest, EachDeviceHasSeriesOfItsOwn) {
  const auto metrics = *Metrics::Create(
      {{"small", "aa", "bf16", 2}},
      {{"cuda:0", {{"weights", 7'000'000'000}, {"slots", 5}}}, {"cuda:1", {{"weights", 3}}}}, "1");
  metrics->StepDone(1, 0, 680, 12, absl::Milliseconds(100), 0);
  metrics->ScaleRan(1, 0, 1, 0.25);
  metrics->RunningChanged(0, 0, 4);
  const std::string text = metrics->Text();
  for (const char* line : {
           "hmar_step_images_sum{device=\"cuda:0\",model=\"small\"} 0\n",
           "hmar_step_images_sum{device=\"cuda:1\",model=\"small\"} 12\n",
           "hmar_device_busy_seconds_total{device=\"cuda:0\"} 0\n",
           "hmar_device_busy_seconds_total{device=\"cuda:1\"} 0.1\n",
           "hmar_running_images{device=\"cuda:0\",model=\"small\"} 4\n",
           "hmar_running_images{device=\"cuda:1\",model=\"small\"} 0\n",
           "hmar_scale_device_seconds_total{device=\"cuda:1\",model=\"small\",scale=\"1\"} 0.25\n",
           "hmar_device_memory_bytes{device=\"cuda:0\",kind=\"weights\"} 7000000000\n",
           "hmar_device_memory_bytes{device=\"cuda:0\",kind=\"slots\"} 5\n",
           "hmar_device_memory_bytes{device=\"cuda:1\",kind=\"weights\"} 3\n",
       }) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
}

TEST(MetricsTest, MemoryIsNotInventedWhereNoEngineReportsIt) {
  EXPECT_THAT(TwoModels()->Text(), Not(HasSubstr("hmar_device_memory_bytes")));
}

TEST(MetricsTest, TwoModelsOfOneNameAreRefused) {
  const auto metrics = Metrics::Create({{"a", "", "", 1}, {"a", "", "", 1}}, {{"cpu", {}}}, "1");
  EXPECT_EQ(metrics.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(metrics.status().message()), HasSubstr("named a"));
}

TEST(MetricsTest, CountsFromManyThreadsAllArrive) {
  const auto metrics = TwoModels();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        metrics->StepDone(0, 0, 16, 1, absl::Milliseconds(1), 0);
        metrics->ScaleRan(0, 0, 1, 0.5);
        if (i % 100 == 0) metrics->Text();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(metrics->Text(),
              AllOf(HasSubstr("hmar_step_images_count{device=\"cpu\",model=\"small\"} 4000\n"),
                    HasSubstr("{device=\"cpu\",model=\"small\",scale=\"1\"} 2000\n")));
}

double ValueOf(const std::string& name) {
  for (const prometheus::MetricFamily& family : ProcessMetrics().Collect()) {
    if (family.name == name) {
      const auto& metric = family.metric.front();
      return family.type == prometheus::MetricType::Counter ? metric.counter.value
                                                            : metric.gauge.value;
    }
  }
  ADD_FAILURE() << name << " is missing";
  return 0;
}

TEST(ProcessMetricsTest, SayWhatTheProcessUses) {
  EXPECT_GT(ValueOf("process_resident_memory_bytes"), 1e6);
  EXPECT_GT(ValueOf("process_virtual_memory_bytes"), ValueOf("process_resident_memory_bytes"));
  EXPECT_GE(ValueOf("process_cpu_seconds_total"), 0);
  EXPECT_GE(ValueOf("process_threads"), 1);
  EXPECT_GT(ValueOf("process_max_fds"), 10);
  const double now = absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch());
  EXPECT_NEAR(ValueOf("process_start_time_seconds"), now, 3600);
  EXPECT_LE(ValueOf("process_start_time_seconds"), now + 2);
}

TEST(ProcessMetricsTest, CountsOpenFiles) {
  const double before = ValueOf("process_open_fds");
  const int fd = dup(STDOUT_FILENO);
  EXPECT_EQ(ValueOf("process_open_fds"), before + 1);
  close(fd);
}

}  // namespace
}  // namespace hmar
