#include "client/load/timers.h"

#include <utility>

namespace hmar::load {

Timers::Timers(const Stopwatch& clock) : clock_(clock), thread_([this] { RunAll(); }) {}

Timers::~Timers() {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
    news_.Signal();
  }
  thread_.join();
}

void Timers::At(absl::Duration time, std::function<void()> action) {
  absl::MutexLock lock(&mutex_);
  const auto added = actions_.emplace(time, std::move(action));
  if (added == actions_.begin()) news_.Signal();
}

void Timers::Hurry() {
  absl::MutexLock lock(&mutex_);
  hurry_ = true;
  news_.Signal();
}

void Timers::RunAll() {
  absl::MutexLock lock(&mutex_);
  while (!stop_) {
    if (actions_.empty()) {
      news_.Wait(&mutex_);
      continue;
    }
    const auto first = actions_.begin();
    const absl::Duration wait = first->first - clock_.Elapsed();
    if (!hurry_ && wait > absl::ZeroDuration()) {
      news_.WaitWithTimeout(&mutex_, wait);
      continue;
    }
    const std::function<void()> action = std::move(first->second);
    actions_.erase(first);
    mutex_.Unlock();
    action();
    mutex_.Lock();
  }
}

}  // namespace hmar::load
