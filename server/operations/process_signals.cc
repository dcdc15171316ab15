#include "server/operations/process_signals.h"

#include <signal.h>

#include <cstdlib>
#include <cstring>
#include <utility>

namespace hmar {
namespace {

sigset_t WatchedSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2}) sigaddset(&signals, signal);
  return signals;
}

}  // namespace

ProcessSignals::ProcessSignals() {
  signal(SIGPIPE, SIG_IGN);
  const sigset_t signals = WatchedSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  watcher_ = std::thread([this] { Watch(); });
}

ProcessSignals::~ProcessSignals() {
  {
    absl::MutexLock lock(&mutex_);
    ending_ = true;
  }
  // Wakes its sigwait; the signal is blocked, so it ends nothing.
  pthread_kill(watcher_.native_handle(), SIGTERM);  // NOLINT(bugprone-bad-signal-to-kill-thread)
  watcher_.join();
}

void ProcessSignals::OnOthers(std::function<void(int signal)> act) {
  absl::MutexLock lock(&act_mutex_);
  act_ = std::move(act);
}

void ProcessSignals::Stop(StopReason reason) {
  absl::MutexLock lock(&mutex_);
  if (!reason_.has_value()) reason_ = std::move(reason);
}

StopReason ProcessSignals::Await() {
  const auto stopped = [this]()
                           ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return reason_.has_value(); };
  absl::MutexLock lock(&mutex_, absl::Condition(&stopped));
  return *reason_;
}

void ProcessSignals::Watch() {
  const sigset_t signals = WatchedSignals();
  for (int stops = 0;;) {
    int signal = 0;
    sigwait(&signals, &signal);
    {
      absl::MutexLock lock(&mutex_);
      if (ending_) return;
    }
    if (signal != SIGTERM && signal != SIGINT) {
      Act(signal);
      continue;
    }
    if (++stops > 1) std::_Exit(kSecondSignalExitCode);
    Stop({0, strsignal(signal)});
  }
}

void ProcessSignals::Act(int signal) {
  absl::MutexLock lock(&act_mutex_);
  if (act_) act_(signal);
}

}  // namespace hmar
