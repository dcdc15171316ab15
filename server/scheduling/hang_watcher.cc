#include "server/scheduling/hang_watcher.h"

#include <optional>
#include <utility>

namespace hmar {

HangWatcher::HangWatcher(const StepWatchOptions& options, size_t devices, const Clock* clock,
                         HungCallback on_hung)
    : clock_(clock),
      on_hung_(std::move(on_hung)),
      watch_(options, devices),
      thread_([this] { Watch(); }) {}

HangWatcher::~HangWatcher() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.Signal();
  }
  thread_.join();
}

void HangWatcher::Begin(size_t device, absl::Duration expected) {
  absl::MutexLock lock(&mutex_);
  watch_.Begin(device, expected, clock_->Now());
  if (watch_.NextDeadline() < wakes_at_) changed_.Signal();
}

void HangWatcher::End(size_t device) {
  absl::MutexLock lock(&mutex_);
  watch_.End(device);  // The thread sleeps on: what comes next is most likely due later.
}

absl::Duration HangWatcher::UnderWay(size_t device) const {
  absl::MutexLock lock(&mutex_);
  return watch_.UnderWay(device, clock_->Now());
}

void HangWatcher::Look() {
  std::optional<OverdueStep> overdue;
  {
    absl::MutexLock lock(&mutex_);
    if (called_) return;
    overdue = watch_.Overdue(clock_->Now());
    called_ = overdue.has_value();
  }
  if (overdue.has_value()) on_hung_(*overdue);
}

void HangWatcher::Watch() {
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_) return;
      wakes_at_ = called_ ? absl::InfiniteFuture() : watch_.NextDeadline();
      changed_.WaitWithTimeout(&mutex_, wakes_at_ - clock_->Now());
      if (stopping_) return;
      const absl::Time now = clock_->Now();
      if (now - wakes_at_ > kLate) watch_.BeginAnew(now);
    }
    Look();
  }
}

}  // namespace hmar
