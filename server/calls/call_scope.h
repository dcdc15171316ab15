#ifndef HMAR_SERVER_CALLS_CALL_SCOPE_H_
#define HMAR_SERVER_CALLS_CALL_SCOPE_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/quota.h"
#include "server/calls/active_calls.h"
#include "server/calls/caller.h"
#include "server/calls/doorkeeper.h"
#include "server/calls/generation.h"
#include "server/calls/service_context.h"
#include "server/keys/image_allowance.h"

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

  // What the request resolves to (wire/validation.h), if it may be made now. Errors beside those of
  // a bad request: PERMISSION_DENIED, where the caller's key is not for this; UNAVAILABLE before
  // readiness (NOT_READY) and in a drain (DRAINING); QUOTA_IMAGES, when its key's images are used
  // up. Images that are taken of its key's allowance here are given back at Done, if the scheduler
  // has never taken them in. REQUIRES: called once.
  absl::StatusOr<ResolvedRequest> Resolve(const v1::GenerateRequest& request);
  absl::StatusOr<ResolvedRequest> Resolve(const v1::GenerateImagesRequest& request);

  // Why a call whose client is gone has ended: CANCELLED or, past its deadline, DEADLINE_EXCEEDED.
  absl::Status WhyCancelled() const;

  // Closes the books: metrics, the access log's line, one active call less. Call once;
  // `generation` may be null.
  void Done(const absl::Status& status, const Generation* generation, uint32_t images_sent);

 private:
  template <typename Request>
  absl::StatusOr<ResolvedRequest> ResolveAs(const Request& request, const std::string& model);
  absl::Status CheckModel(const std::string& name) const;
  absl::Status TakeImages(const ResolvedRequest& request);
  // For the records.
  void Describe(const ResolvedRequest& request);
  // `status`, counted if it refuses what is not the request's fault.
  absl::Status Counted(absl::Status status) const;

  const ServiceContext* const context_;
  ActiveCalls* const active_calls_;
  const absl::Time arrived_at_;
  const Caller caller_;
  ImageAllowance::Ticket images_;
  Quota::Ticket place_;  // Until Done.
  CallRecord record_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_CALL_SCOPE_H_
