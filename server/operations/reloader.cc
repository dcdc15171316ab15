#include "server/operations/reloader.h"

#include <spdlog/logger.h>

namespace hmar {

Reloader::Reloader(std::shared_ptr<spdlog::logger> log)
    : log_(std::move(log)), thread_([this] { Work(); }) {}

Reloader::~Reloader() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

void Reloader::Add(std::string name, Hook hook) {
  absl::MutexLock lock(&mutex_);
  hooks_.emplace_back(std::move(name), std::move(hook));
}

void Reloader::Request() {
  absl::MutexLock lock(&mutex_);
  requested_ = true;
}

void Reloader::Work() {
  const auto called = [this]()
                          ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return requested_ || stopping_; };
  while (true) {
    {
      absl::MutexLock lock(&mutex_, absl::Condition(&called));
      if (stopping_) return;
      requested_ = false;
    }
    RunHooks();
  }
}

void Reloader::RunHooks() {
  std::vector<std::pair<std::string, Hook>> hooks;
  {
    absl::MutexLock lock(&mutex_);
    hooks = hooks_;
  }
  for (const auto& [name, hook] : hooks) {
    const absl::StatusOr<std::string> done = hook();
    if (done.ok()) {
      log_->info("reload, {}: {}", name, *done);
    } else {
      log_->error("reload, {}: {}; all is as it was", name, std::string(done.status().message()));
    }
  }
}

}  // namespace hmar
