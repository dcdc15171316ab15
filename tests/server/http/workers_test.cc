#include "server/http/workers.h"

#include <gtest/gtest.h>

#include <map>

#include "absl/synchronization/notification.h"
#include "tests/server/http/socket_pair.h"

namespace hmar {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(60);

// Counts who is being answered, and lets nobody go until it is told to.
class Office {
 public:
  class Clerk final : public Answerer {
   public:
    explicit Clerk(Office* office) : office_(*office) {}
    void Answer(std::unique_ptr<Connection> connection) override { office_.Serve(*connection); }

   private:
    Office& office_;
  };

  void Serve(const Connection& connection) {
    absl::MutexLock lock(&mutex_);
    ++inside_[connection.ruling.client];
    ++count_;
    mutex_.Await(absl::Condition(&open_));
    --inside_[connection.ruling.client];
    --count_;
    ++served_;
  }

  bool AwaitInside(int count) {
    const auto there = [this, count]()
                           ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return count_ == count; };
    absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(&there), kPatience);
  }

  bool AwaitServed(int count) {
    const auto there = [this, count]()
                           ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return served_ == count; };
    absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(&there), kPatience);
  }

  int Inside(const std::string& client) {
    absl::MutexLock lock(&mutex_);
    return inside_[client];
  }

  void Open() {
    absl::MutexLock lock(&mutex_);
    open_ = true;
  }

 private:
  absl::Mutex mutex_;
  std::map<std::string, int> inside_ ABSL_GUARDED_BY(mutex_);
  int count_ ABSL_GUARDED_BY(mutex_) = 0;
  int served_ ABSL_GUARDED_BY(mutex_) = 0;
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
};

std::unique_ptr<Connection> Request(const std::string& client, bool generates) {
  auto connection = std::make_unique<Connection>();
  connection->ruling.client = client;
  connection->ruling.generates = generates;
  return connection;
}

class WorkersTest : public testing::Test {
 protected:
  Workers& Make(size_t threads) {
    WorkersOptions options;
    options.threads = threads;
    workers_ = std::make_unique<Workers>(
        options, [this] { return std::make_unique<Office::Clerk>(&office_); });
    return *workers_;
  }
  ~WorkersTest() override { office_.Open(); }

  Office office_;
  std::unique_ptr<Workers> workers_;
};

TEST_F(WorkersTest, OneClientHasHalfOfThem) {
  Workers& workers = Make(8);
  for (int i = 0; i < 8; ++i) workers.Post(Request("loud", true));
  ASSERT_TRUE(office_.AwaitInside(4));
  workers.Post(Request("quiet", false));
  ASSERT_TRUE(office_.AwaitInside(5));
  EXPECT_EQ(office_.Inside("loud"), 4);
  EXPECT_EQ(office_.Inside("quiet"), 1);
  office_.Open();
  EXPECT_TRUE(office_.AwaitServed(9));
}

TEST_F(WorkersTest, ThoseThatWaitForImagesLeaveSomeForTheOthers) {
  Workers& workers = Make(8);
  EXPECT_EQ(workers.most_generating(), 7u);
  for (int i = 0; i < 12; ++i)
    workers.Post(Request(std::string(1, static_cast<char>('a' + i)), true));
  ASSERT_TRUE(office_.AwaitInside(7));
  workers.Post(Request("health", false));
  ASSERT_TRUE(office_.AwaitInside(8));
  EXPECT_EQ(office_.Inside("health"), 1);
  office_.Open();
  EXPECT_TRUE(office_.AwaitServed(13));
}

TEST_F(WorkersTest, AShortAnswerDoesNotWaitForItsClientsPictures) {
  Workers& workers = Make(8);
  for (int i = 0; i < 6; ++i) workers.Post(Request("loud", true));
  ASSERT_TRUE(office_.AwaitInside(4));
  auto refused = Request("loud", true);
  refused->ruling.status = absl::ResourceExhaustedError("no room");
  workers.Post(std::move(refused));
  ASSERT_TRUE(office_.AwaitInside(5));
  workers.Post(Request("loud", false));  // But one short one alone, so that others have theirs.
  workers.Post(Request("quiet", false));
  ASSERT_TRUE(office_.AwaitInside(6));
  EXPECT_EQ(office_.Inside("quiet"), 1);
}

TEST_F(WorkersTest, TheLineIsBoundedForEachAndForAll) {
  Workers& workers = Make(4);
  for (const char* client : {"a", "b"}) {
    for (int i = 0; i < 4; ++i) workers.Post(Request(client, true));
  }
  ASSERT_TRUE(office_.AwaitInside(3));  // One thread is for others.
  EXPECT_FALSE(workers.IsFull("c"));
  const auto fill = [&](const char* client) {
    int posted = 0;
    for (; !workers.IsFull(client) && posted < 100; ++posted) workers.Post(Request(client, true));
    return posted;
  };
  const int more = fill("a") + fill("b");
  EXPECT_EQ(8 + more - 3, 8) << "in line";
  EXPECT_TRUE(workers.IsFull("c"));
  office_.Open();
  EXPECT_TRUE(office_.AwaitServed(8 + more));
  EXPECT_FALSE(workers.IsFull("a"));
}

TEST_F(WorkersTest, OneAloneServesEverybody) {
  Workers& workers = Make(1);
  office_.Open();
  workers.Post(Request("a", true));
  workers.Post(Request("b", false));
  EXPECT_TRUE(office_.AwaitServed(2));
}

TEST_F(WorkersTest, WhatIsInLineAtTheEndIsDropped) {
  Workers& workers = Make(2);
  auto [client, channel] = ClientEnd::Connect();
  workers.Post(Request("a", true));
  ASSERT_TRUE(office_.AwaitInside(1));
  auto waiting = Request("a", true);
  waiting->channel = std::move(channel);
  workers.Post(std::move(waiting));
  std::thread stop([&] { workers.Stop(); });
  EXPECT_TRUE(client->AwaitEnd());
  office_.Open();
  stop.join();
  EXPECT_TRUE(office_.AwaitServed(1));
}

}  // namespace
}  // namespace hmar
