#ifndef HMAR_CLIENT_LOAD_METRICS_SCRAPE_H_
#define HMAR_CLIENT_LOAD_METRICS_SCRAPE_H_

// A server's metrics, by HTTP.

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/load/metrics_text.h"

namespace hmar::load {

struct MetricsAddress {
  std::string host;
  int port = 0;
  std::string path;
};

// "HOST:PORT", "[V6]:PORT" or "http://HOST:PORT/PATH"; without a path it is /metrics.
// INVALID_ARGUMENT, with the text and what it must be.
absl::StatusOr<MetricsAddress> ParseMetricsAddress(const std::string& text);

// Asks once, for 10 seconds at most; follows no redirection, takes at most kMaxMetricsBytes.
// UNAVAILABLE: nobody answered, or not with 200. INVALID_ARGUMENT: no metrics (metrics_text.h).
absl::StatusOr<std::vector<MetricSample>> Scrape(const MetricsAddress& address);

}  // namespace hmar::load

#endif  // HMAR_CLIENT_LOAD_METRICS_SCRAPE_H_
