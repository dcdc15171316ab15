#include "server/scheduling/fair_queue.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const absl::Time kDue = absl::UnixEpoch();

// The first `n` in line.
std::vector<ImageId> Head(const FairQueue& queue, size_t n) {
  std::vector<ImageId> ids;
  queue.Walk([&](ImageId id, Flow*) {
    ids.push_back(id);
    return ids.size() < n;
  });
  return ids;
}

TEST(FairQueueTest, OnePrincipalsImagesGoByWhenTheyAreDueThenByAge) {
  FairQueue queue;
  queue.Push("a", 1, 1, kDue + absl::Seconds(2), 10);
  queue.Push("a", 1, 2, kDue + absl::Seconds(1), 10);
  queue.Push("a", 1, 3, kDue + absl::Seconds(1), 10);
  EXPECT_THAT(Head(queue, 9), ElementsAre(2, 3, 1));
  EXPECT_THAT(Head(queue, 2), ElementsAre(2, 3));
  EXPECT_EQ(queue.oldest(), 1u);
}

TEST(FairQueueTest, ASlotGoesToWhoHasTheFewestInFlight) {
  FairQueue queue;
  for (ImageId id = 1; id <= 4; ++id) queue.Push("greedy", 1, id, kDue, 10);
  Flow* greedy = queue.Push("greedy", 1, 5, kDue, 10);
  queue.Start(greedy, 1, kDue);
  queue.Push("small", 1, 6, kDue, 10);
  queue.Push("small", 1, 7, kDue, 10);
  EXPECT_THAT(Head(queue, 9), ElementsAre(6, 2, 7, 3, 4, 5));
  queue.RemoveInFlight(greedy, 10);
  EXPECT_THAT(Head(queue, 3), ElementsAre(2, 6, 3));
}

TEST(FairQueueTest, SlotsAreSharedByWeight) {
  FairQueue queue;
  for (ImageId id = 1; id <= 8; ++id)
    queue.Push(id % 2 == 0 ? "two" : "one", id % 2 == 0 ? 2 : 1, id, kDue, 1);
  EXPECT_THAT(Head(queue, 6), ElementsAre(1, 2, 4, 3, 6, 8));
}

TEST(FairQueueTest, OfThoseWithAsManyInFlightTheLeastServedGoesFirst) {
  FairQueue queue;
  Flow* a = queue.Push("a", 1, 1, kDue, 10);
  Flow* b = queue.Push("b", 1, 2, kDue, 10);
  queue.Charge(a, 2);
  queue.Charge(b, 1);
  EXPECT_THAT(Head(queue, 2), ElementsAre(2, 1));
}

TEST(FairQueueTest, ANewcomerStartsAtTheClock) {
  FairQueue queue;
  Flow* a = queue.Push("a", 1, 1, kDue, 10);
  queue.Charge(a, 7);
  queue.Lead(*a);
  EXPECT_EQ(queue.Push("b", 1, 2, kDue, 10)->tag, 7);
}

// Else a principal that sends one image after the other would never pay for any.
TEST(FairQueueTest, WhoGoesAndComesBackStillOwesWhatItTookBeforeTheClock) {
  FairQueue queue;
  queue.Push("a", 1, 1, kDue, 10);
  Flow* b = queue.Push("b", 1, 2, kDue, 10);
  queue.Start(b, 2, kDue);
  queue.Charge(b, 5);
  queue.RemoveInFlight(b, 10);
  EXPECT_EQ(queue.principals(), 2u);
  EXPECT_EQ(queue.Push("b", 1, 3, kDue, 10)->tag, 5);
}

TEST(FairQueueTest, OnceNobodyIsLeftNobodyOwesAnything) {
  FairQueue queue;
  Flow* a = queue.Push("a", 1, 1, kDue, 10);
  queue.Charge(a, 5);
  queue.RemoveWaiting(a, 1, kDue, 10);
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.principals(), 0u);
  EXPECT_EQ(queue.Push("a", 1, 2, kDue, 10)->tag, queue.Push("b", 1, 3, kDue, 10)->tag);
}

TEST(FairQueueTest, AManyHeadedClientLeavesABoundedNumberOfTags) {
  FairQueue queue;
  queue.Push("stays", 1, 1, kDue, 10);
  for (ImageId id = 2; id < 20'000; ++id) {
    Flow* flow = queue.Push(absl::StrCat("head ", id), 1, id, kDue, 10);
    queue.Charge(flow, 1);
    queue.RemoveWaiting(flow, id, kDue, 10);
  }
  EXPECT_LE(queue.principals(), 4097u);
}

// What runs before one's own.

TEST(FairQueueTest, AheadIsAsMuchOfEachOthersAsOneHasOneself) {
  FairQueue queue;
  for (ImageId id = 1; id <= 100; ++id) queue.Push("greedy", 1, id, kDue, 10);
  queue.Push("modest", 1, 101, kDue, 10);
  const Backlog ahead = queue.Ahead("new", 1, 30, {}, {});
  EXPECT_DOUBLE_EQ(ahead.rows, 40);  // 30 of the greedy one's, all of the modest one's.
  EXPECT_DOUBLE_EQ(ahead.images, 4);
  EXPECT_DOUBLE_EQ(queue.Ahead("new", 2, 30, {}, {}).rows, 25);
  EXPECT_DOUBLE_EQ(queue.Ahead("greedy", 1, 1000, {}, {}).rows, 10);
  EXPECT_DOUBLE_EQ(queue.Own("greedy").rows, 1000);
  EXPECT_DOUBLE_EQ(queue.Own("new").rows, 0);
}

// Shares are of device seconds: who decodes much gets fewer images done.
TEST(FairQueueTest, AheadIsWhatCostsAsMuchAsOnesOwn) {
  FairQueue queue;
  for (ImageId id = 1; id <= 100; ++id) queue.Push("previews", 1, id, kDue, 10, {8, 0});
  const Prices prices{.row = 1, .picture = 10, .upload = 5};
  const Backlog ahead = queue.Ahead("plain", 1, 45, prices, {});
  EXPECT_DOUBLE_EQ(ahead.images, 0.5);  // An image costs 90.
  EXPECT_DOUBLE_EQ(ahead.rows, 5);
  EXPECT_DOUBLE_EQ(ahead.pictures, 4);
}

TEST(FairQueueTest, WhatComesMeanwhileIsAheadToo) {
  FairQueue queue;
  absl::Time now = kDue;
  ImageId id = 0;
  for (int second = 0; second < 100; ++second) {  // Two images a second, that wait for one.
    for (int i = 0; i < 2; ++i) queue.Push("steady", 1, ++id, kDue, 10, {}, now);
    now += absl::Seconds(1);
    Flow* flow = queue.Push("steady", 1, ++id, kDue, 0, {0, 0}, now);
    for (ImageId done = id - 2; done < id; ++done) queue.RemoveWaiting(flow, done, kDue, 10);
    if (second > 0) queue.RemoveWaiting(flow, id - 3, kDue, 0, {0, 0});
  }
  const auto ahead = [&](absl::Duration during) {
    return queue.Ahead("new", 1, 1000, {}, {during, now}).rows;
  };
  EXPECT_DOUBLE_EQ(ahead(absl::ZeroDuration()), 0);
  EXPECT_NEAR(ahead(absl::Seconds(5)), 100, 10);
  EXPECT_DOUBLE_EQ(ahead(absl::Seconds(500)), 1000);  // No more than its share.
  now += absl::Minutes(2);
  EXPECT_NEAR(ahead(absl::Seconds(5)), 0, 0.01);  // They have stopped coming.
}

TEST(FairQueueTest, AnUploadCountsUntilItsImageStarts) {
  FairQueue queue;
  Flow* a = queue.Push("a", 1, 1, kDue, 10, {2, 1});
  queue.Push("a", 1, 2, kDue, 10, {2, 1});
  queue.Start(a, 1, kDue, 1);
  EXPECT_DOUBLE_EQ(queue.backlog().uploads, 1);
  EXPECT_DOUBLE_EQ(queue.Own("a").pictures, 4);
  queue.RemoveInFlight(a, 10, 2);
  queue.RemoveWaiting(a, 2, kDue, 10, {2, 1});
  EXPECT_DOUBLE_EQ(queue.backlog().uploads, 0);
  EXPECT_DOUBLE_EQ(queue.backlog().pictures, 0);
}

TEST(FairQueueTest, AheadOfAThousandPrincipalsIsTakenFromAHundred) {
  FairQueue queue;
  for (ImageId id = 1; id <= 1000; ++id) queue.Push(absl::StrCat(id), 1, id, kDue, 10);
  EXPECT_DOUBLE_EQ(queue.Ahead("new", 1, 5, {}, {}).rows, 5000);
  EXPECT_DOUBLE_EQ(queue.Ahead("new", 1, 50, {}, {}).images, 1000);
}

TEST(FairQueueTest, RowsThatRanAreNotAheadAnyMore) {
  FairQueue queue;
  Flow* a = queue.Push("a", 1, 1, kDue, 10);
  queue.Start(a, 1, kDue);
  queue.Advance(a, 4);
  EXPECT_DOUBLE_EQ(queue.Ahead("b", 1, 100, {}, {}).rows, 6);
  EXPECT_EQ(queue.waiting(), 0u);
  queue.RemoveInFlight(a, 6);
  EXPECT_DOUBLE_EQ(queue.backlog().rows, 0);
  EXPECT_THAT(Head(queue, 3), IsEmpty());
}

}  // namespace
}  // namespace hmar
