#ifndef HMAR_SERVER_OPERATIONS_METRIC_FAMILIES_H_
#define HMAR_SERVER_OPERATIONS_METRIC_FAMILIES_H_

// What metrics.h counts, as prometheus-cpp holds it; for metrics.cc alone.

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/gauge.h"
#include "prometheus/registry.h"
#include "server/operations/histogram.h"
#include "server/operations/metrics.h"
#include "server/operations/process_metrics.h"

namespace hmar {

// The registry, the histograms and process_* as one.
class AllMetrics final : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override;

  prometheus::Registry registry{prometheus::Registry::InsertBehavior::Throw};
  std::deque<HistogramFamily> histograms;
  ProcessMetrics process;
};

// Every family and series, made by the constructor, which throws what prometheus-cpp throws. The
// pointers are the registry's and live as long as it does.
class MetricFamilies {
 public:
  using Counter = prometheus::Counter;
  using Gauge = prometheus::Gauge;

  static constexpr size_t kStatusCodes = 17;  // OK .. UNAUTHENTICATED.
  static constexpr size_t kImageOutcomes = 5;
  static constexpr size_t kPreviewModes = 3;
  static constexpr size_t kConnectionRefusals = 3;

  // The series of one model on one device.
  struct PerDevice {
    Gauge* running_images = nullptr;
    std::vector<Counter*> scale_seconds;
    Histogram* step_duration = nullptr;
    Histogram* step_tokens = nullptr;
    Histogram* step_images = nullptr;
    Histogram* decode_duration = nullptr;
    Histogram* upload_encode = nullptr;
    Counter* device_busy = nullptr;  // The device's; models share it.
  };

  // The series of one model.
  struct PerModel {
    std::array<Counter*, kStatusCodes> requests = {};
    Histogram* request_duration = nullptr;
    Histogram* first_preview = nullptr;
    std::array<Counter*, kPreviewModes> previews_sent = {};
    std::array<Counter*, kPreviewModes> previews_dropped = {};
    std::array<Counter*, kImageOutcomes> images = {};
    Histogram* queue_duration = nullptr;
    Gauge* queue_images = nullptr;
    Histogram* cancel_release = nullptr;
    Histogram* estimate_ratio = nullptr;
    Counter* upload_hits = nullptr;
    Counter* upload_misses = nullptr;
    std::vector<PerDevice> devices;
  };

  MetricFamilies(const std::vector<Metrics::Model>& served,
                 const std::vector<Metrics::Device>& devices, const std::string& version);

  // See Metrics::MeterOf.
  PrincipalMeter* MeterOf(const std::string& principal);

  const std::shared_ptr<AllMetrics> all = std::make_shared<AllMetrics>();
  std::vector<PerModel> models;
  PerModel no_model;  // Requests that named no model: only `requests` is set.
  Histogram* encode_duration = nullptr;
  Histogram* upload_read = nullptr;
  std::map<Reason, Counter*> rejected;  // Those that are counted; constant.
  Gauge* connections = nullptr;
  std::array<Counter*, kConnectionRefusals> connections_refused = {};

 private:
  template <typename T>
  using Family = prometheus::Family<T>;

  Family<Counter>& Counters(const char* name, const char* help);
  Family<Gauge>& Gauges(const char* name, const char* help);
  HistogramFamily& Histograms(const char* name, const char* help);

  void AddMemory(const std::vector<Metrics::Device>& devices);
  void AddRequests(const std::string& name, PerModel& series);
  void AddModel(const Metrics::Model& model, const std::vector<Metrics::Device>& devices);
  void AddImages(const Metrics::Model& model, PerModel& series);
  void AddPreviews(const Metrics::Model& model, PerModel& series);
  PerDevice StepsOn(const Metrics::Device& device, const Metrics::Model& model);

  // The first name makes the families: one without series would be nothing but its help.
  struct Principals {
    Family<Counter>& device_seconds;
    Family<Counter>& images;
    std::map<std::string, std::unique_ptr<PrincipalMeter>> meters;
  };
  absl::Mutex mutex_;
  std::optional<Principals> principals_ ABSL_GUARDED_BY(mutex_);

  Family<Counter>& requests_ =
      Counters("hmar_requests_total", "Requests that ended, by gRPC code.");
  HistogramFamily& request_duration_ =
      Histograms("hmar_request_duration_seconds", "From a request's arrival to its end.");
  HistogramFamily& first_preview_ =
      Histograms("hmar_time_to_first_preview_seconds",
                 "From a request's arrival to the first preview written to its stream.");
  HistogramFamily& estimate_ratio_ = Histograms(
      "hmar_estimate_ratio",
      "What a finished request took from Accepted on, by the time that Accepted had estimated.");
  Family<Counter>& previews_ =
      Counters("hmar_previews_total", "Previews sent, or dropped because the client read slowly.");

  HistogramFamily& encode_duration_ =
      Histograms("hmar_encode_duration_seconds", "Time to encode one picture.");
  HistogramFamily& upload_read_ = Histograms(
      "hmar_upload_read_duration_seconds", "Time to read the files of an edit and to resize them.");
  Family<Counter>& upload_lookups_ =
      Counters("hmar_upload_lookups_total",
               "Edited images whose picture's tokens were known (hit) or had to be made (miss).");
  HistogramFamily& upload_encode_ =
      Histograms("hmar_upload_encode_duration_seconds",
                 "Time to encode a batch of uploaded pictures to tokens.");
  Family<Counter>& rejected_ =
      Counters("hmar_admission_rejected_total", "Requests that were not taken in.");
  Family<Counter>& images_ = Counters("hmar_images_total", "Images that ended, by outcome.");
  HistogramFamily& queue_duration_ =
      Histograms("hmar_queue_duration_seconds", "An image's wait for its first step.");
  Family<Gauge>& queue_images_ = Gauges("hmar_queue_images", "Images that wait for a slot.");
  Family<Gauge>& running_images_ = Gauges("hmar_running_images", "Images that hold a slot.");
  Family<Counter>& scale_seconds_ =
      Counters("hmar_scale_device_seconds_total", "Step time by scale, shared by forward rows.");
  HistogramFamily& cancel_release_ =
      Histograms("hmar_cancel_release_seconds",
                 "From a cancel, failure or deadline to the freed slot of a running image.");
  HistogramFamily& step_duration_ =
      Histograms("hmar_step_duration_seconds", "Time of one packed step.");
  HistogramFamily& step_tokens_ =
      Histograms("hmar_step_tokens", "Forward rows of a step, with padding.");
  HistogramFamily& step_images_ = Histograms("hmar_step_images", "Images of a step.");
  HistogramFamily& decode_duration_ =
      Histograms("hmar_decode_duration_seconds", "Decoder's part of a step that decoded.");
  Family<Counter>& device_busy_ = Counters("hmar_device_busy_seconds_total",
                                           "Time that a device spent inside steps and encodings.");
  Family<Gauge>& connections_ = Gauges("hmar_connections", "Open connections of the API.");
  Family<Counter>& connections_refused_ =
      Counters("hmar_connections_refused_total", "Connections that were closed at once.");
  Family<Gauge>& model_info_ = Gauges("hmar_model_info", "A model that is served; always 1.");
  Family<Gauge>& build_info_ = Gauges("hmar_build_info", "The server's version; always 1.");
};

}  // namespace hmar

#endif  // HMAR_SERVER_OPERATIONS_METRIC_FAMILIES_H_
