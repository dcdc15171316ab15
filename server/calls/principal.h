#ifndef HMAR_SERVER_CALLS_PRINCIPAL_H_
#define HMAR_SERVER_CALLS_PRINCIPAL_H_

#include <string>
#include <string_view>

namespace hmar {

// Who shares the devices with others as one: the client's address (transport/peer.h). `peer` is
// gRPC's name of it, "ipv4:10.0.0.1:4711" or "ipv6:%5B2001:db8::1%5D:4711"; what has no address, as
// a Unix socket, is one principal, "local".
//
// `forwarded_for`, unless empty, is the call's x-forwarded-for from a proxy that may be trusted:
// then its first address counts, which is the client that the proxy, or the first of several, saw.
// If that is no address, the peer counts.
std::string PrincipalOf(std::string_view peer, std::string_view forwarded_for);

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_PRINCIPAL_H_
