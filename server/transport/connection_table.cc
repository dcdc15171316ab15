#include "server/transport/connection_table.h"

#include <algorithm>

namespace hmar {

ConnectionLimits ConnectionLimits::Within(ConnectionLimits wanted, uint64_t descriptors) {
  constexpr uint64_t kElsewhere = 256;  // A server with several GPUs has about 150 open.
  constexpr uint64_t kPerConnection = 2;
  const uint64_t left = descriptors - std::min(kElsewhere, descriptors / 2);
  wanted.max_connections =
      static_cast<uint32_t>(std::min<uint64_t>(wanted.max_connections, left / kPerConnection));
  return wanted;
}

std::optional<ConnectionRefusal> ConnectionTable::Add(const std::string& peer) {
  if (size_ >= limits_.max_connections) return ConnectionRefusal::kTableFull;
  const auto found = by_peer_.find(peer);
  if (found != by_peer_.end() && found->second >= limits_.max_per_peer) {
    return ConnectionRefusal::kPeerLimit;
  }
  ++by_peer_[peer];
  ++size_;
  return std::nullopt;
}

void ConnectionTable::Remove(const std::string& peer) {
  const auto found = by_peer_.find(peer);
  if (--found->second == 0) by_peer_.erase(found);
  --size_;
}

}  // namespace hmar
