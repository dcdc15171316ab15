#ifndef HMAR_SERVER_TRANSPORT_RECEIVING_HANDLER_H_
#define HMAR_SERVER_TRANSPORT_RECEIVING_HANDLER_H_

#include <grpcpp/impl/rpc_service_method.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/time/time.h"

namespace hmar {

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
// A request that is late ends its call with DEADLINE_EXCEEDED; its handler sees nothing of it.
// Thread-safe, as every handler.
class ReceivingHandler final : public grpc::internal::MethodHandler {
 public:
  using OnLate = std::function<void(const LateRequest&)>;

  // `handler`: a callback handler of one request, unary or streaming its answer. `on_late` is
  // called on any thread, and may be empty.
  ReceivingHandler(std::unique_ptr<grpc::internal::MethodHandler> handler, absl::Duration limit,
                   OnLate on_late);

  void RunHandler(const HandlerParameter& call) override;

 private:
  class Arrival;

  const std::unique_ptr<grpc::internal::MethodHandler> handler_;
  const absl::Duration limit_;
  const OnLate on_late_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_TRANSPORT_RECEIVING_HANDLER_H_
