#include "server/http/connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/transport/peer.h"

namespace hmar {
namespace {

// As gRPC names it. "unix:" for what has no address.
std::string AddressOf(const sockaddr_storage& address) {
  std::array<char, INET6_ADDRSTRLEN> text = {};
  if (address.ss_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &address, sizeof(v4));
    inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
    return absl::StrCat("ipv4:", text.data(), ":", ntohs(v4.sin_port));
  }
  if (address.ss_family != AF_INET6) return "unix:";
  sockaddr_in6 v6;
  std::memcpy(&v6, &address, sizeof(v6));
  if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
    inet_ntop(AF_INET, v6.sin6_addr.s6_addr + 12, text.data(), text.size());
    return absl::StrCat("ipv4:", text.data(), ":", ntohs(v6.sin6_port));
  }
  inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());
  return absl::StrCat("ipv6:[", text.data(), "]:", ntohs(v6.sin6_port));
}

}  // namespace

std::unique_ptr<Connection> MakeConnection(std::unique_ptr<Channel> channel) {
  auto connection = std::make_unique<Connection>();
  sockaddr_storage address = {};
  socklen_t length = sizeof(address);
  getpeername(channel->fd(), reinterpret_cast<sockaddr*>(&address), &length);
  connection->peer = PeerOf(address);
  connection->address = AddressOf(address);
  connection->channel = std::move(channel);
  return connection;
}

}  // namespace hmar
