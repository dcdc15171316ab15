// The part of a server that speaks HTTP.

#include <spdlog/logger.h>

#include <utility>

#include "model/status_macros.h"
#include "server/ports.h"
#include "server/server.h"

namespace hmar {

// Without a port yet: what scrapes read of it is there before the first of them.
absl::Status Server::OpenHttp() {
  if (options_.http.empty()) return absl::OkStatus();
  HttpOptions options;
  options.threads = options_.http_threads;
  options.allow_origin = options_.http_allow_origin;
  options.max_body_bytes = options_.max_message_bytes;
  options.buffer_bytes = options_.http_buffer_bytes;
  options.receive = absl::Seconds(options_.receive_seconds);
  options.send = absl::Seconds(options_.send_seconds);
  options.tls = {options_.tls_cert, options_.tls_key, options_.tls_client_ca};
  HttpContext context;
  context.service = &service_->context();
  context.active_calls = &service_->active_calls();
  context.ready = [this] { return health_->ready(); };
  context.steady_clock =
      dependencies_.steady_clock == nullptr ? &steady_clock_ : dependencies_.steady_clock;
  HMAR_ASSIGN_OR_RETURN(http_, HttpDoor::Open(options, context));
  return absl::OkStatus();
}

absl::Status Server::ListenForHttp() {
  if (http_ == nullptr) return absl::OkStatus();
  const auto port = listener_->AddPort(options_.http, [this](int fd) { http_->Take(fd); });
  if (!port.ok()) return CannotListen("--http", options_.http, port.status());
  http_port_ = port->port;
  const bool tls = !options_.tls_cert.empty();
  dependencies_.log->info("HTTP on {}, port {}{}", options_.http, http_port_,
                          tls ? ", with TLS" : "");
  if (!tls && !port->loopback_only) {
    dependencies_.log->warn(
        "--http {}: other machines reach this server, and nothing is encrypted{}", options_.http,
        dependencies_.keys == nullptr ? "" : ": keys can be read on the way");
  }
  return absl::OkStatus();
}

}  // namespace hmar
