#ifndef HMAR_CLIENT_LOAD_CALL_RESULT_H_
#define HMAR_CLIENT_LOAD_CALL_RESULT_H_

// What one call left. Plain data; times are from the start of the load on, by a steady clock.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace hmar::load {

// Who ended a call.
enum class CallEnd {
  kServer,       // The server, or the connection, or the call's own deadline: `status` says how.
  kCancelled,    // The client, as its kind says (cancel_after_ms).
  kTimedOut,     // The client: --timeout.
  kInterrupted,  // The client: Ctrl-C.
};

struct CallResult {
  size_t kind = 0;
  CallEnd end = CallEnd::kServer;
  absl::Status status;      // Whatever ended it, what gRPC made of it. DATA_LOSS: no answer.
  std::string reason;       // Of ErrorInfo; empty: none, so the error may be this side's.
  bool no_answer = false;   // What came does not belong to the request (client/answer_check.h).
  uint32_t mismatched = 0;  // Images with other bytes than the same request's before.

  absl::Duration due;   // When it was to be sent.
  absl::Duration sent;  // When it was.
  absl::Duration ended;
  std::optional<absl::Duration> accepted;       // When Accepted came. generate_images: never.
  std::optional<absl::Duration> first_preview;  // When it came.
  std::optional<absl::Duration> estimated;      // Accepted.estimated_time, where Accepted came.

  std::vector<absl::Duration> images;  // When each came.
  uint32_t images_asked = 0;
  uint32_t degraded = 0;  // Of the images.
};

}  // namespace hmar::load

#endif  // HMAR_CLIENT_LOAD_CALL_RESULT_H_
