#include "server/calls/encoder_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;

constexpr size_t kPlenty = 1 << 20;

// What ran, in order. Thread-safe.
class Journal {
 public:
  EncoderPool::PreviewJob Preview(const std::string& name) {
    return [this, name](uint32_t skipped) { Add(absl::StrCat(name, " -", skipped)); };
  }
  EncoderPool::FinalJob Final(const std::string& name) {
    return [this, name] { Add(name); };
  }
  std::vector<std::string> entries() const {
    absl::MutexLock lock(&mutex_);
    return entries_;
  }

 private:
  void Add(const std::string& entry) {
    absl::MutexLock lock(&mutex_);
    entries_.push_back(entry);
  }

  mutable absl::Mutex mutex_;
  std::vector<std::string> entries_;
};

// Keeps one of the pool's threads busy until Release; the thread may leave later than this.
class Blocker {
 public:
  explicit Blocker(EncoderPool* pool) {
    pool->PostFinal(pool->NewStrand(), 0, [state = state_] {
      state->running.Notify();
      state->released.WaitForNotification();
    });
    state_->running.WaitForNotification();
  }
  void Release() { state_->released.Notify(); }

 private:
  struct State {
    absl::Notification running;
    absl::Notification released;
  };
  const std::shared_ptr<State> state_ = std::make_shared<State>();
};

TEST(EncoderPoolTest, AStrandsJobsRunInTheOrderTheyWerePosted) {
  Journal journal;
  {
    EncoderPool pool({4, kPlenty});
    const auto strand = pool.NewStrand();
    pool.PostPreview(strand, 10, journal.Preview("0"));
    pool.PostPreview(strand, 10, journal.Preview("1"));
    pool.PostFinal(strand, 10, journal.Final("final"));
  }
  EXPECT_THAT(journal.entries(), ElementsAre("0 -0", "1 -0", "final"));
}

TEST(EncoderPoolTest, DifferentStrandsRunSideBySide) {
  absl::Notification a_runs;
  absl::Notification b_runs;
  bool a_met_b = false;
  bool b_met_a = false;
  {
    EncoderPool pool({2, kPlenty});
    pool.PostFinal(pool.NewStrand(), 1, [&] {
      a_runs.Notify();
      a_met_b = b_runs.WaitForNotificationWithTimeout(absl::Seconds(30));
    });
    pool.PostFinal(pool.NewStrand(), 1, [&] {
      b_runs.Notify();
      b_met_a = a_runs.WaitForNotificationWithTimeout(absl::Seconds(30));
    });
  }
  EXPECT_TRUE(a_met_b);
  EXPECT_TRUE(b_met_a);
}

TEST(EncoderPoolTest, ThreadsTakeAJobOfEachStrandInTurn) {
  Journal journal;
  {
    EncoderPool pool({1, kPlenty});
    Blocker blocker(&pool);
    const auto a = pool.NewStrand();
    const auto b = pool.NewStrand();
    pool.PostPreview(a, 1, journal.Preview("a0"));
    pool.PostPreview(a, 1, journal.Preview("a1"));
    pool.PostFinal(a, 1, journal.Final("a"));
    pool.PostFinal(b, 1, journal.Final("b"));
    blocker.Release();
  }
  EXPECT_THAT(journal.entries(), ElementsAre("a0 -0", "b", "a1 -0", "a"));
}

TEST(EncoderPoolTest, BehindItsBoundAnImagesNewestPreviewReplacesItsWaitingOnes) {
  Journal journal;
  {
    EncoderPool pool({1, 25});
    Blocker blocker(&pool);
    const auto a = pool.NewStrand();
    const auto b = pool.NewStrand();
    EXPECT_EQ(pool.PostPreview(a, 10, journal.Preview("a0")), 0u);
    EXPECT_EQ(pool.PostPreview(a, 10, journal.Preview("a1")), 0u);
    EXPECT_EQ(pool.PostPreview(a, 10, journal.Preview("a2")), 2u);
    EXPECT_EQ(pool.PostPreview(b, 10, journal.Preview("b0")), 0u);
    EXPECT_EQ(pool.PostPreview(a, 10, journal.Preview("a3")), 1u);
    pool.PostFinal(a, 10, journal.Final("a"));
    EXPECT_EQ(pool.preview_bytes(), 20u);
    blocker.Release();
  }
  EXPECT_THAT(journal.entries(), ElementsAre("a3 -3", "b0 -0", "a"));
}

TEST(EncoderPoolTest, PreviewsThatHaveNoRoomAreDroppedAndCountedInTheNext) {
  Journal journal;
  absl::Notification waiting_ran;
  EncoderPool pool({1, 25});
  const auto a = pool.NewStrand();
  const auto b = pool.NewStrand();
  {
    Blocker blocker(&pool);
    EXPECT_EQ(pool.PostPreview(a, 20, journal.Preview("a0")), 0u);
    EXPECT_EQ(pool.PostPreview(b, 10, journal.Preview("b0")), 1u);
    EXPECT_EQ(pool.PostPreview(b, 10, journal.Preview("b1")), 1u);
    EXPECT_EQ(pool.preview_bytes(), 20u);
    blocker.Release();
  }
  pool.PostFinal(pool.NewStrand(), 0, [&] { waiting_ran.Notify(); });
  waiting_ran.WaitForNotification();
  EXPECT_EQ(pool.PostPreview(b, 99, journal.Preview("b2")), 0u);  // Alone any fits.
  pool.PostFinal(b, 10, journal.Final("b"));
  absl::Notification last;
  pool.PostFinal(b, 0, [&] { last.Notify(); });
  last.WaitForNotification();
  EXPECT_THAT(journal.entries(), ElementsAre("a0 -0", "b2 -2", "b"));
}

TEST(EncoderPoolTest, FinalsAreKeptWhateverWaits) {
  Journal journal;
  {
    EncoderPool pool({1, 0});
    Blocker blocker(&pool);
    const auto strand = pool.NewStrand();
    for (int i = 0; i < 3; ++i) pool.PostFinal(strand, 1000, journal.Final("final"));
    blocker.Release();
  }
  EXPECT_THAT(journal.entries(), ElementsAre("final", "final", "final"));
}

TEST(EncoderPoolTest, BytesAreGivenBackOnceAJobHasRun) {
  Journal journal;
  EncoderPool pool({1, kPlenty});
  const auto strand = pool.NewStrand();
  pool.PostPreview(strand, 10, journal.Preview("0"));
  pool.PostFinal(strand, 10, journal.Final("1"));
  absl::Notification last;
  pool.PostFinal(strand, 0, [&] { last.Notify(); });
  last.WaitForNotification();
  EXPECT_EQ(pool.preview_bytes(), 0u);
}

}  // namespace
}  // namespace hmar
