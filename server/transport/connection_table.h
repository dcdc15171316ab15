#ifndef HMAR_SERVER_TRANSPORT_CONNECTION_TABLE_H_
#define HMAR_SERVER_TRANSPORT_CONNECTION_TABLE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

#include "server/operations/metrics.h"

namespace hmar {

// How many connections may be open.
struct ConnectionLimits {
  uint32_t max_connections = 0;
  uint32_t max_per_peer = 0;

  // What a process with so many descriptors can keep: a connection takes two (see listener.h), and
  // a part is left for everything else, from models to scrapes.
  static ConnectionLimits Within(ConnectionLimits wanted, uint64_t descriptors);
};

// Counts open connections, and by peer. Knows no socket. Thread-compatible.
class ConnectionTable {
 public:
  explicit ConnectionTable(ConnectionLimits limits) : limits_(limits) {}

  // Counts one more of this peer; or says why not, and nothing has changed.
  std::optional<ConnectionRefusal> Add(const std::string& peer);

  // One less. REQUIRES: Add took it.
  void Remove(const std::string& peer);

  uint32_t size() const { return size_; }
  const ConnectionLimits& limits() const { return limits_; }

 private:
  const ConnectionLimits limits_;
  uint32_t size_ = 0;
  std::unordered_map<std::string, uint32_t> by_peer_;  // Only peers that have one open.
};

}  // namespace hmar

#endif  // HMAR_SERVER_TRANSPORT_CONNECTION_TABLE_H_
