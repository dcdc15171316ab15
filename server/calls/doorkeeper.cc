#include "server/calls/doorkeeper.h"

#include <utility>

#include "absl/status/statusor.h"
#include "server/calls/principal.h"

namespace hmar {

Visit Doorkeeper::Admit(CallHeaders headers) const {
  Visit visit;
  visit.caller.principal =
      PrincipalOf(headers.peer, trust_forwarded_for_ ? headers.forwarded_for : "");
  visit.caller.peer = std::move(headers.peer);
  visit.caller.deadline = headers.deadline;
  absl::StatusOr<Quota::Ticket> place = admission_.AdmitCall(visit.caller.principal);
  visit.status = place.status();
  if (place.ok()) visit.place = *std::move(place);
  return visit;
}

}  // namespace hmar
