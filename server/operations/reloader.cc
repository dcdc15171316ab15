#include "server/operations/reloader.h"

#include <spdlog/logger.h>

#include "absl/time/time.h"
#include "server/base/file_signature.h"

namespace hmar {
namespace {

constexpr absl::Duration kBetweenLooks = absl::Seconds(1);

}  // namespace

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
  parts_.push_back({std::move(name), std::move(hook), "", ""});
}

void Reloader::Watch(std::string name, std::string file, std::string seen, Hook hook) {
  absl::MutexLock lock(&mutex_);
  parts_.push_back({std::move(name), std::move(hook), std::move(file), std::move(seen)});
}

void Reloader::Request() {
  absl::MutexLock lock(&mutex_);
  requested_ = true;
}

void Reloader::Work() {
  const auto called = [this]()
                          ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return requested_ || stopping_; };
  while (true) {
    bool all = false;
    {
      absl::MutexLock lock(&mutex_);
      all = mutex_.AwaitWithTimeout(absl::Condition(&called), kBetweenLooks);
      if (stopping_) return;
      requested_ = false;
    }
    for (const Part& part : TakeParts(all)) Run(part);
  }
}

// Files may be slow: they are looked at without the lock.
std::vector<Reloader::Part> Reloader::TakeParts(bool all) {
  std::vector<Part> parts;
  {
    absl::MutexLock lock(&mutex_);
    parts = parts_;
  }
  std::vector<Part> taken;
  for (size_t i = 0; i < parts.size(); ++i) {
    Part& part = parts[i];
    const std::string now = part.file.empty() ? "" : SignatureOf(part.file);
    const bool changed = now != part.seen;
    if (changed) {
      absl::MutexLock lock(&mutex_);
      parts_[i].seen = now;  // Parts are only added.
    }
    if (all || changed) taken.push_back(std::move(part));
  }
  return taken;
}

void Reloader::Run(const Part& part) {
  const absl::StatusOr<std::string> done = part.hook();
  if (done.ok()) {
    log_->info("reload, {}: {}", part.name, *done);
  } else {
    log_->error("reload, {}: {}; all is as it was", part.name,
                std::string(done.status().message()));
  }
}

}  // namespace hmar
