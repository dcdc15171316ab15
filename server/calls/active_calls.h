#ifndef HMAR_SERVER_CALLS_ACTIVE_CALLS_H_
#define HMAR_SERVER_CALLS_ACTIVE_CALLS_H_

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace hmar {

// How many generating calls are open, for a server that wants to stop after the last. Thread-safe.
class ActiveCalls {
 public:
  void Begin() {
    absl::MutexLock lock(&mutex_);
    ++count_;
  }

  void End() {
    absl::MutexLock lock(&mutex_);
    --count_;
  }

  // Waits until none is open; false if that takes longer than `timeout`.
  bool AwaitNone(absl::Duration timeout) const {
    const auto none = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return count_ == 0; };
    absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(&none), timeout);
  }

 private:
  mutable absl::Mutex mutex_;
  int64_t count_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_ACTIVE_CALLS_H_
