#ifndef HMAR_SERVER_TRANSPORT_LISTENING_SOCKETS_H_
#define HMAR_SERVER_TRANSPORT_LISTENING_SOCKETS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/transport/descriptors.h"

namespace hmar {

struct ListeningSockets {
  std::vector<Descriptor> sockets;  // Non-blocking, at least one.
  int port = 0;                     // The same for all.
  bool loopback_only = true;        // No other machine reaches them.
};

// Listens on HOST:PORT: a name or an address, an IPv6 one in brackets; port 0 takes a free one.
// 0.0.0.0 and [::] both mean every address of this machine, IPv4 and IPv6. A name with several
// addresses is served on those that exist here. UNAVAILABLE, with the reason: the port is in use,
// no address is ours, the name is unknown. Blocks for the name's resolution.
absl::StatusOr<ListeningSockets> ListenOn(const std::string& address);

}  // namespace hmar

#endif  // HMAR_SERVER_TRANSPORT_LISTENING_SOCKETS_H_
