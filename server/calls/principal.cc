#include "server/calls/principal.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/str_replace.h"
#include "server/transport/peer.h"

namespace hmar {
namespace {

// Longer than any address with a scope and a port.
constexpr size_t kMaxAddressBytes = 128;

// "10.0.0.1", "10.0.0.1:4711", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:4711", less the port.
std::string WithoutPort(std::string_view text) {
  if (!text.empty() && text.front() == '[') return std::string(text.substr(1, text.find(']') - 1));
  const size_t colon = text.find(':');
  const bool one_colon = colon != std::string_view::npos && text.rfind(':') == colon;
  return std::string(one_colon ? text.substr(0, colon) : text);
}

// Empty: no address.
std::string PrincipalOfAddress(std::string_view text) {
  if (text.size() > kMaxAddressBytes) return "";
  std::string stripped(text);
  absl::StripAsciiWhitespace(&stripped);
  std::string address = WithoutPort(stripped);
  address = address.substr(0, address.find('%'));  // A scope.
  sockaddr_storage storage = {};
  sockaddr_in v4 = {};
  sockaddr_in6 v6 = {};
  if (inet_pton(AF_INET, address.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    std::memcpy(&storage, &v4, sizeof(v4));
  } else if (inet_pton(AF_INET6, address.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    std::memcpy(&storage, &v6, sizeof(v6));
  }
  return PeerOf(storage);
}

}  // namespace

std::string PrincipalOf(std::string_view peer, std::string_view forwarded_for) {
  const std::string_view first = forwarded_for.substr(0, forwarded_for.find(','));
  if (std::string principal = PrincipalOfAddress(first); !principal.empty()) return principal;
  const size_t scheme = peer.find(':');
  const std::string named(peer.substr(scheme == std::string_view::npos ? 0 : scheme + 1));
  const std::string address =
      absl::StrReplaceAll(named, {{"%5B", "["}, {"%5D", "]"}, {"%25", "%"}});
  const std::string principal = PrincipalOfAddress(address);
  return principal.empty() ? "local" : principal;
}

}  // namespace hmar
