#ifndef HMAR_SERVER_SCHEDULING_LISTENER_OUTBOX_H_
#define HMAR_SERVER_SCHEDULING_LISTENER_OUTBOX_H_

#include <deque>
#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/scheduling/work.h"

namespace hmar {

// The calls that one request's listener is still to get: made one at a time and in the order in
// which they were posted, whichever threads post and deliver, and never under a lock. Thread-safe.
class ListenerOutbox {
 public:
  using Call = std::function<void(WorkListener&)>;

  explicit ListenerOutbox(std::shared_ptr<WorkListener> listener);

  // Puts a call in line. Never blocks on the listener: safe with the poster's own locks held.
  void Post(Call call);

  // Makes the calls in line, unless another thread is at it, which will make them after its own.
  // The listener may come back to this object. Call without locks.
  void Deliver();

  // Drops what is in line and lets go of the listener: no call begins after this returns.
  void Close();

  // No call is in line or under way.
  bool idle() const;

 private:
  mutable absl::Mutex mutex_;
  std::shared_ptr<WorkListener> listener_ ABSL_GUARDED_BY(mutex_);  // Null once closed.
  std::deque<Call> calls_ ABSL_GUARDED_BY(mutex_);
  bool delivering_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULING_LISTENER_OUTBOX_H_
