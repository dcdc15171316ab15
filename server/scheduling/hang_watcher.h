#ifndef HMAR_SERVER_SCHEDULING_HANG_WATCHER_H_
#define HMAR_SERVER_SCHEDULING_HANG_WATCHER_H_

#include <cstddef>
#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/scheduling/step_watch.h"

namespace hmar {

// Notices a step that hangs, on a thread of its own: an engine's thread cannot say that it does not
// come back. The thread sleeps until a step under way would be overdue, so that it wakes once in
// StepWatchOptions::floor at most, whatever the rate of steps. If it is woken late itself, the
// process was stopped or starved, and steps get their time anew. Thread-safe.
class HangWatcher {
 public:
  // Called at most once, on the watcher's thread, without locks.
  using HungCallback = std::function<void(const OverdueStep&)>;

  // `clock` is never set back (SteadyClock) and outlives the watcher. Starts the thread.
  HangWatcher(const StepWatchOptions& options, size_t devices, const Clock* clock,
              HungCallback on_hung);
  // Joins the thread: waits for a callback under way.
  ~HangWatcher();

  // As StepWatch's, for the engine loops.
  void Begin(size_t device, absl::Duration expected);
  void End(size_t device);
  absl::Duration UnderWay(size_t device) const;

  // Calls back if a step is overdue. The thread's work; for tests.
  void Look();

 private:
  static constexpr absl::Duration kLate = absl::Seconds(1);

  void Watch();

  const Clock* const clock_;
  const HungCallback on_hung_;
  mutable absl::Mutex mutex_;
  absl::CondVar changed_;
  StepWatch watch_ ABSL_GUARDED_BY(mutex_);
  absl::Time wakes_at_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();  // The thread.
  bool called_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULING_HANG_WATCHER_H_
