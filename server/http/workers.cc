#include "server/http/workers.h"

#include <algorithm>
#include <utility>

namespace hmar {
namespace {

size_t CountOf(const std::map<std::string, size_t>& counts, const std::string& client) {
  const auto found = counts.find(client);
  return found == counts.end() ? 0 : found->second;
}

void CountDown(std::map<std::string, size_t>* counts, const std::string& client) {
  const auto found = counts->find(client);
  if (--found->second == 0) counts->erase(found);
}

}  // namespace

Workers::Workers(const WorkersOptions& options,
                 const std::function<std::unique_ptr<Answerer>()>& make)
    : most_of_client_(std::max<size_t>(1, options.threads / 2)),
      most_generating_(std::max<size_t>(1, options.threads - (options.threads + 7) / 8)),
      most_with_short_(most_of_client_ +
                       std::max<size_t>(1, (options.threads - most_generating_) / 2)) {
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
  if (connection->ruling.waits()) {
    ++waiting_[connection->ruling.client];
    ++all_waiting_;
  }
  line_.push_back(std::move(connection));
}

bool Workers::IsFull(const std::string& client) const {
  absl::MutexLock lock(&mutex_);
  const size_t most = 2 * most_of_client_;
  return CountOf(waiting_, client) >= most || all_waiting_ >= 2 * most;
}

bool Workers::MayRun(const Connection& connection) const {
  if (connection.ruling.waits() && generating_ >= most_generating_) return false;
  const size_t most = connection.ruling.waits() ? most_of_client_ : most_with_short_;
  return CountOf(running_, connection.ruling.client) < most;
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
  ++running_[connection->ruling.client];
  if (connection->ruling.waits()) {
    CountDown(&waiting_, connection->ruling.client);
    --all_waiting_;
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
    const std::string client = connection->ruling.client;
    const bool generates = connection->ruling.waits();
    answerer->Answer(std::move(connection));
    absl::MutexLock lock(&mutex_);
    CountDown(&running_, client);
    if (generates) --generating_;
  }
}

}  // namespace hmar
