#include "server/metrics.h"

#include <array>
#include <exception>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"
#include "prometheus/text_serializer.h"
#include "server/process_metrics.h"

namespace hmar {
namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;
using prometheus::Labels;
using Buckets = Histogram::BucketBoundaries;

constexpr size_t kStatusCodes = 17;  // OK .. UNAUTHENTICATED.
constexpr std::array<const char*, 4> kImageOutcomes = {"done", "failed", "cancelled", "expired"};
constexpr std::array<const char*, 2> kRejectReasons = {"QUEUE_FULL", "DRAINING"};
constexpr std::array<const char*, 3> kPreviewModes = {"none", "fast", "full"};

// What happens on a device or a core: about 1 ms on an H200, about 0.1 s on a CPU.
Buckets WorkSeconds() {
  return {0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03,
          0.05,   0.075, 0.1,   0.15,  0.2,   0.3,    0.5,  1,     2,    5};
}

// What a client waits for.
Buckets ClientSeconds() {
  return {0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300};
}

// 2^first .. 2^last.
Buckets PowersOfTwo(int first, int last) {
  Buckets buckets;
  for (int power = first; power <= last; ++power) buckets.push_back(uint64_t{1} << power);
  return buckets;
}

// The registry and process_* as one.
class AllMetrics final : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override {
    std::vector<prometheus::MetricFamily> families = registry.Collect();
    for (prometheus::MetricFamily& family : process.Collect()) {
      families.push_back(std::move(family));
    }
    return families;
  }

  prometheus::Registry registry{prometheus::Registry::InsertBehavior::Throw};
  ProcessMetrics process;
};

}  // namespace

// Every family and series. Construction throws what prometheus-cpp throws.
class Metrics::Families {
 public:
  using Outcomes = std::array<Counter*, kPreviewModes.size()>;

  // The series of one model.
  struct PerModel {
    std::array<Counter*, kStatusCodes> requests = {};
    Histogram* request_duration = nullptr;
    Histogram* first_preview = nullptr;
    Outcomes previews_sent = {};
    Outcomes previews_dropped = {};
    std::array<Counter*, kImageOutcomes.size()> images = {};
    Histogram* queue_duration = nullptr;
    Gauge* queue_images = nullptr;
    Gauge* running_images = nullptr;
    std::vector<Counter*> scale_seconds;
    Histogram* cancel_release = nullptr;
    Histogram* step_duration = nullptr;
    Histogram* step_tokens = nullptr;
    Histogram* step_images = nullptr;
    Histogram* decode_duration = nullptr;
    Counter* device_busy = nullptr;  // The device's; models share it.
  };

  Families(const std::vector<Model>& served, const std::string& version) {
    for (const Model& model : served) {
      AddModel(model);
      model_info_
          .Add({{"model", model.name}, {"digest", model.digest}, {"precision", model.precision}})
          .Set(1);
    }
    AddRequests("", no_model);
    encode_duration = &encode_duration_.Add({}, WorkSeconds());
    for (size_t i = 0; i < kRejectReasons.size(); ++i) {
      rejected[i] = &rejected_.Add({{"reason", kRejectReasons[i]}});
    }
    build_info_.Add({{"version", version}}).Set(1);
  }

  const std::shared_ptr<AllMetrics> all = std::make_shared<AllMetrics>();
  std::vector<PerModel> models;
  PerModel no_model;  // Requests that named no model: only `requests` is set.
  Histogram* encode_duration = nullptr;
  std::array<Counter*, kRejectReasons.size()> rejected = {};

 private:
  Family<Counter>& Counters(const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(all->registry);
  }
  Family<Gauge>& Gauges(const char* name, const char* help) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(all->registry);
  }
  Family<Histogram>& Histograms(const char* name, const char* help) {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(all->registry);
  }

  void AddRequests(const std::string& name, PerModel& series) {
    for (size_t code = 0; code < kStatusCodes; ++code) {
      const std::string code_name = absl::StatusCodeToString(static_cast<absl::StatusCode>(code));
      series.requests[code] = &requests_.Add({{"model", name}, {"code", code_name}});
    }
  }

  void AddModel(const Model& model) {
    PerModel& series = models.emplace_back();
    AddRequests(model.name, series);
    AddImages(model, series);
    AddSteps(model, series);
    const Labels labels = {{"model", model.name}};
    series.request_duration = &request_duration_.Add(labels, ClientSeconds());
    series.first_preview = &first_preview_.Add(labels, ClientSeconds());
    for (size_t mode = 1; mode < kPreviewModes.size(); ++mode) {
      const Labels sent = {
          {"model", model.name}, {"mode", kPreviewModes[mode]}, {"outcome", "sent"}};
      Labels dropped = sent;
      dropped["outcome"] = "dropped";
      series.previews_sent[mode] = &previews_.Add(sent);
      series.previews_dropped[mode] = &previews_.Add(dropped);
    }
  }

  void AddImages(const Model& model, PerModel& series) {
    const Labels labels = {{"model", model.name}};
    for (size_t i = 0; i < kImageOutcomes.size(); ++i) {
      series.images[i] = &images_.Add({{"model", model.name}, {"outcome", kImageOutcomes[i]}});
    }
    series.queue_duration = &queue_duration_.Add(labels, ClientSeconds());
    series.queue_images = &queue_images_.Add(labels);
    series.cancel_release = &cancel_release_.Add(labels, WorkSeconds());
  }

  void AddSteps(const Model& model, PerModel& series) {
    const Labels labels = {{"model", model.name}, {"device", model.device}};
    series.running_images = &running_images_.Add(labels);
    series.step_duration = &step_duration_.Add(labels, WorkSeconds());
    series.step_tokens = &step_tokens_.Add(labels, PowersOfTwo(4, 16));
    series.step_images = &step_images_.Add(labels, PowersOfTwo(0, 9));
    series.decode_duration = &decode_duration_.Add(labels, WorkSeconds());
    series.device_busy = &device_busy_.Add({{"device", model.device}});
    for (uint32_t scale = 0; scale < model.num_scales; ++scale) {
      Labels of_scale = labels;
      of_scale["scale"] = std::to_string(scale);
      series.scale_seconds.push_back(&scale_seconds_.Add(of_scale));
    }
  }

  Family<Counter>& requests_ =
      Counters("hmar_requests_total", "Requests that ended, by gRPC code.");
  Family<Histogram>& request_duration_ =
      Histograms("hmar_request_duration_seconds", "From a request's arrival to its end.");
  Family<Histogram>& first_preview_ =
      Histograms("hmar_time_to_first_preview_seconds",
                 "From a request's arrival to the first preview written to its stream.");
  Family<Counter>& previews_ =
      Counters("hmar_previews_total", "Previews sent, or dropped because the client read slowly.");

  Family<Histogram>& encode_duration_ =
      Histograms("hmar_encode_duration_seconds", "Time to encode one picture.");
  Family<Counter>& rejected_ =
      Counters("hmar_admission_rejected_total", "Requests that were not taken in.");
  Family<Counter>& images_ = Counters("hmar_images_total", "Images that ended, by outcome.");
  Family<Histogram>& queue_duration_ =
      Histograms("hmar_queue_duration_seconds", "An image's wait for its first step.");
  Family<Gauge>& queue_images_ = Gauges("hmar_queue_images", "Images that wait for a slot.");
  Family<Gauge>& running_images_ = Gauges("hmar_running_images", "Images that hold a slot.");
  Family<Counter>& scale_seconds_ =
      Counters("hmar_scale_device_seconds_total", "Step time by scale, shared by forward rows.");
  Family<Histogram>& cancel_release_ =
      Histograms("hmar_cancel_release_seconds",
                 "From a cancel, failure or deadline to the freed slot of a running image.");
  Family<Histogram>& step_duration_ =
      Histograms("hmar_step_duration_seconds", "Time of one packed step.");
  Family<Histogram>& step_tokens_ =
      Histograms("hmar_step_tokens", "Forward rows of a step, with padding.");
  Family<Histogram>& step_images_ = Histograms("hmar_step_images", "Images of a step.");
  Family<Histogram>& decode_duration_ =
      Histograms("hmar_decode_duration_seconds", "Decoder's part of a step that decoded.");
  Family<Counter>& device_busy_ =
      Counters("hmar_device_busy_seconds_total", "Time that a device spent inside steps.");
  Family<Gauge>& model_info_ = Gauges("hmar_model_info", "A model that is served; always 1.");
  Family<Gauge>& build_info_ = Gauges("hmar_build_info", "The server's version; always 1.");
};

absl::StatusOr<std::unique_ptr<Metrics>> Metrics::Create(const std::vector<Model>& models,
                                                         const std::string& version) {
  std::set<std::string> names;
  for (const Model& model : models) {
    if (!names.insert(model.name).second) {
      return absl::InvalidArgumentError(absl::StrCat("two models are named ", model.name));
    }
  }
  try {
    return std::unique_ptr<Metrics>(new Metrics(std::make_unique<Families>(models, version)));
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("cannot set up metrics: ", error.what()));
  }
}

Metrics::Metrics(std::unique_ptr<Families> families) : families_(std::move(families)) {}

Metrics::~Metrics() = default;

std::shared_ptr<prometheus::Collectable> Metrics::collectable() const { return families_->all; }

std::string Metrics::Text() const {
  return prometheus::TextSerializer().Serialize(families_->all->Collect());
}

void Metrics::RequestDone(std::optional<size_t> model, absl::StatusCode code, absl::Duration took) {
  Families::PerModel& series = model ? families_->models[*model] : families_->no_model;
  series.requests[static_cast<size_t>(code)]->Increment();
  if (model) series.request_duration->Observe(absl::ToDoubleSeconds(took));
}

void Metrics::FirstPreview(size_t model, absl::Duration since_request) {
  families_->models[model].first_preview->Observe(absl::ToDoubleSeconds(since_request));
}

void Metrics::PreviewSent(size_t model, PreviewMode mode) {
  families_->models[model].previews_sent[static_cast<size_t>(mode)]->Increment();
}

void Metrics::PreviewDropped(size_t model, PreviewMode mode) {
  families_->models[model].previews_dropped[static_cast<size_t>(mode)]->Increment();
}

void Metrics::PictureEncoded(absl::Duration took) {
  families_->encode_duration->Observe(absl::ToDoubleSeconds(took));
}

void Metrics::AdmissionRejected(RejectReason reason) {
  families_->rejected[static_cast<size_t>(reason)]->Increment();
}

void Metrics::QueueChanged(size_t model, uint32_t queued_images, uint32_t running_images) {
  families_->models[model].queue_images->Set(queued_images);
  families_->models[model].running_images->Set(running_images);
}

void Metrics::ImageStarted(size_t model, absl::Duration queued) {
  families_->models[model].queue_duration->Observe(absl::ToDoubleSeconds(queued));
}

void Metrics::ImagesEnded(size_t model, ImageOutcome outcome, uint32_t images) {
  families_->models[model].images[static_cast<size_t>(outcome)]->Increment(images);
}

void Metrics::ScaleRan(size_t model, uint32_t scale, double device_seconds) {
  families_->models[model].scale_seconds[scale]->Increment(device_seconds);
}

void Metrics::CancelReleased(size_t model, absl::Duration since_cancel) {
  families_->models[model].cancel_release->Observe(absl::ToDoubleSeconds(since_cancel));
}

void Metrics::StepDone(size_t model, uint32_t rows, uint32_t images, absl::Duration took,
                       double decode_seconds) {
  const Families::PerModel& series = families_->models[model];
  const double seconds = absl::ToDoubleSeconds(took);
  series.step_duration->Observe(seconds);
  series.step_tokens->Observe(rows);
  series.step_images->Observe(images);
  if (decode_seconds > 0) series.decode_duration->Observe(decode_seconds);
  series.device_busy->Increment(seconds);
}

}  // namespace hmar
