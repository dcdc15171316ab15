#include "server/calls/upload_readers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "tests/fakes/fake_clock.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;

// Of 1,600 bytes a large upload may take 1,200 and a small one 100.
constexpr size_t kBytes = 1600;
constexpr size_t kSmall = 100;
constexpr size_t kLarge = 1200;

// What was read, in order. Thread-safe.
class Journal {
 public:
  UploadReaders::Upload Upload(const std::string& client, size_t bytes, const std::string& name) {
    return {client, bytes, [this, name] {
              absl::MutexLock lock(&mutex_);
              names_.push_back(name);
              return true;
            }};
  }
  // Returns once so many were read.
  std::vector<std::string> Await(size_t count) {
    const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return names_.size() >= count;
    };
    absl::MutexLock lock(&mutex_, absl::Condition(&enough));
    return names_;
  }

 private:
  absl::Mutex mutex_;
  std::vector<std::string> names_ ABSL_GUARDED_BY(mutex_);
};

// An upload that is being read until Release.
class Blocker {
 public:
  Blocker(UploadReaders* readers, size_t bytes)
      : ticket_(readers->Post({"blocker", bytes, [state = state_] {
                                 state->running.Notify();
                                 state->released.WaitForNotification();
                                 return true;
                               }})) {}
  void AwaitRunning() { state_->running.WaitForNotification(); }
  bool running() const { return state_->running.HasBeenNotified(); }
  void Release() { state_->released.Notify(); }
  const UploadReaders::Ticket& ticket() const { return ticket_; }

 private:
  struct State {
    absl::Notification running;
    absl::Notification released;
  };
  const std::shared_ptr<State> state_ = std::make_shared<State>();
  const UploadReaders::Ticket ticket_;
};

TEST(UploadReadersTest, ASmallUploadWaitsForNoLargeOne) {
  Journal journal;
  UploadReaders readers({2, kBytes});
  Blocker first(&readers, 1000), second(&readers, kSmall + 1);
  first.AwaitRunning();
  readers.Post(journal.Upload("other", kSmall, "small"));
  EXPECT_THAT(journal.Await(1), ElementsAre("small"));
  EXPECT_FALSE(second.running());  // One thread takes no large upload, though there is room.
  first.Release();
  second.AwaitRunning();
  second.Release();
}

TEST(UploadReadersTest, LargeUploadsAreDecodedTogetherOnlyAsFarAsTheyFit) {
  Journal journal;
  UploadReaders readers({4, kBytes});
  Blocker first(&readers, 700), second(&readers, 600), third(&readers, 200);
  first.AwaitRunning();
  readers.Post(journal.Upload("other", kSmall, "small"));
  journal.Await(1);
  EXPECT_FALSE(second.running());
  EXPECT_FALSE(third.running());  // It would fit, but the one before it would wait for ever.
  first.Release();
  second.AwaitRunning();
  third.AwaitRunning();
  second.Release();
  third.Release();
}

// Uploads of all sizes by many readers: their bytes never exceed the bound of their lane.
TEST(UploadReadersTest, WhateverIsPostedTheBoundsHold) {
  absl::Mutex mutex;
  size_t small = 0, large = 0, most_small = 0, most_large = 0;
  Journal done;
  {
    UploadReaders readers({8, kBytes});
    for (size_t i = 0; i < 500; ++i) {
      const size_t bytes = i % 3 == 0 ? 101 + i * 37 % 1100 : 1 + i * 13 % kSmall;
      size_t* held = bytes > kSmall ? &large : &small;
      size_t* most = bytes > kSmall ? &most_large : &most_small;
      auto note = std::make_shared<UploadReaders::Upload>(done.Upload("", 0, ""));
      readers.Post({absl::StrCat("client ", i % 7), bytes, [&mutex, held, most, bytes, note] {
                      {
                        absl::MutexLock lock(&mutex);
                        *held += bytes;
                        *most = std::max(*most, *held);
                      }
                      {
                        absl::MutexLock lock(&mutex);
                        *held -= bytes;
                      }
                      return note->read();
                    }});
    }
    done.Await(500);
  }
  EXPECT_LE(most_small, kBytes / 4);
  EXPECT_LE(most_large, kLarge);
  EXPECT_GT(most_large, 0u);
}

TEST(UploadReadersTest, ClientsTakeTurns) {
  Journal journal;
  UploadReaders readers({1, kBytes});
  Blocker blocker(&readers, kSmall);
  blocker.AwaitRunning();
  for (int i = 0; i < 4; ++i) {
    readers.Post(journal.Upload("greedy", kLarge, absl::StrCat("greedy ", i)));
  }
  readers.Post(journal.Upload("modest", kLarge, "modest 0"));
  readers.Post(journal.Upload("modest", kLarge, "modest 1"));
  blocker.Release();
  EXPECT_THAT(journal.Await(6),
              ElementsAre("greedy 0", "modest 0", "greedy 1", "modest 1", "greedy 2", "greedy 3"));
}

TEST(UploadReadersTest, SmallAndLargeUploadsTakeTurnsSoThatNeitherStarves) {
  Journal journal;
  UploadReaders readers({1, kBytes});
  Blocker blocker(&readers, kSmall);
  blocker.AwaitRunning();
  for (int i = 0; i < 3; ++i) {
    readers.Post(journal.Upload("a", kLarge, "large"));
    readers.Post(journal.Upload("a", kSmall, "small"));
  }
  blocker.Release();
  EXPECT_THAT(journal.Await(6), ElementsAre("large", "small", "large", "small", "large", "small"));
}

TEST(UploadReadersTest, AForgottenUploadIsNotReadAndHoldsNothing) {
  Journal journal;
  UploadReaders readers({1, kBytes});
  Blocker blocker(&readers, kSmall);
  blocker.AwaitRunning();
  auto held = std::make_shared<int>();
  std::weak_ptr<int> watched = held;
  const auto ticket = readers.Post({"a", kSmall, [held = std::move(held)] { return true; }});
  EXPECT_FALSE(watched.expired());
  EXPECT_TRUE(readers.Forget(ticket));
  EXPECT_TRUE(watched.expired());
  EXPECT_FALSE(readers.Forget(ticket));
  EXPECT_FALSE(readers.Forget(blocker.ticket()));  // It is being read.
  readers.Post(journal.Upload("a", kSmall, "next"));
  blocker.Release();
  EXPECT_THAT(journal.Await(1), ElementsAre("next"));
}

TEST(UploadReadersTest, StoppedItCallsAllThatWaitsToGiveUp) {
  Journal journal;
  UploadReaders readers({2, kBytes});
  Blocker running(&readers, kLarge);
  running.AwaitRunning();
  readers.Post(journal.Upload("a", kLarge, "waits for room"));
  EXPECT_FALSE(readers.stopping());
  readers.Stop();
  EXPECT_TRUE(readers.stopping());
  EXPECT_THAT(journal.Await(1), ElementsAre("waits for room"));
  readers.Post(journal.Upload("a", kLarge, "late"));
  EXPECT_THAT(journal.Await(2), ElementsAre("waits for room", "late"));
  running.Release();
}

TEST(UploadReadersTest, TheBacklogsTimeIsMeasured) {
  FakeClock clock;
  Journal journal;
  UploadReaders readers({1, kBytes, &clock});
  EXPECT_EQ(readers.backlog_time(), absl::ZeroDuration());
  for (int i = 0; i < 40; ++i) {  // Each 1 s for 100 bytes: whatever the guess was, it is gone.
    auto note = std::make_shared<UploadReaders::Upload>(journal.Upload("a", kSmall, "a"));
    readers.Post({"a", kSmall, [&clock, note] {
                    clock.Advance(absl::Seconds(1));
                    return note->read();
                  }});
    journal.Await(i + 1);
  }
  Blocker blocker(&readers, kSmall);
  blocker.AwaitRunning();
  Blocker waits(&readers, 3 * kSmall);
  EXPECT_NEAR(absl::ToDoubleSeconds(readers.backlog_time()), 4, 0.01);
  EXPECT_TRUE(readers.Forget(waits.ticket()));
  EXPECT_NEAR(absl::ToDoubleSeconds(readers.backlog_time()), 1, 0.01);
  blocker.Release();
}

}  // namespace
}  // namespace hmar
