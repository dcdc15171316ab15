#ifndef HMAR_SERVER_OPERATIONS_PROCESS_METRICS_H_
#define HMAR_SERVER_OPERATIONS_PROCESS_METRICS_H_

#include <vector>

#include "prometheus/collectable.h"

namespace hmar {

// The process_* families that every Prometheus client library has, read from /proc at each scrape:
// process_cpu_seconds_total, process_resident_memory_bytes, process_virtual_memory_bytes,
// process_threads, process_start_time_seconds, process_open_fds, process_max_fds. A family whose
// file cannot be read is left out. Thread-safe.
class ProcessMetrics final : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override;
};

}  // namespace hmar

#endif  // HMAR_SERVER_OPERATIONS_PROCESS_METRICS_H_
