#include "server/base/byte_budget.h"

#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace hmar {
namespace {

TEST(ByteBudgetTest, SharesNeverExceedTheLimit) {
  ByteBudget budget(100);
  const auto sixty = budget.Take(60);
  EXPECT_TRUE(sixty.has_value());
  EXPECT_FALSE(budget.Take(41).has_value());
  EXPECT_TRUE(budget.Take(40).has_value());  // And given back.
  EXPECT_EQ(budget.held_bytes(), 60u);
}

TEST(ByteBudgetTest, AShareComesBackWholeOrInPart) {
  ByteBudget budget(100);
  {
    auto share = budget.Take(90);
    share->ShrinkTo(30);
    EXPECT_EQ(budget.held_bytes(), 30u);
    share->ShrinkTo(50);  // Does not grow again.
    EXPECT_EQ(budget.held_bytes(), 30u);
    ByteBudget::Share moved = *std::move(share);
    share.reset();
    EXPECT_EQ(budget.held_bytes(), 30u);
    moved = *budget.Take(10);
    EXPECT_EQ(budget.held_bytes(), 10u);
  }
  EXPECT_EQ(budget.held_bytes(), 0u);
}

TEST(ByteBudgetTest, ARequestBeyondTheLimitNeverFits) {
  ByteBudget budget(100);
  EXPECT_FALSE(budget.Take(101).has_value());
  EXPECT_FALSE(budget.Take(~size_t{0}).has_value());
  EXPECT_TRUE(budget.Take(100).has_value());
}

TEST(ByteBudgetTest, ThreadsTogetherStayWithinIt) {
  ByteBudget budget(10);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&budget] {
      for (int round = 0; round < 10'000; ++round) {
        const auto share = budget.Take(4);
        EXPECT_LE(budget.held_bytes(), 10u);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(budget.held_bytes(), 0u);
}

}  // namespace
}  // namespace hmar
