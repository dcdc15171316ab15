#include "server/http/receiver.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"

namespace hmar {
namespace {

constexpr int kTickMilliseconds = 200;  // How late a late client may be noticed.
constexpr size_t kReadBytes = size_t{16} << 10;
constexpr int kReadsAtOnce = 16;  // Of one connection, before others have their turn.
constexpr size_t kFreeHeadBytes = 4096;
constexpr char kContinue[] = "HTTP/1.1 100 Continue\r\n\r\n";

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
  while (Step(at) == Progress::kMore) {
  }
}

Receiver::Progress Receiver::Step(Table::iterator at) {
  switch (at->second.state) {
    case State::kHandshake:
      return StepHandshake(at);
    case State::kIdle:
    case State::kHead:
      return StepHead(at);
    case State::kBody:
      return StepBody(at);
    case State::kLingering:
      break;
  }
  return StepLingering(at);
}

Receiver::Progress Receiver::StepHandshake(Table::iterator at) {
  const Io io = at->second.connection->channel->Handshake();
  if (io != Io::kDone) return Wait(at, io);
  SetState(at, State::kIdle, options_.idle);
  return Progress::kMore;
}

Receiver::Progress Receiver::StepHead(Table::iterator at) {
  Parked& parked = at->second;
  std::string& received = parked.connection->received;
  if (received.empty()) {
    if (idle_is_closed_ && parked.connection->requests > 0) {
      Remove(at);
      return Progress::kGone;
    }
    return ReadMore(at);
  }
  if (parked.state == State::kIdle) SetState(at, State::kHead, options_.receive);
  if (const size_t size = FindHeadEnd(received, parked.looked_at); size > 0) {
    if (size <= kMaxHeadBytes) return BeginBody(at, size);
  }
  if (received.size() > kMaxHeadBytes) {
    return Refuse(at, {431, absl::StrCat("the head has more than ", kMaxHeadBytes, " bytes")});
  }
  parked.looked_at = received.size();
  if (!CountHead(&parked)) {
    return Refuse(at, {431, "the heads of all requests take more memory than they may"});
  }
  return ReadMore(at);
}

Receiver::Progress Receiver::BeginBody(Table::iterator at, size_t head_size) {
  Connection& connection = *at->second.connection;
  const std::string head = connection.received.substr(0, head_size);
  connection.received.erase(0, head_size);
  ++connection.requests;
  if (auto fault = ReadHead(head, &connection.head)) return Refuse(at, *std::move(fault));
  connection.ruling = judge_.Rule(connection);
  connection.body = BodyReader(connection.head, connection.ruling.max_body_bytes);
  if (connection.ruling.refused()) {
    connection.body_unread = !connection.body.complete();
    return DeliverFrom(at);
  }
  at->second.state = State::kBody;  // In the time that the head began.
  return Progress::kMore;
}

Receiver::Progress Receiver::StepBody(Table::iterator at) {
  Connection& connection = *at->second.connection;
  absl::string_view bytes = connection.received;
  if (auto fault = connection.body.Feed(&bytes)) return Refuse(at, *std::move(fault));
  connection.received.erase(0, connection.received.size() - bytes.size());
  if (const auto shortage = connection.ruling.share.CoverTo(connection.body.size())) {
    return RefuseFor(
        at, RetryAfter(ErrorOf(Reason::kUploadBacklog,
                               absl::StrCat(shortage->held, " bytes of requests are held; at most ",
                                            shortage->limit)),
                       shortage->wait));
  }
  if (connection.body.complete()) return DeliverFrom(at);
  if (std::exchange(connection.head.expects_continue, false)) {
    size_t sent = 0;
    if (connection.channel->Write(kContinue, &sent) != Io::kDone || sent != sizeof(kContinue) - 1) {
      Remove(at);
      return Progress::kGone;
    }
  }
  return ReadMore(at);
}

Receiver::Progress Receiver::StepLingering(Table::iterator at) {
  at->second.connection->received.clear();
  return ReadMore(at);
}

Receiver::Progress Receiver::ReadMore(Table::iterator at) {
  std::array<char, kReadBytes> buffer;
  size_t count = 0;
  Connection& connection = *at->second.connection;
  // epoll does not know of what TLS has read already, so that is taken in any case.
  if (reads_left_-- <= 0 && !connection.channel->has_pending()) return Wait(at, Io::kWantRead);
  const Io io = connection.channel->Read(buffer.data(), buffer.size(), &count);
  if (io != Io::kDone) return Wait(at, io);
  connection.received.append(buffer.data(), count);
  return Progress::kMore;
}

Receiver::Progress Receiver::Wait(Table::iterator at, Io io) {
  if (io == Io::kClosed || io == Io::kFailed) {
    Remove(at);
    return Progress::kGone;
  }
  const uint32_t events = io == Io::kWantWrite ? EPOLLOUT : EPOLLIN;
  if (std::exchange(at->second.events, events) != events) {
    epoll_event event = {};
    event.events = events;
    event.data.fd = at->first;
    epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, at->first, &event);
  }
  return Progress::kWait;
}

// What a head takes beyond its free part, of what all may.
bool Receiver::CountHead(Parked* parked) {
  const size_t bytes = parked->connection->received.size() -
                       std::min(parked->connection->received.size(), kFreeHeadBytes);
  head_bytes_ += bytes - parked->head_bytes;
  parked->head_bytes = bytes;
  return head_bytes_ <= options_.head_bytes || bytes == 0;
}

Receiver::Progress Receiver::Refuse(Table::iterator at, HttpFault fault) {
  Connection& connection = *at->second.connection;
  connection.ruling.fault = std::move(fault);
  connection.body_unread = true;
  return DeliverFrom(at);
}

Receiver::Progress Receiver::RefuseFor(Table::iterator at, absl::Status status) {
  Connection& connection = *at->second.connection;
  connection.ruling.status = std::move(status);
  connection.body_unread = true;
  return DeliverFrom(at);
}

Receiver::Progress Receiver::DeliverFrom(Table::iterator at) {
  Connection& connection = *at->second.connection;
  if (connection.ruling.client.empty()) connection.ruling.client = connection.peer;
  deliver_(Remove(at));
  return Progress::kGone;
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
