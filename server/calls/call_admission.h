#ifndef HMAR_SERVER_CALLS_CALL_ADMISSION_H_
#define HMAR_SERVER_CALLS_CALL_ADMISSION_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/clock.h"
#include "server/base/error_reasons.h"
#include "server/base/quota.h"
#include "server/calls/deliveries.h"
#include "server/calls/encoder_pool.h"
#include "server/calls/upload_readers.h"
#include "server/operations/metrics.h"

namespace hmar {

struct CallAdmissionOptions {
  Quota::Limits calls = {8192, 4096};
  Quota::Limits upload_bytes = {size_t{256} << 20, size_t{128} << 20};
  Quota::Limits encoder_bytes = {size_t{256} << 20, size_t{128} << 20};
};

// Who may come in, as far as calls go: the bounds on what they hold outside of the scheduler, each
// in all and for every principal, in the order in which a call meets them: open calls, bytes of
// uploads, finished pictures that wait for the encoder, events that wait for clients. (Images that
// wait for a device, and deadlines, are the scheduling room's to admit: its books are the bound.)
//
// What is taken in has a ticket, whose end gives it back. What is not is RESOURCE_EXHAUSTED, with
// the time until there will be room in what was full, and counted; what could never be taken in is
// for validation to find. Thread-safe.
class CallAdmission {
 public:
  // All outlive it; `metrics` may be null.
  CallAdmission(const CallAdmissionOptions& options, const UploadReaders* upload_readers,
                const EncoderPool* encoder, const Deliveries* deliveries, const Clock* clock,
                Metrics* metrics);

  // A call, from its headers to its end. TOO_MANY_CALLS.
  absl::StatusOr<Quota::Ticket> AdmitCall(const std::string& principal);

  size_t open_calls() const { return calls_.held(); }

  // The upload of an edit, until its call ends. UPLOAD_BACKLOG. REQUIRES: bytes <=
  // most_upload_bytes().
  absl::StatusOr<Quota::Ticket> AdmitUpload(const std::string& principal, size_t bytes);
  size_t most_upload_bytes() const { return upload_bytes_.most_of_one(); }
  size_t upload_bytes() const { return upload_bytes_.held(); }

  // Whether the way out is free for a request's pictures: ENCODER_BACKLOG, DELIVERY_BACKLOG.
  absl::Status CheckWayOut(const std::string& principal) const;

  // A finished picture, until it is encoded. It is there and has cost its time, so it is not
  // refused: beyond the bound there may be the images that were admitted before it was reached.
  Quota::Ticket HoldPicture(const std::string& principal, size_t bytes);
  size_t picture_bytes() const { return encoder_bytes_.held(); }

 private:
  absl::Status Refused(Reason reason, const std::string& message, absl::Duration wait) const;

  const UploadReaders& upload_readers_;
  const EncoderPool& encoder_;
  const Deliveries& deliveries_;
  Metrics* const metrics_;
  Quota calls_;
  Quota upload_bytes_;
  Quota encoder_bytes_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_CALL_ADMISSION_H_
