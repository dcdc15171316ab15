#include "server/scheduling/listener_outbox.h"

#include <utility>

namespace hmar {

ListenerOutbox::ListenerOutbox(std::shared_ptr<WorkListener> listener)
    : listener_(std::move(listener)) {}

void ListenerOutbox::Post(Call call) {
  absl::MutexLock lock(&mutex_);
  if (listener_ != nullptr) calls_.push_back(std::move(call));
}

void ListenerOutbox::Deliver() {
  mutex_.Lock();
  if (delivering_) {
    mutex_.Unlock();
    return;
  }
  delivering_ = true;
  while (!calls_.empty()) {
    {
      const Call call = std::move(calls_.front());
      calls_.pop_front();
      const std::shared_ptr<WorkListener> listener = listener_;
      mutex_.Unlock();
      call(*listener);
    }  // Both die outside the lock: the listener may be ours alone by now.
    mutex_.Lock();
  }
  delivering_ = false;
  mutex_.Unlock();
}

void ListenerOutbox::Close() {
  std::shared_ptr<WorkListener> listener;
  std::deque<Call> calls;
  absl::MutexLock lock(&mutex_);  // Released first: what was dropped dies outside it.
  listener.swap(listener_);
  calls.swap(calls_);
}

bool ListenerOutbox::idle() const {
  absl::MutexLock lock(&mutex_);
  return calls_.empty() && !delivering_;
}

}  // namespace hmar
