#include "server/exit_guard.h"

#include <spdlog/logger.h>

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
  const absl::Duration limit = reason.exit_code == 0 ? drain_ + kGrace : kGrace;
  if (mutex_.AwaitWithTimeout(absl::Condition(&over_), limit)) return;
  log.error("the server has not ended within {} s; a step of a device seems to hang",
            absl::ToInt64Seconds(limit));
  EndAtOnce(reason.exit_code == 0 ? kStuckExitCode : reason.exit_code, logging_);
}

}  // namespace hmar
