#include "server/base/quota.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "tests/fakes/fake_clock.h"

namespace hmar {
namespace {

class QuotaTest : public ::testing::Test {
 protected:
  bool Takes(const std::string& principal, size_t amount, Quota::Ticket* ticket) {
    return !quota_.Take(principal, amount, ticket).has_value();
  }

  FakeClock clock_;
  Quota quota_{{100, 60}, &clock_, absl::Seconds(3)};
};

TEST_F(QuotaTest, TogetherAndAPrincipalTheyNeverExceedTheirLimits) {
  Quota::Ticket a, b, c;
  EXPECT_TRUE(Takes("a", 60, &a));
  std::optional<Shortage> shortage = quota_.Take("a", 1, &c);
  ASSERT_TRUE(shortage.has_value());
  EXPECT_TRUE(shortage->of_principal);
  EXPECT_EQ(shortage->held, 60u);
  EXPECT_EQ(shortage->limit, 60u);
  EXPECT_TRUE(Takes("b", 40, &b));
  shortage = quota_.Take("c", 1, &c);
  ASSERT_TRUE(shortage.has_value());
  EXPECT_FALSE(shortage->of_principal);
  EXPECT_EQ(shortage->held, 100u);
  EXPECT_EQ(shortage->limit, 100u);
  EXPECT_EQ(quota_.held(), 100u);
}

TEST_F(QuotaTest, ATicketComesBackWholeOrInPart) {
  {
    Quota::Ticket ticket;
    ASSERT_TRUE(Takes("a", 50, &ticket));
    ticket.ShrinkTo(30);
    EXPECT_EQ(quota_.held(), 30u);
    ticket.ShrinkTo(50);  // Does not grow again.
    EXPECT_EQ(quota_.held(), 30u);
    Quota::Ticket moved = std::move(ticket);
    EXPECT_EQ(quota_.held(), 30u);
    ASSERT_TRUE(Takes("a", 10, &moved));  // In place of what it had.
    EXPECT_EQ(quota_.held(), 10u);
  }
  EXPECT_EQ(quota_.held(), 0u);
  Quota::Ticket all;
  EXPECT_TRUE(Takes("a", 60, &all));
}

TEST_F(QuotaTest, MoreThanOneMayEverHaveIsNeverTaken) {
  Quota::Ticket ticket;
  EXPECT_EQ(quota_.most_of_one(), 60u);
  EXPECT_FALSE(Takes("a", 61, &ticket));
  EXPECT_FALSE(Takes("a", ~size_t{0}, &ticket));
  EXPECT_TRUE(Takes("a", 60, &ticket));
}

TEST_F(QuotaTest, WhatIsThereAlreadyCountsThoughItIsTooMuch) {
  Quota::Ticket much = quota_.TakeAnyway("a", 150);
  EXPECT_EQ(quota_.held(), 150u);
  EXPECT_TRUE(quota_.ShortOf("b", 0).has_value());
  much.ShrinkTo(90);
  EXPECT_TRUE(quota_.ShortOf("a", 0).has_value());
  EXPECT_FALSE(quota_.ShortOf("b", 10).has_value());
}

TEST_F(QuotaTest, BeforeAnythingCameBackTheWaitIsTheGuess) {
  Quota::Ticket all, one;
  ASSERT_TRUE(Takes("a", 60, &all));
  EXPECT_NEAR(absl::ToDoubleSeconds(quota_.Take("a", 60, &one)->wait), 3, 1e-6);
  EXPECT_NEAR(absl::ToDoubleSeconds(quota_.Take("a", 20, &one)->wait), 1, 1e-6);
}

// Each second somebody comes with 10, and each keeps them for 6 seconds.
TEST_F(QuotaTest, TheWaitIsUntilAsMuchAsIsMissingHasComeBack) {
  std::deque<Quota::Ticket> held;
  for (int second = 0; second < 200; ++second) {
    if (held.size() == 6) held.pop_front();
    ASSERT_TRUE(Takes("a", 10, &held.emplace_back()));
    clock_.Advance(absl::Seconds(1));
  }
  Quota::Ticket more;
  EXPECT_NEAR(absl::ToDoubleSeconds(quota_.Take("a", 20, &more)->wait), 2, 0.1);
  // A pause in which nothing is held says nothing about how long things are.
  while (!held.empty()) {
    held.pop_front();
    clock_.Advance(absl::Seconds(1));
  }
  clock_.Advance(absl::Hours(1));
  ASSERT_TRUE(Takes("a", 60, &more));
  Quota::Ticket another;
  EXPECT_NEAR(absl::ToDoubleSeconds(quota_.Take("a", 60, &another)->wait), 6, 0.5);
}

TEST_F(QuotaTest, ThreadsTogetherStayWithinIt) {
  Quota quota({10, 7}, &clock_, absl::Seconds(1));
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&quota, i] {
      for (int round = 0; round < 10'000; ++round) {
        Quota::Ticket ticket;
        quota.Take(i % 2 == 0 ? "a" : "b", 4, &ticket);
        EXPECT_LE(quota.held(), 8u);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(quota.held(), 0u);
}

}  // namespace
}  // namespace hmar
