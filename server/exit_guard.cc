#include "server/exit_guard.h"

#include <spdlog/logger.h>

#include <chrono>
#include <cstdlib>

namespace hmar {

void EndAtOnce(int exit_code, Logging* logging) {
  logging->Close();
  std::_Exit(exit_code);
}

ExitGuard::ExitGuard(ProcessSignals* signals, Logging* logging, absl::Duration drain)
    : signals_(signals), logging_(logging), drain_(drain), thread_([this] { Watch(); }) {}

ExitGuard::~ExitGuard() {
  {
    absl::MutexLock lock(&mutex_);
    over_ = true;
  }
  signals_->Stop({});  // Wakes the thread, if nothing has.
  thread_.join();
}

void ExitGuard::Loaded() {
  absl::MutexLock lock(&mutex_);
  loading_ = false;
}

void ExitGuard::Fail(int exit_code) {
  absl::MutexLock lock(&mutex_);
  if (failure_ == 0) failure_ = exit_code;
}

void ExitGuard::Watch() {
  const StopReason reason = signals_->Await();
  spdlog::logger& log = *logging_->log();
  absl::MutexLock lock(&mutex_);  // Also against a main that goes on while the process ends.
  if (over_) return;
  if (loading_) {
    log.log(reason.exit_code == 0 ? spdlog::level::info : spdlog::level::err,
            "{}: stopped while loading", reason.what);
    EndAtOnce(reason.exit_code, logging_);
  }
  const auto over_or_failed = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return over_ || failure_ != 0;
  };
  const auto start = std::chrono::steady_clock::now();
  if (reason.exit_code != 0 && failure_ == 0) failure_ = reason.exit_code;
  mutex_.AwaitWithTimeout(absl::Condition(&over_or_failed), drain_ + kGrace);
  if (failure_ != 0) mutex_.AwaitWithTimeout(absl::Condition(&over_), kGrace);
  if (over_) return;
  const auto waited = std::chrono::steady_clock::now() - start;
  log.error("the server has not ended within {} s; a step of a device seems to hang",
            std::chrono::duration_cast<std::chrono::seconds>(waited).count());
  EndAtOnce(failure_ != 0 ? failure_ : kStuckExitCode, logging_);
}

}  // namespace hmar
