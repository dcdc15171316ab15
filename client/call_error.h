#ifndef HMAR_CLIENT_CALL_ERROR_H_
#define HMAR_CLIENT_CALL_ERROR_H_

// Errors of calls, readable by people and by programs.

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "grpcpp/support/status.h"

namespace hmar {

// The same code. The message is the server's, then what the google.rpc details add, a line each:
//   <message> [QUEUE_FULL]
//     sampling.top_p: was 1.5, must be in (0, 1]
//     retry in 2.5s
// It is fit to print whatever the server sent: each part is Printable (client/printable.h) and cut
// at 1 KiB, of 100 violations and of more how many. The details themselves are kept as payloads of
// the status, by type URL and as they came, the first 16 of them. Details that cannot be parsed, or
// are larger than 64 KiB in all, are left out.
absl::Status StatusFromGrpc(const grpc::Status& status);

// The stable reason of google.rpc.ErrorInfo ("QUEUE_FULL"): at most 63 of A-Z, 0-9 and _; else
// empty.
std::string ErrorReason(const absl::Status& status);

// How long the server asks to wait before the next try (google.rpc.RetryInfo): from none to an
// hour, whatever it says.
std::optional<absl::Duration> RetryDelay(const absl::Status& status);

}  // namespace hmar

#endif  // HMAR_CLIENT_CALL_ERROR_H_
