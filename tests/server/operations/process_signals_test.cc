#include "server/operations/process_signals.h"

#include <signal.h>
#include <unistd.h>

#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Signals in the order of their arrival.
class Heard {
 public:
  void Add(int signal) {
    absl::MutexLock lock(&mutex_);
    signals_.push_back(signal);
  }

  std::vector<int> Await(size_t count) {
    const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return signals_.size() >= count;
    };
    absl::MutexLock lock(&mutex_, absl::Condition(&enough));
    return signals_;
  }

 private:
  absl::Mutex mutex_;
  std::vector<int> signals_ ABSL_GUARDED_BY(mutex_);
};

TEST(ProcessSignalsTest, ASignalAsksToStopWithExitCode0) {
  ProcessSignals signals;
  kill(getpid(), SIGTERM);
  const StopReason reason = signals.Await();
  EXPECT_EQ(reason.exit_code, 0);
  EXPECT_THAT(reason.what, HasSubstr("Terminated"));
}

TEST(ProcessSignalsTest, TheFirstReasonStands) {
  ProcessSignals signals;
  signals.Stop({3, "broken"});
  signals.Stop({5, "lost"});
  EXPECT_EQ(signals.Await().exit_code, 3);
}

TEST(ProcessSignalsTest, OthersDoWhatTheyAreToldAndDoNotStop) {
  ProcessSignals signals;
  Heard heard;
  signals.OnOthers([&heard](int signal) { heard.Add(signal); });
  int count = 0;
  for (const int signal : {SIGHUP, SIGUSR1, SIGUSR2, SIGUSR1}) {
    kill(getpid(), signal);
    heard.Await(++count);
  }
  EXPECT_THAT(heard.Await(4), ElementsAre(SIGHUP, SIGUSR1, SIGUSR2, SIGUSR1));
  signals.OnOthers(nullptr);
  kill(getpid(), SIGHUP);  // Nothing: not even the end of this process.
  signals.Stop({3, "broken"});
  EXPECT_EQ(signals.Await().exit_code, 3);
}

TEST(ProcessSignalsTest, ASecondSignalEndsTheProcess) {
  EXPECT_EXIT(
      {
        ProcessSignals signals;
        kill(getpid(), SIGINT);
        signals.Await();
        kill(getpid(), SIGTERM);
        pause();
      },
      ::testing::ExitedWithCode(ProcessSignals::kSecondSignalExitCode), "");
}

TEST(ProcessSignalsTest, AWriteWithoutAReaderIsAnError) {
  ProcessSignals signals;
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  EXPECT_EQ(write(ends[1], "x", 1), -1);
  close(ends[1]);
}

}  // namespace
}  // namespace hmar
