#ifndef HMAR_CLIENT_METRICS_SCRAPE_H_
#define HMAR_CLIENT_METRICS_SCRAPE_H_

// A server's metrics, by HTTP.

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/metrics_text.h"

namespace hmar {

struct MetricsAddress {
  std::string host;
  int port = 0;
  std::string path;
  std::string user = {};  // For basic authentication; empty: none.
  std::string password = {};
};

// "HOST:PORT", "[V6]:PORT" or "http://USER:PASSWORD@HOST:PORT/PATH"; without a path it is /metrics.
// INVALID_ARGUMENT, with the text, a password left out, and what it must be.
absl::StatusOr<MetricsAddress> ParseMetricsAddress(const std::string& text);

// "http://HOST:PORT/PATH", without user and password.
std::string ShowAddress(const MetricsAddress& address);

inline constexpr size_t kMaxMetricsHeaderBytes = size_t{64} << 10;

struct ScrapeOptions {
  absl::Duration timeout = absl::Seconds(10);  // From looking up the name to the last byte.
  // Asked every 50 ms, on the calling thread; true: stop waiting. May be null.
  std::function<bool()> gives_up = nullptr;
};

// Asks once. Follows no redirection, uses no proxy, takes at most kMaxMetricsBytes and as headers
// kMaxMetricsHeaderBytes, however they come. UNAVAILABLE: nobody answered in time, or not with
// 200, or more than that. CANCELLED: gives_up said so. INVALID_ARGUMENT: no metrics
// (metrics_text.h). Thread-safe.
absl::StatusOr<std::vector<MetricSample>> Scrape(const MetricsAddress& address,
                                                 const ScrapeOptions& options = {});

}  // namespace hmar

#endif  // HMAR_CLIENT_METRICS_SCRAPE_H_
