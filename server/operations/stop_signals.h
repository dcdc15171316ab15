#ifndef HMAR_SERVER_OPERATIONS_STOP_SIGNALS_H_
#define HMAR_SERVER_OPERATIONS_STOP_SIGNALS_H_

#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace hmar {

// Why the program should end.
struct StopReason {
  int exit_code = 0;  // Of the program; 0: a signal asked, otherwise something broke.
  std::string what;
};

// SIGTERM and SIGINT, received by a thread in sigwait rather than by handlers, so that what they do
// is ordinary code. The first asks the program to stop, the second ends it at once with
// kSecondSignalExitCode.
class StopSignals {
 public:
  static constexpr int kSecondSignalExitCode = 4;

  // Blocks the signals in this thread and those it makes later: construct before any other thread.
  StopSignals();
  ~StopSignals();

  // Asks the program to stop for another reason. The first reason stands. Thread-safe.
  void Stop(StopReason reason);

  // Waits for a reason.
  StopReason Await();

 private:
  void Watch();

  absl::Mutex mutex_;
  std::optional<StopReason> reason_ ABSL_GUARDED_BY(mutex_);
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread watcher_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_OPERATIONS_STOP_SIGNALS_H_
