#include "server/transport/listening_sockets.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

constexpr int kPortTries = 16;  // A free port of one address may be taken on another.

struct HostPort {
  std::string host;
  std::string port;
};

HostPort Split(const std::string& address) {
  const size_t colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  // One socket for both families, where there is IPv6.
  if (host == "0.0.0.0") host = "::";
  return {host, address.substr(colon + 1)};
}

using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

absl::StatusOr<Addresses> Resolve(const HostPort& where) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(where.host.c_str(), where.port.c_str(), &hints, &found);
  if (error != 0) return absl::UnavailableError(gai_strerror(error));
  return Addresses(found, &freeaddrinfo);
}

bool SetOption(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

void SetPort(sockaddr_storage* address, int port) {
  const in_port_t bytes = htons(static_cast<uint16_t>(port));
  if (address->ss_family == AF_INET) {
    reinterpret_cast<sockaddr_in*>(address)->sin_port = bytes;
  } else {
    reinterpret_cast<sockaddr_in6*>(address)->sin6_port = bytes;
  }
}

bool IsLoopback(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    return (ntohl(v4.sin_addr.s_addr) >> 24) == 127;
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
  return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

int PortOf(int fd) {
  sockaddr_storage address = {};
  socklen_t length = sizeof(address);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return 0;
  return ntohs(address.ss_family == AF_INET ? reinterpret_cast<sockaddr_in*>(&address)->sin_port
                                            : reinterpret_cast<sockaddr_in6*>(&address)->sin6_port);
}

// A socket that listens, or errno. No SO_REUSEPORT: two servers on a port would go unnoticed.
Descriptor Bind(const sockaddr_storage& address, socklen_t length) {
  Descriptor fd(socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.ok()) return fd;
  const bool wildcard =
      address.ss_family == AF_INET6 &&
      IN6_IS_ADDR_UNSPECIFIED(&reinterpret_cast<const sockaddr_in6&>(address).sin6_addr);
  const bool set = SetOption(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1) &&
                   SetOption(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1) &&
                   (address.ss_family != AF_INET6 ||
                    SetOption(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, wildcard ? 0 : 1));
  if (set && bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), length) == 0 &&
      listen(fd.get(), SOMAXCONN) == 0) {
    return fd;
  }
  const int error = errno;
  fd.Close();
  errno = error;
  return fd;
}

// A machine or a name may lack a family; a port in use is an error whatever else works.
bool IsAbsence(int error) { return error == EADDRNOTAVAIL || error == EAFNOSUPPORT; }

absl::StatusOr<ListeningSockets> BindAll(const addrinfo* addresses) {
  ListeningSockets result;
  int absence = 0;
  for (const addrinfo* each = addresses; each != nullptr; each = each->ai_next) {
    sockaddr_storage address = {};
    std::memcpy(&address, each->ai_addr, each->ai_addrlen);
    if (result.port != 0) SetPort(&address, result.port);
    Descriptor fd = Bind(address, each->ai_addrlen);
    if (!fd.ok() && !IsAbsence(errno)) return absl::UnavailableError(std::strerror(errno));
    if (!fd.ok()) absence = errno;
    if (!fd.ok()) continue;
    if (result.port == 0) result.port = PortOf(fd.get());
    result.loopback_only = result.loopback_only && IsLoopback(address);
    result.sockets.push_back(std::move(fd));
  }
  if (result.sockets.empty()) return absl::UnavailableError(std::strerror(absence));
  return result;
}

}  // namespace

absl::StatusOr<ListeningSockets> ListenOn(const std::string& address) {
  HostPort where = Split(address);
  absl::StatusOr<ListeningSockets> sockets = absl::UnavailableError("");
  const int tries = where.port == "0" ? kPortTries : 1;
  for (int i = 0; i < tries && !sockets.ok(); ++i) {
    const auto addresses = Resolve(where);
    if (!addresses.ok()) return addresses.status();
    sockets = BindAll(addresses->get());
    if (!sockets.ok() && where.host == "::") {  // No IPv6 here.
      const auto v4 = Resolve({"0.0.0.0", where.port});
      if (v4.ok()) sockets = BindAll(v4->get());
    }
  }
  return sockets;
}

}  // namespace hmar
