#include "server/transport/peer.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstring>

namespace hmar {
namespace {

sockaddr_storage V6(const char* text) {
  sockaddr_in6 v6 = {};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(4711);
  EXPECT_EQ(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
  sockaddr_storage address = {};
  std::memcpy(&address, &v6, sizeof(v6));
  return address;
}

TEST(PeerTest, AnIpv4AddressIsTheSamePeerThroughEitherSocket) {
  sockaddr_in v4 = {};
  v4.sin_family = AF_INET;
  ASSERT_EQ(inet_pton(AF_INET, "10.1.2.3", &v4.sin_addr), 1);
  sockaddr_storage address = {};
  std::memcpy(&address, &v4, sizeof(v4));
  EXPECT_EQ(PeerOf(address), "10.1.2.3");
  EXPECT_EQ(PeerOf(V6("::ffff:10.1.2.3")), "10.1.2.3");
}

TEST(PeerTest, AnIpv6PeerIsItsFirst64Bits) {
  EXPECT_EQ(PeerOf(V6("2001:db8:0:1::5")), "2001:db8:0:1::/64");
  EXPECT_EQ(PeerOf(V6("2001:db8:0:1:ffff::")), PeerOf(V6("2001:db8:0:1::5")));
  EXPECT_NE(PeerOf(V6("2001:db8:0:2::5")), PeerOf(V6("2001:db8:0:1::5")));
}

TEST(PeerTest, AnotherFamilyHasNoName) {
  sockaddr_storage address = {};
  address.ss_family = AF_UNIX;
  EXPECT_EQ(PeerOf(address), "");
}

}  // namespace
}  // namespace hmar
