#include "server/http/receiver.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <array>
#include <new>

#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

constexpr int kTickMilliseconds = 200;  // How late a late client may be noticed.
constexpr int kReadsAtOnce = 16;        // Of one connection, before others have their turn.

}  // namespace

Receiver::Receiver(const ReceiverOptions& options, const Clock* clock, Judge* judge,
                   Deliver deliver)
    : options_(options),
      clock_(*clock),
      judge_(*judge),
      deliver_(std::move(deliver)),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.fd = wake_.get();
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event);
  thread_ = std::thread([this] { Run(); });
}

Receiver::~Receiver() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  eventfd_write(wake_.get(), 1);
  thread_.join();
}

void Receiver::Add(std::unique_ptr<Connection> connection) {
  Hand(std::move(connection), State::kHandshake);
}

void Receiver::Return(std::unique_ptr<Connection> connection) {
  Hand(std::move(connection), State::kIdle);
}

void Receiver::Linger(std::unique_ptr<Connection> connection) {
  connection->channel->ShutDownWriting();
  Hand(std::move(connection), State::kLingering);
}

void Receiver::CloseIdle() {
  {
    absl::MutexLock lock(&mutex_);
    closing_idle_ = true;
  }
  eventfd_write(wake_.get(), 1);
}

void Receiver::Hand(std::unique_ptr<Connection> connection, State state) {
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_) return;
    coming_.emplace_back(std::move(connection), state);
  }
  eventfd_write(wake_.get(), 1);
}

void Receiver::Run() {
  while (HandleEvents()) {
  }
  table_.clear();
  absl::MutexLock lock(&mutex_);
  coming_.clear();
}

bool Receiver::HandleEvents() {
  std::array<epoll_event, 256> events;
  const int wait = table_.empty() ? -1 : kTickMilliseconds;
  const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), wait);
  for (int i = 0; i < count; ++i) {
    const int fd = events[static_cast<size_t>(i)].data.fd;
    if (fd == wake_.get()) {
      eventfd_t ignored;
      eventfd_read(fd, &ignored);
    } else if (const auto at = table_.find(fd); at != table_.end()) {
      Advance(at);
    }
  }
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_) return false;
    idle_is_closed_ = closing_idle_;
  }
  TakeIn();
  EndLate();
  return true;
}

void Receiver::TakeIn() {
  std::vector<std::pair<std::unique_ptr<Connection>, State>> coming;
  {
    absl::MutexLock lock(&mutex_);
    coming.swap(coming_);
  }
  for (auto& [connection, state] : coming) Begin(std::move(connection), state);
}

void Receiver::Begin(std::unique_ptr<Connection> connection, State state) {
  const int fd = connection->channel->fd();
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return;  // No memory: it is closed.
  connection->head = {};
  connection->received.shrink_to_fit();
  const auto at = table_.emplace(fd, Parked()).first;
  at->second.connection = std::move(connection);
  parked_count_.store(table_.size(), std::memory_order_relaxed);
  at->second.events = event.events;
  const absl::Duration time = state == State::kIdle        ? options_.idle
                              : state == State::kLingering ? options_.linger
                                                           : options_.receive;
  SetState(at, state, time);
  Advance(at);
}

void Receiver::Advance(Table::iterator at) {
  reads_left_ = kReadsAtOnce;
  const int fd = at->first;
  try {
    while (Step(at) == Progress::kMore) {
    }
  } catch (const std::bad_alloc&) {  // No memory for this one: the others are served on.
    if (const auto left = table_.find(fd); left != table_.end()) Remove(left);
  }
}

void Receiver::SetState(Table::iterator at, State state, absl::Duration time) {
  by_deadline_.erase({at->second.deadline, at->first});
  at->second.state = state;
  at->second.deadline = clock_.Now() + time;
  by_deadline_.emplace(at->second.deadline, at->first);
}

// Who has begun a request is told; who has nothing under way, or cannot be told, is not.
void Receiver::EndLate() {
  const absl::Time now = clock_.Now();
  while (!by_deadline_.empty() && by_deadline_.begin()->first <= now) {
    const auto at = table_.find(by_deadline_.begin()->second);
    const State state = at->second.state;
    if (state == State::kHead || state == State::kBody) {
      Refuse(at, {408, absl::StrCat("the request has not arrived in full within ",
                                    absl::FormatDuration(options_.receive))});
    } else {
      Remove(at);
    }
  }
  if (!idle_is_closed_) return;
  for (auto at = table_.begin(); at != table_.end();) {
    const auto next = std::next(at);
    if (at->second.state == State::kIdle && at->second.connection->requests > 0) Remove(at);
    at = next;
  }
}

std::unique_ptr<Connection> Receiver::Remove(Table::iterator at) {
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, at->first, nullptr);
  by_deadline_.erase({at->second.deadline, at->first});
  head_bytes_ -= at->second.head_bytes;
  std::unique_ptr<Connection> connection = std::move(at->second.connection);
  table_.erase(at);
  parked_count_.store(table_.size(), std::memory_order_relaxed);
  return connection;
}

}  // namespace hmar
