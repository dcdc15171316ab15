#include "server/transport/connection_table.h"

#include <gtest/gtest.h>

namespace hmar {
namespace {

TEST(ConnectionTableTest, RefusesAFullTableAndTakesAgainOnceOneHasGone) {
  ConnectionTable table({2, 2});
  EXPECT_EQ(table.Add("a"), std::nullopt);
  EXPECT_EQ(table.Add("b"), std::nullopt);
  EXPECT_EQ(table.Add("c"), ConnectionRefusal::kTableFull);
  EXPECT_EQ(table.size(), 2u);
  table.Remove("a");
  EXPECT_EQ(table.Add("c"), std::nullopt);
}

TEST(ConnectionTableTest, APeerAtItsLimitLeavesRoomForOthers) {
  ConnectionTable table({8, 2});
  EXPECT_EQ(table.Add("a"), std::nullopt);
  EXPECT_EQ(table.Add("a"), std::nullopt);
  EXPECT_EQ(table.Add("a"), ConnectionRefusal::kPeerLimit);
  EXPECT_EQ(table.Add("b"), std::nullopt);
  EXPECT_EQ(table.size(), 3u);
  table.Remove("a");
  EXPECT_EQ(table.Add("a"), std::nullopt);
}

TEST(ConnectionTableTest, ConnectionsFitTheDescriptors) {
  const ConnectionLimits wanted = {4096, 1024};
  EXPECT_EQ(ConnectionLimits::Within(wanted, 1'048'576).max_connections, 4096u);
  EXPECT_EQ(ConnectionLimits::Within(wanted, 1024).max_connections, 384u);
  EXPECT_EQ(ConnectionLimits::Within(wanted, 64).max_connections, 16u);
  EXPECT_EQ(ConnectionLimits::Within(wanted, 1024).max_per_peer, 1024u);
}

}  // namespace
}  // namespace hmar
