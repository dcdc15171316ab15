#ifndef HMAR_SERVER_OPERATIONS_METRICS_SERVER_H_
#define HMAR_SERVER_OPERATIONS_METRICS_SERVER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/operations/basic_auth.h"

namespace prometheus {
class Collectable;
}  // namespace prometheus

namespace hmar {

// GET and HEAD of /metrics for Prometheus, on one thread of its own (GNU libmicrohttpd's event
// loop): a connection that is slow costs a few kilobytes and nobody's turn. At most
// kMaxConnections are open; one more closes the oldest, so a scrape gets in past any number of slow
// ones. A request has 16 KiB for its line and headers, and 5 s between two of its bytes. Stops when
// destroyed.
class MetricsServer {
 public:
  static constexpr unsigned kMaxConnections = 256;

  // `address` is HOST:PORT: an IPv4 address or a name of this machine (0.0.0.0: all), port 0 for
  // any free one. `metrics` are scraped as long as it lives. INVALID_ARGUMENT: not such an address;
  // UNAVAILABLE: it cannot be listened on.
  // `auth` (null: anybody may read them) outlives it.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(
      const std::string& address, std::vector<std::shared_ptr<prometheus::Collectable>> metrics,
      BasicAuth* auth = nullptr);
  ~MetricsServer();

  // The port in use.
  int port() const { return port_; }

 private:
  class Daemon;
  MetricsServer(std::unique_ptr<Daemon> daemon, int port);

  const std::unique_ptr<Daemon> daemon_;
  const int port_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_OPERATIONS_METRICS_SERVER_H_
