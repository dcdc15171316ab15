#ifndef HMAR_SERVER_TRANSPORT_RECEIVING_HANDLER_H_
#define HMAR_SERVER_TRANSPORT_RECEIVING_HANDLER_H_

#include <grpcpp/impl/rpc_service_method.h>
#include <grpcpp/server_context.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace hmar {

// What was said of a call at its headers.
struct Entry {
  absl::Status status;          // An error: the call is refused with it.
  std::shared_ptr<void> visit;  // Whatever the door wants to know of it until hand_over.
};

// Who lets calls in, at their headers: before anything of a request has been read. Its functions
// are called on any thread.
struct Door {
  std::function<Entry(const grpc::ServerContextBase&)> admit;
  // Puts what `admit` said into a request, an empty one if that was an error, before the handler
  // sees it.
  std::function<void(void* request, Entry entry)> hand_over;
};

struct ReceiveLimits {
  absl::Duration time = absl::Seconds(30);  // For a request to arrive in full.
  // Calls of one connection and method whose requests have not arrived. gRPC bounds a connection's
  // streams only once its client has acknowledged the bound, which it need not do.
  uint32_t calls_of_connection = 200;
};

// A call whose request did not arrive in time.
struct LateRequest {
  std::string client;  // Peer address.
  absl::Duration waited;
};

// Stands in front of the handler of a method with one request, and gives that request a time to
// arrive in. By itself gRPC starts such a handler once the request is complete, and keeps for ever
// one that is not. For this the method has to be marked as streamed: then its handler starts at the
// call's headers.
//
// With a door, who is refused there is answered at once by the handler, whatever comes of the
// request; of who is let in the visit is kept while the request arrives, and then handed over.
//
// A request that is late ends its call with DEADLINE_EXCEEDED, one too many of its connection with
// RESOURCE_EXHAUSTED; its handler sees nothing of it. Thread-safe, as every handler.
class ReceivingHandler final : public grpc::internal::MethodHandler {
 public:
  using OnLate = std::function<void(const LateRequest&)>;

  // `handler`: a callback handler of one request, unary or streaming its answer. `on_late` is
  // called on any thread, and may be empty. Without a `door` everybody is let in.
  ReceivingHandler(std::unique_ptr<grpc::internal::MethodHandler> handler,
                   const ReceiveLimits& limits, OnLate on_late, Door door = {});

  void RunHandler(const HandlerParameter& call) override;

 private:
  class Arrival;

  // False: as many are on their way from this peer, a connection, as may be.
  bool Begin(const std::string& peer);
  void End(const std::string& peer);

  const std::unique_ptr<grpc::internal::MethodHandler> handler_;
  const ReceiveLimits limits_;
  const OnLate on_late_;
  const Door door_;
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, uint32_t> arriving_ ABSL_GUARDED_BY(mutex_);  // By peer.
};

}  // namespace hmar

#endif  // HMAR_SERVER_TRANSPORT_RECEIVING_HANDLER_H_
