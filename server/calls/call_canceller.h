#ifndef HMAR_SERVER_CALLS_CALL_CANCELLER_H_
#define HMAR_SERVER_CALLS_CALL_CANCELLER_H_

#include <grpcpp/server_context.h>

#include <optional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace hmar {

// Cancels a call from a thread that is not one of its own. gRPC's context lives until OnDone
// returns, and OnDone may come at any time: so it first says so here. Thread-safe.
class CallCanceller {
 public:
  explicit CallCanceller(grpc::CallbackServerContext* call) : call_(call) {}

  // Cancels the call, unless it is done or being cancelled: a pending write fails, OnCancel comes.
  // gRPC may react inside this, so call it without locks.
  void Cancel() {
    grpc::CallbackServerContext* call = nullptr;
    {
      absl::MutexLock lock(&mutex_);
      if (call_ == nullptr || canceller_.has_value()) return;
      call = call_;
      canceller_ = std::this_thread::get_id();
    }
    call->TryCancel();
    absl::MutexLock lock(&mutex_);
    canceller_.reset();
  }

  // From OnDone: waits for a Cancel that another thread is in; there is none after it. (One that
  // this thread is in has called OnDone, and does not touch the context any more.)
  void Done() {
    const std::thread::id self = std::this_thread::get_id();  // Any thread may try the condition.
    const auto left_alone = [this, self]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return !canceller_.has_value() || *canceller_ == self;
    };
    absl::MutexLock lock(&mutex_, absl::Condition(&left_alone));
    call_ = nullptr;
  }

 private:
  absl::Mutex mutex_;
  grpc::CallbackServerContext* call_ ABSL_GUARDED_BY(mutex_);  // Null once done.
  std::optional<std::thread::id> canceller_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_CALL_CANCELLER_H_
