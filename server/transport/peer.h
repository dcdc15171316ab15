#ifndef HMAR_SERVER_TRANSPORT_PEER_H_
#define HMAR_SERVER_TRANSPORT_PEER_H_

#include <sys/socket.h>

#include <string>

namespace hmar {

// Who connects, for limits by peer: an IPv4 address, also one that came through an IPv6 socket, or
// the first 64 bits of an IPv6 address, which is what one host usually has to itself. As text, for
// the log: "10.0.0.1", "2001:db8:0:1::/64"; "" for another family.
std::string PeerOf(const sockaddr_storage& address);

}  // namespace hmar

#endif  // HMAR_SERVER_TRANSPORT_PEER_H_
