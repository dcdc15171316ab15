#ifndef HMAR_SERVER_CALLS_CALL_SCOPE_H_
#define HMAR_SERVER_CALLS_CALL_SCOPE_H_

#include <grpcpp/server_context.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/quota.h"
#include "server/calls/active_calls.h"
#include "server/calls/generation.h"
#include "server/calls/service_context.h"

namespace hmar {

// What the two generating calls have in common: who calls, under which id and until when, and the
// books that are closed at its end. Thread-compatible; the facts of the call are read once, so it
// may outlive gRPC's context.
class CallScope {
 public:
  // `context` and `active_calls` outlive the call. `place`: its own among the open calls.
  CallScope(const ServiceContext* context, ActiveCalls* active_calls,
            const grpc::CallbackServerContext& call, std::string method, std::string request_id,
            Quota::Ticket place);

  const ServiceContext& context() const { return *context_; }
  const std::string& request_id() const { return record_.request_id; }
  absl::Time arrived_at() const { return arrived_at_; }
  CallOrigin origin() const;

  // Whether the server makes images for clients at all now: before readiness UNAVAILABLE
  // (NOT_READY), in a drain UNAVAILABLE (DRAINING); counted as not taken in.
  absl::Status CheckOpen() const;

  // For the records, once the request has resolved.
  void Describe(const ResolvedRequest& request);

  // Why a call that gRPC reports as cancelled has ended: CANCELLED or, past its deadline,
  // DEADLINE_EXCEEDED.
  absl::Status WhyCancelled() const;

  // For the client: with the request's id and, where it may try again, the scheduler's backlog.
  grpc::Status ToGrpc(const absl::Status& status) const;

  // Closes the books: metrics, the access log's line, one active call less. Call once, from OnDone;
  // `generation` may be null.
  void Done(const absl::Status& status, const Generation* generation, uint32_t images_sent);

 private:
  const ServiceContext* const context_;
  ActiveCalls* const active_calls_;
  const absl::Time arrived_at_;
  const absl::Time deadline_;
  std::string principal_;
  Quota::Ticket place_;  // Until Done.
  CallRecord record_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_CALL_SCOPE_H_
