#ifndef HMAR_SERVER_CALLS_CALL_SCOPE_H_
#define HMAR_SERVER_CALLS_CALL_SCOPE_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/quota.h"
#include "server/calls/active_calls.h"
#include "server/calls/caller.h"
#include "server/calls/doorkeeper.h"
#include "server/calls/generation.h"
#include "server/calls/service_context.h"

namespace hmar {

// What all generating calls have in common, whatever they came by: who calls, under which id and
// until when, and the books that are closed at its end. Thread-compatible.
class CallScope {
 public:
  // `context` and `active_calls` outlive the call. `method` is the log's name of what is called.
  CallScope(const ServiceContext* context, ActiveCalls* active_calls, Visit visit,
            std::string method, std::string request_id);

  const ServiceContext& context() const { return *context_; }
  const std::string& request_id() const { return record_.request_id; }
  absl::Time arrived_at() const { return arrived_at_; }
  CallOrigin origin() const;

  // Whether the server makes images for clients at all now: before readiness UNAVAILABLE
  // (NOT_READY), in a drain UNAVAILABLE (DRAINING); counted as not taken in.
  absl::Status CheckOpen() const;

  // For the records, once the request has resolved.
  void Describe(const ResolvedRequest& request);

  // Why a call whose client is gone has ended: CANCELLED or, past its deadline, DEADLINE_EXCEEDED.
  absl::Status WhyCancelled() const;

  // Closes the books: metrics, the access log's line, one active call less. Call once;
  // `generation` may be null.
  void Done(const absl::Status& status, const Generation* generation, uint32_t images_sent);

 private:
  const ServiceContext* const context_;
  ActiveCalls* const active_calls_;
  const absl::Time arrived_at_;
  const Caller caller_;
  Quota::Ticket place_;  // Until Done.
  CallRecord record_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_CALL_SCOPE_H_
