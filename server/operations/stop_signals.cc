#include "server/operations/stop_signals.h"

#include <signal.h>

#include <cstdlib>
#include <cstring>
#include <utility>

namespace hmar {
namespace {

sigset_t WatchedSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

}  // namespace

StopSignals::StopSignals() {
  const sigset_t signals = WatchedSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  watcher_ = std::thread([this] { Watch(); });
}

StopSignals::~StopSignals() {
  {
    absl::MutexLock lock(&mutex_);
    ending_ = true;
  }
  pthread_kill(watcher_.native_handle(), SIGTERM);  // Wakes its sigwait.
  watcher_.join();
}

void StopSignals::Stop(StopReason reason) {
  absl::MutexLock lock(&mutex_);
  if (!reason_.has_value()) reason_ = std::move(reason);
}

StopReason StopSignals::Await() {
  const auto stopped = [this]()
                           ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return reason_.has_value(); };
  absl::MutexLock lock(&mutex_, absl::Condition(&stopped));
  return *reason_;
}

void StopSignals::Watch() {
  const sigset_t signals = WatchedSignals();
  for (int received = 0;; ++received) {
    int signal = 0;
    sigwait(&signals, &signal);
    {
      absl::MutexLock lock(&mutex_);
      if (ending_) return;
    }
    if (received > 0) std::_Exit(kSecondSignalExitCode);
    Stop({0, strsignal(signal)});
  }
}

}  // namespace hmar
