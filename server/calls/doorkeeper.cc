#include "server/calls/doorkeeper.h"

#include <utility>

#include "absl/status/statusor.h"
#include "server/base/errors.h"
#include "server/calls/principal.h"

namespace hmar {

Visit Doorkeeper::Admit(CallHeaders headers) const {
  Visit visit;
  visit.status = Identify(headers, &visit.caller);
  visit.caller.peer = std::move(headers.peer);
  visit.caller.deadline = headers.deadline;
  if (!visit.status.ok()) return visit;
  absl::StatusOr<Quota::Ticket> place = admission_.AdmitCall(visit.caller.principal);
  visit.status = place.status();
  if (place.ok()) visit.place = *std::move(place);
  return visit;
}

// Where there are keys, nobody is let in by an address: so no name is ever taken for one.
absl::Status Doorkeeper::Identify(const CallHeaders& headers, Caller* caller) const {
  if (keys_ == nullptr) {
    caller->principal =
        PrincipalOf(headers.peer, trust_forwarded_for_ ? headers.forwarded_for : "");
    return absl::OkStatus();
  }
  absl::StatusOr<std::shared_ptr<const KeyHolder>> holder = keys_->Identify(headers.authorization);
  if (!holder.ok()) {
    if (metrics_ != nullptr) metrics_->AdmissionRejected(ReasonOf(holder.status()));
    return holder.status();
  }
  caller->principal = (*holder)->key.name;
  caller->key = *std::move(holder);
  return absl::OkStatus();
}

}  // namespace hmar
