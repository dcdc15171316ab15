#ifndef HMAR_SERVER_HTTP_HTTP_CONTEXT_H_
#define HMAR_SERVER_HTTP_HTTP_CONTEXT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/time/time.h"
#include "server/calls/active_calls.h"
#include "server/calls/service_context.h"
#include "server/transport/tls.h"

namespace hmar {

struct HttpOptions {
  uint32_t threads = 256;
  std::string allow_origin;                    // "*", an origin, or "": none but the page's own.
  size_t max_body_bytes = size_t{40} << 20;    // Of one request.
  size_t buffer_bytes = size_t{256} << 20;     // Of all requests' bodies together.
  absl::Duration receive = absl::Seconds(30);  // See ReceiverOptions.
  absl::Duration idle = absl::Seconds(60);
  absl::Duration send = absl::Seconds(20);  // For one write of an answer.
  TlsFiles tls;
};

// How far the door's end has come.
struct DoorState {
  std::atomic<bool> closing = false;   // Connections close after their answers.
  std::atomic<bool> aborting = false;  // What is still being answered is given up.
};

// What the whole door works with. All of it outlives the door.
struct HttpContext {
  const ServiceContext* service = nullptr;
  ActiveCalls* active_calls = nullptr;
  std::function<bool()> ready;          // Whether health says so.
  const Clock* steady_clock = nullptr;  // For how long clients take.
};

// Of a request in JSON: numbers and names alone, but for a prefix or a mask schedule.
inline constexpr size_t kMaxJsonBytes = size_t{4} << 20;

}  // namespace hmar

#endif  // HMAR_SERVER_HTTP_HTTP_CONTEXT_H_
