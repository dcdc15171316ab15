#ifndef HMAR_SERVER_CALLS_PREPARED_EDIT_H_
#define HMAR_SERVER_CALLS_PREPARED_EDIT_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/config.h"
#include "model/edit.h"
#include "server/scheduling/work.h"
#include "server/uploads/compositor.h"
#include "server/uploads/edit_source.h"
#include "server/wire/request.h"

namespace hmar {

// An edit whose files have been read: what the scheduler takes, and what puts the source back
// around the pictures that come out. Never changed once made.
struct PreparedEdit {
  std::shared_ptr<const EditPicture> picture;
  std::shared_ptr<const std::vector<KeepMap>> keep;
  std::unique_ptr<const Compositor> compositor;  // Null: the decoder's own pictures are wanted.
  UploadRecord upload;                           // For receipts.
};

// Reads and resizes `upload` for a model, with what else `choice` says: up to seconds of work and
// DecodedBytes(upload) of memory. INVALID_ARGUMENT: what the headers could not tell (truncated or
// damaged data), on a field path that starts with `field_prefix`. RESOURCE_EXHAUSTED: out of
// memory. CANCELLED: `cancelled` said so. Thread-safe.
absl::StatusOr<PreparedEdit> PrepareEdit(const EditUpload& upload, const EditChoice& choice,
                                         const ModelConfig& config, const UploadLimits& limits,
                                         const std::string& field_prefix,
                                         CancelCheck cancelled = NeverCancelled);

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_PREPARED_EDIT_H_
