#ifndef HMAR_SERVER_CALLS_EDIT_INTAKE_H_
#define HMAR_SERVER_CALLS_EDIT_INTAKE_H_

#include <atomic>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "model/config.h"
#include "server/base/quota.h"
#include "server/calls/prepared_edit.h"
#include "server/calls/service_context.h"
#include "server/calls/upload_readers.h"
#include "server/wire/request.h"

namespace hmar {

// An edit's upload from its arrival to what the scheduler takes, and its share of what uploads may
// take: the files until they have been read, then what is kept of them, until the object's end.
// Thread-safe.
class EditIntake {
 public:
  // Called once, by a reader's thread, unless Cancel comes first. DRAINING: the readers stopped.
  // Otherwise as PrepareEdit says.
  using OnRead = absl::AnyInvocable<void(absl::StatusOr<PreparedEdit>)>;

  // `context` and `config` outlive the object. What is found wrong later has paths that start with
  // `field_prefix`.
  EditIntake(const ServiceContext* context, EditChoice edit, const ModelConfig& config,
             std::string client, std::string field_prefix);

  // Takes the share and posts the upload to its readers. `on_read` keeps this object alive. An
  // error: why it was refused at once. UPLOAD_BACKLOG: there is no room now, with the time until
  // there is; INVALID_ARGUMENT: it would have none even alone. REQUIRES: called once.
  absl::Status Start(OnRead on_read);

  // Nobody wants it any more: a waiting upload is dropped, and holds nothing from now on; one that
  // is being read ends at its next row, and on_read may still hear of it.
  void Cancel();

 private:
  size_t KeptBytes() const;
  absl::Status CheckFits(size_t held_bytes, size_t decoded_bytes) const;
  void Drop(const UploadReaders::Ticket& ticket);
  bool Read(OnRead on_read);
  absl::StatusOr<PreparedEdit> Decode();
  bool cancelled() const { return cancelled_.load(std::memory_order_acquire); }

  const ServiceContext* const context_;
  const ModelConfig& config_;
  const std::string client_;
  const std::string field_prefix_;
  EditUpload upload_;      // The reader's once it is posted, or Drop's.
  const EditChoice edit_;  // Less the upload.
  Quota::Ticket share_;    // As upload_.
  std::atomic<bool> cancelled_ = false;

  absl::Mutex mutex_;
  std::optional<UploadReaders::Ticket> ticket_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_EDIT_INTAKE_H_
