#include "client/watch/server_counts.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "client/printable.h"

namespace hmar {
namespace {

// The entry of this name; null: there are too many others.
template <typename Value>
Value* Entry(std::map<std::string, Value>& entries, const std::string& name) {
  const std::string key = Printable(name, kMaxCountNameBytes);
  const auto found = entries.find(key);
  if (found != entries.end()) return &found->second;
  return entries.size() < kMaxCountNames ? &entries[key] : nullptr;
}

std::string Label(const MetricSample& sample, const std::string& name) {
  const auto found = sample.labels.find(name);
  return found == sample.labels.end() ? "" : found->second;
}

template <typename Value>
void AddTo(std::map<std::string, Value>& entries, const std::string& name, double Value::*field,
           double value) {
  if (Value* entry = Entry(entries, name); entry != nullptr) entry->*field += value;
}

void AddTo(Counts& counts, const std::string& name, double value) {
  if (double* entry = Entry(counts, name); entry != nullptr) *entry += value;
}

// True: the sample was a plain number of the server's.
bool TakeNumber(const MetricSample& sample, ServerCounts& counts) {
  static const auto* const numbers = new std::map<std::string, double ServerCounts::*>{
      {"process_start_time_seconds", &ServerCounts::start_seconds},
      {"process_resident_memory_bytes", &ServerCounts::resident_bytes},
      {"hmar_waiting_clients", &ServerCounts::waiting_clients},
      {"hmar_open_calls", &ServerCounts::open_calls},
      {"hmar_connections", &ServerCounts::connections},
      {"hmar_step_duration_seconds_count", &ServerCounts::steps},
      {"hmar_step_images_sum", &ServerCounts::step_images},
      {"hmar_step_tokens_sum", &ServerCounts::step_rows}};
  const auto found = numbers->find(sample.name);
  if (found == numbers->end()) return false;
  counts.*(found->second) += sample.value;
  return true;
}

void TakeModelOrDevice(const MetricSample& sample, ServerCounts& counts) {
  const std::string model = Label(sample, "model");
  const std::string device = Label(sample, "device");
  const double value = sample.value;
  if (sample.name == "hmar_queue_images") {
    AddTo(counts.models, model, &ServerCounts::Model::waiting, value);
  } else if (sample.name == "hmar_running_images") {
    AddTo(counts.models, model, &ServerCounts::Model::running, value);
    AddTo(counts.devices, device, &ServerCounts::Device::running, value);
  } else if (sample.name == "hmar_device_busy_seconds_total") {
    AddTo(counts.devices, device, &ServerCounts::Device::busy_seconds, value);
  } else if (sample.name == "hmar_device_memory_bytes") {
    ServerCounts::Device* entry = Entry(counts.devices, device);
    if (entry != nullptr) AddTo(entry->memory_bytes, Label(sample, "kind"), value);
  } else if (sample.name == "hmar_model_info") {
    ServerCounts::Model* entry = Entry(counts.models, model);
    if (entry == nullptr) return;
    entry->precision = Printable(Label(sample, "precision"), kMaxCountNameBytes);
    entry->digest = Printable(Label(sample, "digest"), kMaxCountNameBytes);
  }
}

void TakeCount(const MetricSample& sample, ServerCounts& counts) {
  const double value = sample.value;
  if (sample.name == "hmar_images_total") {
    const std::string outcome = Label(sample, "outcome");
    AddTo(counts.images, outcome, value);
    if (outcome == "done" || outcome == "degraded") {
      AddTo(counts.models, Label(sample, "model"), &ServerCounts::Model::images, value);
    }
  } else if (sample.name == "hmar_requests_total") {
    AddTo(counts.requests, Label(sample, "code"), value);
  } else if (sample.name == "hmar_admission_rejected_total") {
    AddTo(counts.refused, Label(sample, "reason"), value);
  } else if (sample.name == "hmar_buffer_bytes") {
    AddTo(counts.buffers, Label(sample, "buffer"), &ServerCounts::Buffer::bytes, value);
  } else if (sample.name == "hmar_buffer_limit_bytes") {
    AddTo(counts.buffers, Label(sample, "buffer"), &ServerCounts::Buffer::limit_bytes, value);
  } else if (sample.name == "hmar_ready") {
    counts.ready = value == 1;
  } else if (sample.name == "hmar_build_info") {
    counts.version = Printable(Label(sample, "version"), kMaxCountNameBytes);
  } else {
    TakeModelOrDevice(sample, counts);
  }
}

void TakeBucket(const MetricSample& sample, ServerCounts& counts) {
  for (const char* family : {kRequestSeconds, kFirstPreviewSeconds, kQueueSeconds, kStepSeconds}) {
    if (sample.name != std::string(family) + "_bucket") continue;
    double bound = 0;
    if (!absl::SimpleAtod(Label(sample, "le"), &bound) || std::isnan(bound)) return;
    Buckets& buckets = counts.latency[family];
    if (buckets.size() < kMaxCountBuckets || buckets.contains(bound)) {
      buckets[bound] += sample.value;
    }
  }
}

double Total(const Counts& counts) {
  double total = 0;
  for (const auto& [name, count] : counts) total += count;
  return total;
}

bool StartedAgain(const ServerCounts& before, const ServerCounts& after) {
  return before.start_seconds != after.start_seconds || after.steps < before.steps ||
         Total(after.requests) < Total(before.requests);
}

double Find(const Counts& counts, const std::string& name) {
  const auto found = counts.find(name);
  return found == counts.end() ? 0 : found->second;
}

}  // namespace

absl::StatusOr<ServerCounts> CountsOf(const std::vector<MetricSample>& samples) {
  ServerCounts counts;
  bool ours = false;
  for (const MetricSample& sample : samples) {
    ours = ours || absl::StartsWith(sample.name, "hmar_");
    if (absl::EndsWith(sample.name, "_bucket")) {
      TakeBucket(sample, counts);
    } else if (!TakeNumber(sample, counts)) {
      TakeCount(sample, counts);
    }
  }
  if (ours) return counts;
  return absl::DataLossError("no metric of an hmar-server is there: their names start with hmar_");
}

std::optional<double> Quantile(const Buckets& buckets, double q) {
  if (buckets.empty() || !(buckets.rbegin()->second > 0)) return std::nullopt;
  const double rank = q * buckets.rbegin()->second;
  double lower = 0;
  double below = 0;
  for (const auto& [bound, count] : buckets) {
    if (count >= rank && count > below) {
      if (std::isinf(bound)) return lower;
      return lower + (bound - lower) * (rank - below) / (count - below);
    }
    lower = bound;
    below = count;
  }
  return lower;
}

void CountWindow::Add(ServerCounts counts, absl::Time when) {
  if (!looks_.empty() && StartedAgain(latest(), counts)) looks_.clear();
  looks_.push_back({std::move(counts), when});
  // Two always stay: an interval may be longer than the window.
  while (looks_.size() > 2 && (looks_.size() > kMaxLooks || looks_[1].when <= when - kLength)) {
    looks_.pop_front();
  }
}

double CountWindow::seconds() const {
  return looks_.empty() ? 0 : absl::ToDoubleSeconds(looks_.back().when - looks_.front().when);
}

double CountWindow::RateOf(double before, double after) const {
  const double rate = (after - before) / seconds();
  return std::isfinite(rate) ? std::max(rate, 0.0) : 0;
}

double CountWindow::Rate(double ServerCounts::*count) const {
  return RateOf(looks_.front().counts.*count, latest().*count);
}

Counts CountWindow::Rates(Counts ServerCounts::*counts) const {
  Counts rates;
  for (const auto& [name, count] : latest().*counts) {
    rates[name] = RateOf(Find(looks_.front().counts.*counts, name), count);
  }
  return rates;
}

double CountWindow::ImagesRate(const std::string& model) const {
  const auto before = looks_.front().counts.models.find(model);
  const auto after = latest().models.find(model);
  if (before == looks_.front().counts.models.end() || after == latest().models.end()) return 0;
  return RateOf(before->second.images, after->second.images);
}

double CountWindow::BusyPart(const std::string& device) const {
  const auto before = looks_.front().counts.devices.find(device);
  const auto after = latest().devices.find(device);
  if (before == looks_.front().counts.devices.end() || after == latest().devices.end()) return 0;
  return std::min(RateOf(before->second.busy_seconds, after->second.busy_seconds), 1.0);
}

Buckets CountWindow::Observed(const std::string& family) const {
  Buckets observed;
  const auto after = latest().latency.find(family);
  if (after == latest().latency.end() || looks_.size() < 2) return observed;
  const auto before = looks_.front().counts.latency.find(family);
  for (const auto& [bound, count] : after->second) {
    double earlier = 0;
    if (before != looks_.front().counts.latency.end()) {
      const auto found = before->second.find(bound);
      if (found != before->second.end()) earlier = found->second;
    }
    observed[bound] = count - earlier;
  }
  return observed;
}

}  // namespace hmar
