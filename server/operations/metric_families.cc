#include "server/operations/metric_families.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

using prometheus::Labels;
using Buckets = Histogram::Buckets;

constexpr std::array<const char*, MetricFamilies::kImageOutcomes> kImageOutcomeNames = {
    "done", "degraded", "failed", "cancelled", "expired"};
// Of requests that were not taken in: for want of room or of leave, too early or too late.
constexpr std::array kRejections = {
    Reason::kQueueFull,       Reason::kDraining,           Reason::kUploadBacklog,
    Reason::kEncoderBacklog,  Reason::kNotReady,           Reason::kDeadlineUnreachable,
    Reason::kClientQueueFull, Reason::kTooManyCalls,       Reason::kDeliveryBacklog,
    Reason::kKeyMissing,      Reason::kKeyUnknown,         Reason::kKeyExpired,
    Reason::kModelNotAllowed, Reason::kPriorityNotAllowed, Reason::kQuotaImages};
constexpr char kOtherPrincipals[] = "other";
constexpr std::array<const char*, MetricFamilies::kPreviewModes> kPreviewModeNames = {
    "none", "fast", "full"};
constexpr std::array<const char*, MetricFamilies::kConnectionRefusals> kConnectionRefusalNames = {
    "table_full", "peer_limit", "descriptors"};

// What happens on a device or a core: about 1 ms on an H200, about 0.1 s on a CPU.
Buckets WorkSeconds() {
  return {0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03,
          0.05,   0.075, 0.1,   0.15,  0.2,   0.3,    0.5,  1,     2,    5};
}

// What a client waits for.
Buckets ClientSeconds() {
  return {0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300};
}

// How many times longer than estimated: fine where an estimate is good.
Buckets Ratios() {
  return {0.1, 0.25, 0.5, 0.65, 0.77, 0.87, 0.95, 1.05, 1.15, 1.3, 1.5, 2, 3, 5, 10, 30};
}

// 2^first .. 2^last.
Buckets PowersOfTwo(int first, int last) {
  Buckets buckets;
  for (int power = first; power <= last; ++power) buckets.push_back(uint64_t{1} << power);
  return buckets;
}

}  // namespace

std::vector<prometheus::MetricFamily> AllMetrics::Collect() const {
  std::vector<prometheus::MetricFamily> families = registry.Collect();
  for (const HistogramFamily& family : histograms) families.push_back(family.Collect());
  for (prometheus::MetricFamily& family : process.Collect()) families.push_back(std::move(family));
  return families;
}

MetricFamilies::MetricFamilies(const std::vector<Metrics::Model>& served,
                               const std::vector<Metrics::Device>& devices,
                               const std::string& version) {
  for (const Metrics::Model& model : served) {
    AddModel(model, devices);
    model_info_
        .Add({{"model", model.name}, {"digest", model.digest}, {"precision", model.precision}})
        .Set(1);
  }
  AddRequests("", no_model);
  AddMemory(devices);
  encode_duration = &encode_duration_.Add({}, WorkSeconds());
  upload_read = &upload_read_.Add({}, WorkSeconds());
  for (const Reason reason : kRejections) {
    rejected[reason] = &rejected_.Add({{"reason", RowOf(reason).name}});
  }
  rejected[Reason::kDeviceLost] = rejected[Reason::kDraining];  // Its end, whatever brings it.
  connections = &connections_.Add({});
  for (size_t i = 0; i < kConnectionRefusals; ++i) {
    connections_refused[i] = &connections_refused_.Add({{"reason", kConnectionRefusalNames[i]}});
  }
  build_info_.Add({{"version", version}}).Set(1);
}

prometheus::Family<prometheus::Counter>& MetricFamilies::Counters(const char* name,
                                                                  const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(all->registry);
}

prometheus::Family<prometheus::Gauge>& MetricFamilies::Gauges(const char* name, const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(all->registry);
}

HistogramFamily& MetricFamilies::Histograms(const char* name, const char* help) {
  return all->histograms.emplace_back(name, help);
}

// A family without series would be nothing but its help: it is made by the first.
void MetricFamilies::AddMemory(const std::vector<Metrics::Device>& devices) {
  prometheus::Family<Gauge>* family = nullptr;
  for (const Metrics::Device& device : devices) {
    for (const MemoryUse& use : device.memory) {
      if (family == nullptr) {
        family = &Gauges("hmar_device_memory_bytes", "Device memory taken at load, by what for.");
      }
      family->Add({{"device", device.name}, {"kind", use.kind}})
          .Set(static_cast<double>(use.bytes));
    }
  }
}

PrincipalMeter* MetricFamilies::MeterOf(const std::string& principal) {
  absl::MutexLock lock(&mutex_);
  if (!principals_.has_value()) {
    principals_.emplace(Principals{
        Counters("hmar_principal_device_seconds_total",
                 "Images' shares of steps, by the name of their key."),
        Counters("hmar_principal_images_total", "Images sent, by the name of their key."),
        {}});
  }
  const bool full = principals_->meters.size() >= Metrics::kMaxPrincipals;
  const bool known = principals_->meters.find(principal) != principals_->meters.end();
  const std::string name = full && !known ? kOtherPrincipals : principal;
  std::unique_ptr<PrincipalMeter>& meter = principals_->meters[name];
  if (meter == nullptr) {
    meter = std::make_unique<PrincipalMeter>();
    meter->device_seconds_ = &principals_->device_seconds.Add({{"principal", name}});
    meter->images_ = &principals_->images.Add({{"principal", name}});
  }
  return meter.get();
}

void MetricFamilies::AddRequests(const std::string& name, PerModel& series) {
  for (size_t code = 0; code < kStatusCodes; ++code) {
    const std::string code_name = absl::StatusCodeToString(static_cast<absl::StatusCode>(code));
    series.requests[code] = &requests_.Add({{"model", name}, {"code", code_name}});
  }
}

void MetricFamilies::AddModel(const Metrics::Model& model,
                              const std::vector<Metrics::Device>& devices) {
  PerModel& series = models.emplace_back();
  AddRequests(model.name, series);
  AddImages(model, series);
  AddPreviews(model, series);
  for (const Metrics::Device& device : devices) series.devices.push_back(StepsOn(device, model));
}

void MetricFamilies::AddPreviews(const Metrics::Model& model, PerModel& series) {
  series.first_preview = &first_preview_.Add({{"model", model.name}}, ClientSeconds());
  for (size_t mode = 1; mode < kPreviewModes; ++mode) {
    const Labels sent = {
        {"model", model.name}, {"mode", kPreviewModeNames[mode]}, {"outcome", "sent"}};
    Labels dropped = sent;
    dropped["outcome"] = "dropped";
    series.previews_sent[mode] = &previews_.Add(sent);
    series.previews_dropped[mode] = &previews_.Add(dropped);
  }
}

void MetricFamilies::AddImages(const Metrics::Model& model, PerModel& series) {
  const Labels labels = {{"model", model.name}};
  for (size_t i = 0; i < kImageOutcomes; ++i) {
    series.images[i] = &images_.Add({{"model", model.name}, {"outcome", kImageOutcomeNames[i]}});
  }
  series.request_duration = &request_duration_.Add(labels, ClientSeconds());
  series.queue_duration = &queue_duration_.Add(labels, ClientSeconds());
  series.queue_images = &queue_images_.Add(labels);
  series.cancel_release = &cancel_release_.Add(labels, WorkSeconds());
  series.estimate_ratio = &estimate_ratio_.Add(labels, Ratios());
  series.upload_hits = &upload_lookups_.Add({{"model", model.name}, {"outcome", "hit"}});
  series.upload_misses = &upload_lookups_.Add({{"model", model.name}, {"outcome", "miss"}});
}

MetricFamilies::PerDevice MetricFamilies::StepsOn(const Metrics::Device& device,
                                                  const Metrics::Model& model) {
  const Labels labels = {{"model", model.name}, {"device", device.name}};
  PerDevice series;
  series.running_images = &running_images_.Add(labels);
  series.step_duration = &step_duration_.Add(labels, WorkSeconds());
  series.step_tokens = &step_tokens_.Add(labels, PowersOfTwo(4, 16));
  series.step_images = &step_images_.Add(labels, PowersOfTwo(0, 9));
  series.decode_duration = &decode_duration_.Add(labels, WorkSeconds());
  series.upload_encode = &upload_encode_.Add(labels, WorkSeconds());
  series.device_busy = &device_busy_.Add({{"device", device.name}});
  for (uint32_t scale = 0; scale < model.num_scales; ++scale) {
    Labels of_scale = labels;
    of_scale["scale"] = std::to_string(scale);
    series.scale_seconds.push_back(&scale_seconds_.Add(of_scale));
  }
  return series;
}

}  // namespace hmar
