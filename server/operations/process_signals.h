#ifndef HMAR_SERVER_OPERATIONS_PROCESS_SIGNALS_H_
#define HMAR_SERVER_OPERATIONS_PROCESS_SIGNALS_H_

#include <functional>
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

// What signals do, received by a thread in sigwait rather than by handlers, so that it is ordinary
// code. SIGTERM and SIGINT: the first asks the program to stop, the second ends it at once with
// kSecondSignalExitCode. SIGHUP, SIGUSR1 and SIGUSR2, each of which would kill a process that does
// not know it: what OnOthers says. SIGPIPE is ignored: a reader that left is an error of the write.
class ProcessSignals {
 public:
  static constexpr int kSecondSignalExitCode = 4;

  // Blocks the signals in this thread and those it makes later: construct before any other thread.
  ProcessSignals();
  ~ProcessSignals();

  // What SIGHUP, SIGUSR1 and SIGUSR2 do from now on: `act` runs on the watcher's thread and must
  // not block. Nothing until it is called, and after it is called with null. When this returns no
  // earlier `act` runs any more.
  void OnOthers(std::function<void(int signal)> act);

  // Asks the program to stop for another reason. The first reason stands. Thread-safe.
  void Stop(StopReason reason);

  // Waits for a reason.
  StopReason Await();

 private:
  void Watch();
  void Act(int signal);

  absl::Mutex mutex_;
  std::optional<StopReason> reason_ ABSL_GUARDED_BY(mutex_);
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Mutex act_mutex_;  // Held while act_ runs.
  std::function<void(int)> act_ ABSL_GUARDED_BY(act_mutex_);
  std::thread watcher_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_OPERATIONS_PROCESS_SIGNALS_H_
