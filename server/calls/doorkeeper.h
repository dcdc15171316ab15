#ifndef HMAR_SERVER_CALLS_DOORKEEPER_H_
#define HMAR_SERVER_CALLS_DOORKEEPER_H_

#include "absl/status/status.h"
#include "server/base/quota.h"
#include "server/calls/call_admission.h"
#include "server/calls/caller.h"

namespace hmar {

// What became of a call at its headers.
struct Visit {
  Caller caller;        // As far as it is known.
  absl::Status status;  // An error: it is not let in, for this.
  Quota::Ticket place;  // Among the open calls; empty if it is not let in.
};

// Who is let in, judged by a call's headers alone: before anything of its request is read or held.
// Every transport asks it. Thread-safe.
class Doorkeeper {
 public:
  // `admission` outlives it. `trust_forwarded_for`: see principal.h.
  Doorkeeper(CallAdmission* admission, bool trust_forwarded_for)
      : admission_(*admission), trust_forwarded_for_(trust_forwarded_for) {}

  // The status is TOO_MANY_CALLS where it is an error.
  Visit Admit(CallHeaders headers) const;

 private:
  CallAdmission& admission_;
  const bool trust_forwarded_for_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_DOORKEEPER_H_
