#ifndef HMAR_SERVER_EXIT_GUARD_H_
#define HMAR_SERVER_EXIT_GUARD_H_

#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/operations/logging.h"
#include "server/operations/process_signals.h"

namespace hmar {

// Ends the process, without destructors or exit handlers, once its log is written.
[[noreturn]] void EndAtOnce(int exit_code, Logging* logging);

// Sees to it that the process ends when there is a reason to, whatever hangs: an engine cannot be
// interrupted, neither while it loads a model nor in a step. A thread of its own waits for the
// reason, as main does. If that comes while the models load, nobody has been promised anything, and
// the process ends there and then, with the reason's code. Otherwise main ends the server; if that
// has not ended in time, the process ends without it, with kStuckExitCode where the reason's is 0.
// What breaks after a signal (Fail) cuts that time short.
class ExitGuard {
 public:
  static constexpr int kStuckExitCode = 3;
  // Beyond what is given to requests: for threads to end and devices to be let go of.
  static constexpr absl::Duration kGrace = absl::Seconds(10);

  // `drain` is for requests that were accepted, after a signal, and for the delay before that. Both
  // outlive the guard.
  ExitGuard(ProcessSignals* signals, Logging* logging, absl::Duration drain);
  // The server is gone, or never came to be.
  ~ExitGuard();

  // The models are loaded: main answers for the rest.
  void Loaded();

  // Something broke; whatever the reason to stop was, the process is to end soon, and with this
  // code (not 0) if main does not. The first call counts. Thread-safe.
  void Fail(int exit_code);

 private:
  void Watch();

  ProcessSignals* const signals_;
  Logging* const logging_;
  const absl::Duration drain_;
  absl::Mutex mutex_;
  bool loading_ ABSL_GUARDED_BY(mutex_) = true;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
  int failure_ ABSL_GUARDED_BY(mutex_) = 0;  // Fail's exit code.
  std::thread thread_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_EXIT_GUARD_H_
