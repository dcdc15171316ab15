#include "server/transport/listening_sockets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

using ::testing::HasSubstr;

bool ConnectsTo(const sockaddr* address, socklen_t length) {
  const Descriptor client(socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return client.ok() && connect(client.get(), address, length) == 0;
}

bool ConnectsV4(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return ConnectsTo(reinterpret_cast<const sockaddr*>(&address), sizeof(address));
}

bool ConnectsV6(int port) {
  sockaddr_in6 address = {};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(static_cast<uint16_t>(port));
  address.sin6_addr = in6addr_loopback;
  return ConnectsTo(reinterpret_cast<const sockaddr*>(&address), sizeof(address));
}

bool HasIpv6() { return ListenOn("[::1]:0").ok(); }

TEST(ListeningSocketsTest, PortZeroTakesAFreeOne) {
  const auto sockets = ListenOn("127.0.0.1:0");
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  EXPECT_GT(sockets->port, 0);
  EXPECT_TRUE(ConnectsV4(sockets->port));
  EXPECT_FALSE(ConnectsV6(sockets->port));
}

TEST(ListeningSocketsTest, ABusyPortIsAnError) {
  const auto first = ListenOn("127.0.0.1:0");
  ASSERT_TRUE(first.ok()) << first.status();
  for (const char* host : {"127.0.0.1", "0.0.0.0", "localhost"}) {
    const auto second = ListenOn(absl::StrCat(host, ":", first->port));
    EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable) << host;
    EXPECT_THAT(std::string(second.status().message()), HasSubstr("in use")) << host;
  }
}

TEST(ListeningSocketsTest, EveryAddressMeansBothFamilies) {
  for (const char* address : {"0.0.0.0:0", "[::]:0"}) {
    const auto sockets = ListenOn(address);
    ASSERT_TRUE(sockets.ok()) << sockets.status();
    EXPECT_TRUE(ConnectsV4(sockets->port)) << address;
    if (HasIpv6()) {
      EXPECT_TRUE(ConnectsV6(sockets->port)) << address;
    }
  }
}

TEST(ListeningSocketsTest, AnIpv6AddressIsInBrackets) {
  if (!HasIpv6()) GTEST_SKIP() << "no IPv6 on this machine";
  const auto sockets = ListenOn("[::1]:0");
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  EXPECT_TRUE(ConnectsV6(sockets->port));
  EXPECT_FALSE(ConnectsV4(sockets->port));
}

TEST(ListeningSocketsTest, ANameIsServedOnEveryAddressOfIt) {
  const auto sockets = ListenOn("localhost:0");
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  EXPECT_TRUE(ConnectsV4(sockets->port) || ConnectsV6(sockets->port));
}

TEST(ListeningSocketsTest, AnAddressThatIsNotOursIsAnError) {
  const auto sockets = ListenOn("192.0.2.1:0");  // Reserved for documentation.
  EXPECT_EQ(sockets.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(sockets.status().message()), HasSubstr("assign"));
}

}  // namespace
}  // namespace hmar
