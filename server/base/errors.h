#ifndef HMAR_SERVER_BASE_ERRORS_H_
#define HMAR_SERVER_BASE_ERRORS_H_

// Errors inside the server: an absl::Status that carries, as payloads, the reason that clients may
// branch on and, if waiting helps, for how long. wire/status_details.h makes of it what goes over
// the wire. Pure functions.

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/error_reasons.h"

namespace hmar {

// An error of this reason, with the reason's code.
absl::Status ErrorOf(Reason reason, const std::string& message);

// Gives `status` this reason in place of the one its code implies. The code becomes the reason's;
// a retry time is kept.
absl::Status WithReason(const absl::Status& status, Reason reason);

// Adds when it may be tried again: the estimate of whatever was full.
absl::Status RetryAfter(absl::Status status, absl::Duration delay);

// What RetryAfter said; nothing if it was never called.
std::optional<absl::Duration> RetryDelayOf(const absl::Status& status);

// Adds whose quota it is that has run out: "key:NAME".
absl::Status WithQuota(absl::Status status, const std::string& subject);

// What WithQuota said; nothing if it was never called.
std::optional<std::string> QuotaOf(const absl::Status& status);

// The reason of an error: the one given, or the one its code implies. REQUIRES: !status.ok().
Reason ReasonOf(const absl::Status& status);

// Its name. "" for OK.
std::string ReasonName(const absl::Status& status);

}  // namespace hmar

#endif  // HMAR_SERVER_BASE_ERRORS_H_
