#ifndef HMAR_SERVER_HTTP_HTTP_DOOR_H_
#define HMAR_SERVER_HTTP_HTTP_DOOR_H_

#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "server/http/head_judge.h"
#include "server/http/http_context.h"
#include "server/http/receiver.h"
#include "server/http/workers.h"
#include "server/transport/tls_context.h"

namespace hmar {

// The API over HTTP, as OpenAI's clients speak it, and a page: the same life of a call, the same
// admission and the same books as over gRPC. Connections come from a Listener. Thread-safe.
class HttpDoor {
 public:
  // What `context` points to outlives the door. INVALID_ARGUMENT: the TLS files.
  static absl::StatusOr<std::unique_ptr<HttpDoor>> Open(const HttpOptions& options,
                                                        const HttpContext& context);

  // Drops what waits for a worker, and waits for what workers are at: end their calls first.
  ~HttpDoor();

  // Takes over a connected, non-blocking socket. From one thread at a time.
  void Take(int fd);

  // From now on connections close after their answers, idle ones at once.
  void BeginDrain();

  // Bytes of requests' bodies that are held now.
  size_t body_bytes() const { return judge_.body_bytes(); }

 private:
  HttpDoor(const HttpOptions& options, const HttpContext& context, TlsContext tls);

  const HttpContext context_;
  std::optional<RenewedTlsContext> tls_;
  DoorState state_;
  HeadJudge judge_;
  std::unique_ptr<Workers> workers_;
  std::unique_ptr<Receiver> receiver_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_HTTP_HTTP_DOOR_H_
