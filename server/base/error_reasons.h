#ifndef HMAR_SERVER_BASE_ERROR_REASONS_H_
#define HMAR_SERVER_BASE_ERROR_REASONS_H_

// Every reason the server gives for an error: the stable strings that clients may branch on.

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace hmar {

enum class Reason {
  kFieldMissing,
  kFieldOutOfRange,
  kFieldConflict,
  kUnknownEnumValue,
  kUnknownClass,
  kRequestIdInvalid,
  kSamplingInvalid,
  kPrefixInvalid,
  kImageInvalid,
  kImageSizeMismatch,
  kReplyTooLarge,
  kMessageInvalid,
  kKeyMissing,
  kKeyUnknown,
  kKeyExpired,
  kModelNotAllowed,
  kPriorityNotAllowed,
  kModelNotFound,
  kQueueFull,
  kClientQueueFull,
  kQuotaImages,
  kTooManyCalls,
  kUploadBacklog,
  kEncoderBacklog,
  kDeliveryBacklog,
  kClientTooSlow,
  kOutOfMemory,
  kNotReady,
  kDraining,
  kDeviceLost,
  kDeadlineUnreachable,
  kDeadlineExceeded,
  kCancelled,
  kGenerationFailed,
  kEncodingFailed,
  kInternal,
};

// One row: what goes into ErrorInfo.reason, the status code it comes with, and what it means to a
// client.
struct ReasonRow {
  Reason reason;
  const char* name;  // UPPER_SNAKE; never changed once released.
  absl::StatusCode code;
  const char* meaning;  // One sentence for the README.
};

// All reasons, in the order of the enum.
absl::Span<const ReasonRow> ReasonTable();

// The row of one reason.
const ReasonRow& RowOf(Reason reason);

}  // namespace hmar

#endif  // HMAR_SERVER_BASE_ERROR_REASONS_H_
