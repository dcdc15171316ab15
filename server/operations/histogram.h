#ifndef HMAR_SERVER_OPERATIONS_HISTOGRAM_H_
#define HMAR_SERVER_OPERATIONS_HISTOGRAM_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "prometheus/client_metric.h"
#include "prometheus/labels.h"
#include "prometheus/metric_family.h"

namespace hmar {

// A Prometheus histogram without a lock, in place of prometheus-cpp's, which takes a mutex an
// observation and holds it while it is read: the step loop and the scheduler observe several times
// a step, and neither must wait for a scrape. Thread-safe. A reading's buckets agree with its
// count; an observation that is being made may be in its sum and not yet in them, or the other way
// round.
class Histogram {
 public:
  using Buckets = std::vector<double>;

  // Upper bounds, each inside its bucket. REQUIRES: they rise.
  explicit Histogram(Buckets buckets);

  void Observe(double value);

  prometheus::ClientMetric Collect() const;

 private:
  const Buckets buckets_;
  std::vector<std::atomic<uint64_t>> counts_;  // By bucket, that of what is above all bounds last.
  std::atomic<double> sum_ = 0;
};

// Histograms of one name. Add while it is set up, by one thread; Collect is thread-safe afterwards.
class HistogramFamily {
 public:
  HistogramFamily(std::string name, std::string help)
      : name_(std::move(name)), help_(std::move(help)) {}

  // The histogram lives as long as the family.
  Histogram& Add(const prometheus::Labels& labels, Histogram::Buckets buckets);

  prometheus::MetricFamily Collect() const;

 private:
  const std::string name_;
  const std::string help_;
  std::vector<std::pair<prometheus::Labels, std::unique_ptr<Histogram>>> histograms_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_OPERATIONS_HISTOGRAM_H_
