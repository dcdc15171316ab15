#include "server/http/workers.h"

#include <algorithm>
#include <utility>

namespace hmar {

Workers::Workers(const WorkersOptions& options,
                 const std::function<std::unique_ptr<Answerer>()>& make)
    : most_of_peer_(std::max<size_t>(1, options.threads / 2)),
      most_generating_(std::max<size_t>(1, options.threads - (options.threads + 7) / 8)) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, options.stack_bytes);
  for (size_t i = 0; i < options.threads; ++i) {
    auto worker = std::make_unique<Worker>(Worker{this, make(), {}});
    const auto run = [](void* of) -> void* {
      auto* const self = static_cast<Worker*>(of);
      self->pool->Run(self->answerer.get());
      return nullptr;
    };
    // Fewer threads than asked for serve as well; without any the process would have none.
    if (pthread_create(&worker->thread, &attributes, run, worker.get()) != 0) break;
    workers_.push_back(std::move(worker));
  }
  pthread_attr_destroy(&attributes);
}

void Workers::Stop() {
  std::deque<std::unique_ptr<Connection>> dropped;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    dropped.swap(line_);
  }
  dropped.clear();  // Their clients need not wait for those that are being answered.
  for (const auto& worker : workers_) pthread_join(worker->thread, nullptr);
  workers_.clear();
}

void Workers::Post(std::unique_ptr<Connection> connection) {
  absl::MutexLock lock(&mutex_);
  if (stopping_) return;
  if (connection->ruling.generates) ++waiting_;
  line_.push_back(std::move(connection));
}

size_t Workers::waiting() const {
  absl::MutexLock lock(&mutex_);
  return waiting_;
}

bool Workers::MayRun(const Connection& connection) const {
  if (connection.ruling.generates && generating_ >= most_generating_) return false;
  const auto of_peer = by_peer_.find(connection.peer);
  return of_peer == by_peer_.end() || of_peer->second < most_of_peer_;
}

bool Workers::HasWork() const {
  return stopping_ || std::any_of(line_.begin(), line_.end(), [this](const auto& connection) {
           mutex_.AssertHeld();
           return MayRun(*connection);
         });
}

std::unique_ptr<Connection> Workers::Take() {
  const auto at = std::find_if(line_.begin(), line_.end(), [this](const auto& connection) {
    mutex_.AssertHeld();
    return MayRun(*connection);
  });
  std::unique_ptr<Connection> connection = std::move(*at);
  line_.erase(at);
  ++by_peer_[connection->peer];
  if (connection->ruling.generates) {
    --waiting_;
    ++generating_;
  }
  return connection;
}

void Workers::Run(Answerer* answerer) {
  while (true) {
    std::unique_ptr<Connection> connection;
    {
      absl::MutexLock lock(&mutex_, absl::Condition(this, &Workers::HasWork));
      if (stopping_) return;
      connection = Take();
    }
    const std::string peer = connection->peer;
    const bool generates = connection->ruling.generates;
    answerer->Answer(std::move(connection));
    absl::MutexLock lock(&mutex_);
    const auto of_peer = by_peer_.find(peer);
    if (--of_peer->second == 0) by_peer_.erase(of_peer);
    if (generates) --generating_;
  }
}

}  // namespace hmar
