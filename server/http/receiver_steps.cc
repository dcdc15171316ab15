// How the receiver goes on with one connection, as far as its bytes go.

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/http/receiver.h"

namespace hmar {
namespace {

constexpr size_t kReadBytes = size_t{16} << 10;
constexpr size_t kFreeHeadBytes = 4096;
constexpr absl::Duration kRetry = absl::Seconds(1);
constexpr char kContinue[] = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace

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
  if (!CountHead(&parked)) {  // Which passes, as heads do.
    return RefuseFor(at, RetryAfter(ErrorOf(Reason::kTooManyCalls,
                                            absl::StrCat("the heads of all requests that are on "
                                                         "their way take more than ",
                                                         options_.head_bytes, " bytes")),
                                    kRetry));
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

}  // namespace hmar
