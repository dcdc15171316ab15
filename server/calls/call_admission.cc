#include "server/calls/call_admission.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"

namespace hmar {
namespace {

// How long things are held, until that has been measured.
constexpr absl::Duration kGuessedCall = absl::Seconds(1);
constexpr absl::Duration kGuessedUpload = absl::Seconds(1);
constexpr absl::Duration kGuessedPicture = absl::Milliseconds(10);

const char* OfWhom(const Shortage& shortage) {
  return shortage.of_principal ? " of this client" : "";
}

}  // namespace

CallAdmission::CallAdmission(const CallAdmissionOptions& options,
                             const UploadReaders* upload_readers, const EncoderPool* encoder,
                             const Deliveries* deliveries, const Clock* clock, Metrics* metrics)
    : upload_readers_(*upload_readers),
      encoder_(*encoder),
      deliveries_(*deliveries),
      metrics_(metrics),
      calls_(options.calls, clock, kGuessedCall),
      upload_bytes_(options.upload_bytes, clock, kGuessedUpload),
      encoder_bytes_(options.encoder_bytes, clock, kGuessedPicture) {}

absl::StatusOr<Quota::Ticket> CallAdmission::AdmitCall(const std::string& principal) {
  Quota::Ticket ticket;
  const std::optional<Shortage> shortage = calls_.Take(principal, 1, &ticket);
  if (!shortage.has_value()) return ticket;
  return Refused(Reason::kTooManyCalls,
                 absl::StrCat(shortage->held, " calls", OfWhom(*shortage), " are open; at most ",
                              shortage->limit),
                 shortage->wait);
}

// Room comes when uploads have been read or, if all of them have been, when calls end.
absl::StatusOr<Quota::Ticket> CallAdmission::AdmitUpload(const std::string& principal,
                                                         size_t bytes) {
  Quota::Ticket ticket;
  const std::optional<Shortage> shortage = upload_bytes_.Take(principal, bytes, &ticket);
  if (!shortage.has_value()) return ticket;
  const absl::Duration reading = upload_readers_.backlog_time();
  return Refused(
      Reason::kUploadBacklog,
      absl::StrCat("the request's upload needs ", bytes, " bytes, other uploads", OfWhom(*shortage),
                   " hold ", shortage->held, "; the limit is ", shortage->limit),
      reading > absl::ZeroDuration() ? reading : shortage->wait);
}

absl::Status CallAdmission::CheckWayOut(const std::string& principal) const {
  if (const std::optional<Shortage> shortage = encoder_bytes_.ShortOf(principal, 0)) {
    return Refused(Reason::kEncoderBacklog,
                   absl::StrCat(shortage->held, " bytes of pictures", OfWhom(*shortage),
                                " wait for the encoder; at most ", shortage->limit),
                   encoder_.TimeFor(shortage->held - shortage->limit));
  }
  if (const std::optional<Shortage> shortage = deliveries_.ShortFor(principal)) {
    return Refused(Reason::kDeliveryBacklog,
                   absl::StrCat(shortage->held, " bytes of pictures", OfWhom(*shortage),
                                " wait to be read; new requests are taken below ", shortage->limit),
                   shortage->wait);
  }
  return absl::OkStatus();
}

Quota::Ticket CallAdmission::HoldPicture(const std::string& principal, size_t bytes) {
  return encoder_bytes_.TakeAnyway(principal, bytes);
}

absl::Status CallAdmission::Refused(Reason reason, const std::string& message,
                                    absl::Duration wait) const {
  if (metrics_ != nullptr) metrics_->AdmissionRejected(reason);
  return RetryAfter(ErrorOf(reason, message), wait);
}

}  // namespace hmar
