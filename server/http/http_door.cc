#include "server/http/http_door.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <utility>

#include "absl/time/clock.h"
#include "model/status_macros.h"
#include "server/http/channel.h"
#include "server/http/http_router.h"

namespace hmar {

absl::StatusOr<std::unique_ptr<HttpDoor>> HttpDoor::Open(const HttpOptions& options,
                                                         const HttpContext& context) {
  TlsContext tls;
  if (options.tls.on()) {
    HMAR_ASSIGN_OR_RETURN(tls, MakeTlsContext(options.tls));
  }
  return std::unique_ptr<HttpDoor>(new HttpDoor(options, context, std::move(tls)));
}

HttpDoor::HttpDoor(const HttpOptions& options, const HttpContext& context, TlsContext tls)
    : context_(context), judge_(options, &context_, [this](const std::string& client) {
        return workers_->IsFull(client);
      }) {
  if (tls != nullptr) tls_.emplace(options.tls, std::move(tls), context_.steady_clock);
  const absl::Time started = absl::Now();
  WorkersOptions workers;
  workers.threads = options.threads;
  workers_ = std::make_unique<Workers>(workers, [&]() -> std::unique_ptr<Answerer> {
    return std::make_unique<HttpRouter>(
        options, &context_, started, [this] { return receiver_.get(); }, &state_);
  });
  ReceiverOptions receiver;
  receiver.receive = options.receive;
  receiver.idle = options.idle;
  receiver_ = std::make_unique<Receiver>(
      receiver, context_.steady_clock, &judge_,
      [this](std::unique_ptr<Connection> connection) { workers_->Post(std::move(connection)); });
}

// Workers give connections to the receiver, and it to them, so both stop before either goes.
HttpDoor::~HttpDoor() {
  state_.aborting = true;
  workers_->Stop();
  receiver_.reset();
  workers_.reset();
}

void HttpDoor::Take(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  Descriptor socket(fd);
  auto channel = tls_.has_value() ? MakeTlsChannel(std::move(socket), tls_->Get())
                                  : MakePlainChannel(std::move(socket));
  if (channel != nullptr) receiver_->Add(MakeConnection(std::move(channel)));
}

void HttpDoor::BeginDrain() {
  state_.closing = true;
  receiver_->CloseIdle();
}

}  // namespace hmar
