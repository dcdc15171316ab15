#ifndef HMAR_SERVER_WIRE_STATUS_DETAILS_H_
#define HMAR_SERVER_WIRE_STATUS_DETAILS_H_

// The one place where errors get their google.rpc details. Inside the server an error is an
// absl::Status with a reason (base/errors.h); the functions here attach further details as its
// payloads, and ToRpcStatus turns the whole into what goes over the wire.
//
// What a client sent may be long, binary or hostile, and gRPC cuts a call whose trailers exceed 8
// KB. So a value from a request enters a message only through Quoted, and ToRpcStatus bounds and
// escapes the rest.

#include <google/rpc/status.pb.h>
#include <grpcpp/support/status.h>

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/base/errors.h"
#include "server/base/violation.h"

namespace hmar {

inline constexpr char kErrorDomain[] = "hmar.v1";

// `value` in quotes with everything but printable ASCII escaped; of a long one its first bytes and
// its length.
std::string Quoted(absl::string_view value);

// INVALID_ARGUMENT with a BadRequest. The ErrorInfo has the first violation's reason; each
// violation carries its own. As many as the size bound allows are listed, and the message counts
// them all, with `more` that are not in `violations`. REQUIRES: `violations` is not empty.
absl::Status InvalidRequest(const std::vector<Violation>& violations, size_t more = 0);

// NOT_FOUND with a ResourceInfo. `known` lists the names the server has, for the message.
absl::Status ModelNotFound(absl::string_view name, const std::vector<std::string>& known);

// The error as it goes to the client, whatever it goes by: with ErrorInfo always (reasons not given
// follow from the code), RetryInfo on RESOURCE_EXHAUSTED and UNAVAILABLE: what RetryAfter said, or
// one second, kept within 0.1 s to 5 min. Message and details together stay under 8 KB as sent,
// printable ASCII. OK stays OK.
google::rpc::Status ToRpcStatus(const absl::Status& status, absl::string_view request_id);

// The same for gRPC.
grpc::Status ToGrpcStatus(const absl::Status& status, absl::string_view request_id);

}  // namespace hmar

#endif  // HMAR_SERVER_WIRE_STATUS_DETAILS_H_
