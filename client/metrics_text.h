#ifndef HMAR_CLIENT_METRICS_TEXT_H_
#define HMAR_CLIENT_METRICS_TEXT_H_

// Prometheus' text format (version 0.0.4), as far as samples go. Pure.

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace hmar {

inline constexpr size_t kMaxMetricsBytes = size_t{16} << 20;
inline constexpr size_t kMaxMetricsSamples = 200'000;
inline constexpr size_t kMaxMetricLabels = 64;        // Of a sample.
inline constexpr size_t kMaxMetricsLabels = 500'000;  // Of all samples together.

struct MetricSample {
  std::string name;
  std::map<std::string, std::string> labels;
  double value = 0;  // May be infinite or no number.
};

// All samples, in their order; comments (# HELP, # TYPE) are passed over. INVALID_ARGUMENT, with
// the line's number and what is wrong with it: anything that is not of the format, a line without
// an end, or more than the limits above. What it returns takes at most 200 MB, and as much only of
// a page that means it.
absl::StatusOr<std::vector<MetricSample>> ParseMetrics(absl::string_view text);

// The sum of the samples of this name that have all these labels.
double SumOf(const std::vector<MetricSample>& samples, const std::string& name,
             const std::map<std::string, std::string>& labels);

}  // namespace hmar

#endif  // HMAR_CLIENT_METRICS_TEXT_H_
