#ifndef HMAR_CLIENT_LOAD_METRICS_CHECK_H_
#define HMAR_CLIENT_LOAD_METRICS_CHECK_H_

// Holds what a server counted against what its client saw. Pure.

#include <string>
#include <vector>

#include "client/load/report.h"
#include "client/load/seen.h"
#include "client/metrics_text.h"

namespace hmar::load {

// What was counted between two scrapes, beside what was seen: a row for each code that was seen,
// one for all requests, one for images done.
std::vector<MetricsRow> CompareMetrics(const std::vector<MetricSample>& before,
                                       const std::vector<MetricSample>& after, const Seen& seen);

// Rows of which the server counted fewer than were seen, a sentence each: it miscounts, or these
// are another server's metrics.
std::vector<std::string> CountedTooFew(const std::vector<MetricsRow>& rows);

// Rows of which it counted more than can be this client's: others use the server as well.
std::vector<std::string> CountedMore(const std::vector<MetricsRow>& rows);

}  // namespace hmar::load

#endif  // HMAR_CLIENT_LOAD_METRICS_CHECK_H_
