#include "server/operations/scraped_gauges.h"

#include <algorithm>

#include "prometheus/client_metric.h"

namespace hmar {

void ScrapedGauges::Add(const std::string& name, const std::string& help,
                        const prometheus::Labels& labels, Read read) {
  auto family = std::find_if(families_.begin(), families_.end(),
                             [&name](const Family& known) { return known.name == name; });
  if (family == families_.end()) family = families_.insert(family, {name, help, {}});
  family->gauges.emplace_back(labels, std::move(read));
}

std::vector<prometheus::MetricFamily> ScrapedGauges::Collect() const {
  std::vector<prometheus::MetricFamily> collected;
  for (const Family& family : families_) {
    prometheus::MetricFamily& metrics = collected.emplace_back(
        prometheus::MetricFamily{family.name, family.help, prometheus::MetricType::Gauge, {}});
    for (const auto& [labels, read] : family.gauges) {
      prometheus::ClientMetric& metric = metrics.metric.emplace_back();
      for (const auto& [name, value] : labels) metric.label.push_back({name, value});
      metric.gauge.value = read();
    }
  }
  return collected;
}

}  // namespace hmar
