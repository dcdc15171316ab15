#ifndef HMAR_SERVER_OPERATIONS_METRICS_SERVER_H_
#define HMAR_SERVER_OPERATIONS_METRICS_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace prometheus {
class Collectable;
class Exposer;
}  // namespace prometheus

namespace hmar {

// GET /metrics for Prometheus, on threads of its own (prometheus-cpp's civetweb). Stops when
// destroyed.
class MetricsServer {
 public:
  // `address` is HOST:PORT: an IPv4 address or a name of this machine (0.0.0.0: all), port 0 for
  // any free one. `metrics` is scraped as long as it lives. INVALID_ARGUMENT: not such an address;
  // UNAVAILABLE: it cannot be listened on.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(
      const std::string& address, const std::shared_ptr<prometheus::Collectable>& metrics);
  ~MetricsServer();

  // The port in use.
  int port() const { return port_; }

 private:
  MetricsServer(std::unique_ptr<prometheus::Exposer> exposer, int port);

  const std::unique_ptr<prometheus::Exposer> exposer_;
  const int port_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_OPERATIONS_METRICS_SERVER_H_
