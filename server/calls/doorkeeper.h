#ifndef HMAR_SERVER_CALLS_DOORKEEPER_H_
#define HMAR_SERVER_CALLS_DOORKEEPER_H_

#include "absl/status/status.h"
#include "server/base/quota.h"
#include "server/calls/call_admission.h"
#include "server/calls/caller.h"
#include "server/keys/key_ring.h"
#include "server/operations/metrics.h"

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
  // All outlive it. `keys`: null where none are asked for. `trust_forwarded_for`: see principal.h.
  // `metrics` may be null.
  Doorkeeper(const KeyRing* keys, CallAdmission* admission, bool trust_forwarded_for,
             Metrics* metrics)
      : keys_(keys),
        admission_(*admission),
        trust_forwarded_for_(trust_forwarded_for),
        metrics_(metrics) {}

  // Errors: KEY_MISSING, KEY_UNKNOWN, KEY_EXPIRED; TOO_MANY_CALLS.
  Visit Admit(CallHeaders headers) const;

 private:
  absl::Status Identify(const CallHeaders& headers, Caller* caller) const;

  const KeyRing* const keys_;
  CallAdmission& admission_;
  const bool trust_forwarded_for_;
  Metrics* const metrics_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_DOORKEEPER_H_
