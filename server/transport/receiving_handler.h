#ifndef HMAR_SERVER_TRANSPORT_RECEIVING_HANDLER_H_
#define HMAR_SERVER_TRANSPORT_RECEIVING_HANDLER_H_

#include <grpcpp/impl/rpc_service_method.h>
#include <grpcpp/server_context.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/quota.h"

namespace hmar {

// Who lets calls in, at their headers: before anything of a request has been read. Its functions
// are called on any thread.
struct Door {
  // An error: the call is refused with it.
  std::function<absl::StatusOr<Quota::Ticket>(const grpc::ServerContextBase&)> admit;
  // Puts what `admit` said into a request, an empty one if that was an error, before the handler
  // sees it.
  std::function<void(void* request, absl::StatusOr<Quota::Ticket> said)> hand_over;
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
// request; who is let in holds its ticket while the request arrives, and then the request does.
//
// A request that is late ends its call with DEADLINE_EXCEEDED; its handler sees nothing of it.
// Thread-safe, as every handler.
class ReceivingHandler final : public grpc::internal::MethodHandler {
 public:
  using OnLate = std::function<void(const LateRequest&)>;

  // `handler`: a callback handler of one request, unary or streaming its answer. `on_late` is
  // called on any thread, and may be empty. Without a `door` everybody is let in.
  ReceivingHandler(std::unique_ptr<grpc::internal::MethodHandler> handler, absl::Duration limit,
                   OnLate on_late, Door door = {});

  void RunHandler(const HandlerParameter& call) override;

 private:
  class Arrival;

  const std::unique_ptr<grpc::internal::MethodHandler> handler_;
  const absl::Duration limit_;
  const OnLate on_late_;
  const Door door_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_TRANSPORT_RECEIVING_HANDLER_H_
