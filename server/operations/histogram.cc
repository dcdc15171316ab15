#include "server/operations/histogram.h"

#include <algorithm>
#include <limits>

namespace hmar {

Histogram::Histogram(Buckets buckets)
    : buckets_(std::move(buckets)), counts_(buckets_.size() + 1) {}

void Histogram::Observe(double value) {
  const auto bucket = std::lower_bound(buckets_.begin(), buckets_.end(), value);
  counts_[bucket - buckets_.begin()].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

prometheus::ClientMetric Histogram::Collect() const {
  prometheus::ClientMetric metric;
  uint64_t so_far = 0;
  for (size_t i = 0; i < counts_.size(); ++i) {
    so_far += counts_[i].load(std::memory_order_relaxed);
    const double bound =
        i < buckets_.size() ? buckets_[i] : std::numeric_limits<double>::infinity();
    metric.histogram.bucket.push_back({so_far, bound});
  }
  metric.histogram.sample_count = so_far;
  metric.histogram.sample_sum = sum_.load(std::memory_order_relaxed);
  return metric;
}

Histogram& HistogramFamily::Add(const prometheus::Labels& labels, Histogram::Buckets buckets) {
  return *histograms_.emplace_back(labels, std::make_unique<Histogram>(std::move(buckets))).second;
}

prometheus::MetricFamily HistogramFamily::Collect() const {
  prometheus::MetricFamily family = {name_, help_, prometheus::MetricType::Histogram, {}};
  for (const auto& [labels, histogram] : histograms_) {
    prometheus::ClientMetric& metric = family.metric.emplace_back(histogram->Collect());
    for (const auto& [name, value] : labels) metric.label.push_back({name, value});
  }
  return family;
}

}  // namespace hmar
