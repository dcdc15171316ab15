#include "server/calls/principal.h"

#include <string>

#include "gtest/gtest.h"

namespace hmar {
namespace {

TEST(PrincipalTest, APeerIsItsAddress) {
  EXPECT_EQ(PrincipalOf("ipv4:10.0.0.1:4711", ""), "10.0.0.1");
  EXPECT_EQ(PrincipalOf("ipv4:10.0.0.1:4712", ""), "10.0.0.1");
  EXPECT_EQ(PrincipalOf("ipv6:%5B2001:db8:0:1:2::3%5D:4711", ""), "2001:db8:0:1::/64");
  EXPECT_EQ(PrincipalOf("ipv6:[::ffff:10.0.0.1]:4711", ""), "10.0.0.1");
  EXPECT_EQ(PrincipalOf("ipv6:%5Bfe80::1%25eth0%5D:4711", ""), "fe80::/64");
}

TEST(PrincipalTest, WhatHasNoAddressIsLocal) {
  EXPECT_EQ(PrincipalOf("unix:/tmp/socket", ""), "local");
  EXPECT_EQ(PrincipalOf("", ""), "local");
}

TEST(PrincipalTest, AProxysWordCounts) {
  EXPECT_EQ(PrincipalOf("ipv4:10.0.0.1:1", "192.0.2.7"), "192.0.2.7");
  EXPECT_EQ(PrincipalOf("ipv4:10.0.0.1:1", " 192.0.2.7 , 10.0.0.9"), "192.0.2.7");
  EXPECT_EQ(PrincipalOf("ipv4:10.0.0.1:1", "192.0.2.7:4711, 10.0.0.9"), "192.0.2.7");
  EXPECT_EQ(PrincipalOf("ipv4:10.0.0.1:1", "2001:db8::7"), "2001:db8::/64");
  EXPECT_EQ(PrincipalOf("ipv4:10.0.0.1:1", "[2001:db8::7]:4711"), "2001:db8::/64");
}

// Made up names would each have a share of their own.
TEST(PrincipalTest, WhatIsNoAddressDoesNotCount) {
  for (const char* forwarded :
       {"me", "unknown", ",192.0.2.7", "192.0.2", "[2001:db8::7", "1.2.3.4.5"}) {
    EXPECT_EQ(PrincipalOf("ipv4:10.0.0.1:1", forwarded),
              forwarded[0] == '[' ? "2001:db8::/64" : "10.0.0.1")
        << forwarded;
  }
  EXPECT_EQ(PrincipalOf("ipv4:10.0.0.1:1", std::string(100'000, '1')), "10.0.0.1");
}

}  // namespace
}  // namespace hmar
