#include "server/transport/listener.h"

#include <fcntl.h>
#include <malloc.h>
#include <spdlog/logger.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "model/status_macros.h"
#include "server/transport/peer.h"

namespace hmar {
namespace {

constexpr int kBurst = 64;               // Accepted before closed connections are counted again.
constexpr int kQuietMilliseconds = 500;  // After the last closed connection: time to tidy up.
constexpr int kPauseMilliseconds = 100;  // Without descriptors or memory.
constexpr absl::Duration kBetweenWarnings = absl::Seconds(10);

bool AddTo(int epoll, int fd, uint32_t events) {
  epoll_event event = {};
  event.events = events;
  event.data.fd = fd;
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

// Nothing that the next connection would not meet as well.
bool IsShortage(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

// The client learns at once, and nothing of the connection lingers here.
void Reset(Descriptor connection) {
  const linger now = {1, 0};
  setsockopt(connection.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

absl::Status CannotWatch() {
  return absl::UnavailableError(absl::StrCat("cannot watch the port: ", std::strerror(errno)));
}

const char* Why(ConnectionRefusal why) {
  switch (why) {
    case ConnectionRefusal::kTableFull:
      return "as many are open as the server keeps";
    case ConnectionRefusal::kPeerLimit:
      return "this peer has as many as one may";
    case ConnectionRefusal::kDescriptors:
      break;
  }
  return "the process is out of descriptors";
}

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> Listener::Open(const std::string& address,
                                                         ConnectionLimits limits, Metrics* metrics,
                                                         std::shared_ptr<spdlog::logger> log) {
  HMAR_ASSIGN_OR_RETURN(ListeningSockets sockets, ListenOn(address));
  auto listener =
      std::unique_ptr<Listener>(new Listener(std::move(sockets), limits, metrics, std::move(log)));
  HMAR_RETURN_IF_ERROR(listener->Watch());
  return listener;
}

Listener::Listener(ListeningSockets sockets, ConnectionLimits limits, Metrics* metrics,
                   std::shared_ptr<spdlog::logger> log)
    : table_(limits),
      metrics_(metrics),
      log_(std::move(log)),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      spare_(open("/dev/null", O_RDONLY | O_CLOEXEC)) {
  ports_.push_back(std::move(sockets));
  handlers_.emplace_back();
}

absl::Status Listener::Watch() {
  if (!epoll_.ok() || !wake_.ok() || !AddTo(epoll_.get(), wake_.get(), EPOLLIN)) {
    return CannotWatch();
  }
  return WatchPort(ports_.front());
}

absl::Status Listener::WatchPort(const ListeningSockets& port) {
  for (const Descriptor& socket : port.sockets) {
    if (!AddTo(epoll_.get(), socket.get(), EPOLLIN)) return CannotWatch();
  }
  return absl::OkStatus();
}

absl::StatusOr<Listener::Port> Listener::AddPort(const std::string& address, Handler handler) {
  HMAR_ASSIGN_OR_RETURN(ListeningSockets sockets, ListenOn(address));
  HMAR_RETURN_IF_ERROR(WatchPort(sockets));
  ports_.push_back(std::move(sockets));
  handlers_.push_back(std::move(handler));
  return Port{ports_.back().port, ports_.back().loopback_only};
}

Listener::~Listener() {
  if (!thread_.joinable()) return;
  eventfd_write(wake_.get(), 1);
  thread_.join();
  for (const auto& [duplicate, peer] : peers_) close(duplicate);
  metrics_->ConnectionsChanged(0);
}

void Listener::Start(Handler handler) {
  handlers_.front() = std::move(handler);
  thread_ = std::thread([this] { Run(); });
}

void Listener::Run() {
  while (HandleEvents()) {
  }
}

bool Listener::HandleEvents() {
  std::array<epoll_event, 256> events;
  const int count =
      epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), WaitMilliseconds());
  if (!accepting_) SetAccepting(true);
  // What closed connections held is free, but glibc keeps it for the next; a crowd's is too much.
  if (count == 0 && std::exchange(untidy_, false)) malloc_trim(0);
  std::vector<int> listening;
  for (int i = 0; i < count; ++i) {
    const int fd = events[static_cast<size_t>(i)].data.fd;
    if (fd == wake_.get()) return false;
    if (PortOf(fd).has_value()) {
      listening.push_back(fd);
    } else if ((events[static_cast<size_t>(i)].events & EPOLLHUP) != 0) {
      Forget(fd);
    }
  }
  // Last, so that what has closed makes room first.
  for (const int fd : listening) AcceptFrom(fd, handlers_[*PortOf(fd)]);
  return true;
}

int Listener::WaitMilliseconds() const {
  if (!accepting_) return kPauseMilliseconds;
  return untidy_ ? kQuietMilliseconds : -1;
}

std::optional<size_t> Listener::PortOf(int fd) const {
  for (size_t i = 0; i < ports_.size(); ++i) {
    for (const Descriptor& socket : ports_[i].sockets) {
      if (socket.get() == fd) return i;
    }
  }
  return std::nullopt;
}

void Listener::AcceptFrom(int listening, const Handler& handler) {
  for (int i = 0; i < kBurst && accepting_; ++i) {
    sockaddr_storage address = {};
    socklen_t length = sizeof(address);
    Descriptor connection(accept4(listening, reinterpret_cast<sockaddr*>(&address), &length,
                                  SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (connection.ok()) {
      Admit(std::move(connection), PeerOf(address), handler);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return;
    } else if (IsShortage(errno)) {
      RefuseOneWithoutDescriptors(listening);
    }  // Else this one connection was gone before it was taken.
  }
}

void Listener::Admit(Descriptor connection, const std::string& peer, const Handler& handler) {
  if (const auto refusal = table_.Add(peer)) return Refuse(std::move(connection), peer, *refusal);
  Descriptor duplicate(fcntl(connection.get(), F_DUPFD_CLOEXEC, 0));
  // Edge-triggered: of all events only the last is of interest, and it is then dealt with.
  if (!duplicate.ok() || !AddTo(epoll_.get(), duplicate.get(), EPOLLET)) {
    table_.Remove(peer);
    return Refuse(std::move(connection), peer, ConnectionRefusal::kDescriptors);
  }
  peers_.emplace(duplicate.Release(), peer);
  metrics_->ConnectionsChanged(table_.size());
  handler(connection.Release());
}

void Listener::Refuse(Descriptor connection, const std::string& peer, ConnectionRefusal why) {
  metrics_->ConnectionRefused(why);  // First: whoever has seen the end finds it counted.
  Reset(std::move(connection));
  if (absl::Now() < last_warning_ + kBetweenWarnings) return;
  last_warning_ = absl::Now();
  log_->warn("a connection of {} is refused: {}; {} are open", peer, Why(why), table_.size());
}

void Listener::Forget(int duplicate) {
  const auto found = peers_.find(duplicate);
  if (found == peers_.end()) return;
  table_.Remove(found->second);
  peers_.erase(found);
  // Closing alone would leave it in the set for as long as gRPC has its own descriptor open.
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, duplicate, nullptr);
  close(duplicate);
  untidy_ = true;
  metrics_->ConnectionsChanged(table_.size());
}

// The spare makes room to accept the connection and to tell its client. Another thread may take
// that room first: then the queue waits a little.
void Listener::RefuseOneWithoutDescriptors(int listening) {
  spare_.Close();
  Descriptor connection(accept4(listening, nullptr, nullptr, SOCK_CLOEXEC));
  const bool accepted = connection.ok();
  if (accepted) Refuse(std::move(connection), "a client", ConnectionRefusal::kDescriptors);
  spare_ = Descriptor(open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!accepted || !spare_.ok()) SetAccepting(false);
}

void Listener::SetAccepting(bool accepting) {
  accepting_ = accepting;
  for (const ListeningSockets& port : ports_) {
    for (const Descriptor& socket : port.sockets) {
      epoll_event event = {};
      event.events = accepting ? uint32_t{EPOLLIN} : 0;
      event.data.fd = socket.get();
      epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, socket.get(), &event);
    }
  }
}

}  // namespace hmar
