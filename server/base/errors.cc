#include "server/base/errors.h"

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

constexpr char kReasonPayload[] = "hmar/reason";         // The reason's number.
constexpr char kQuotaPayload[] = "hmar/quota";           // Its subject.
constexpr char kRetryPayload[] = "hmar/retry-after-us";  // Microseconds.

std::optional<int64_t> PayloadNumber(const absl::Status& status, const char* payload) {
  const auto text = status.GetPayload(payload);
  int64_t number = 0;
  if (!text.has_value() || !absl::SimpleAtoi(std::string(*text), &number)) return std::nullopt;
  return number;
}

void SetPayloadNumber(absl::Status* status, const char* payload, int64_t number) {
  status->SetPayload(payload, absl::Cord(absl::StrCat(number)));
}

Reason ReasonOfCode(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kResourceExhausted:
      return Reason::kQueueFull;
    case absl::StatusCode::kUnavailable:
      return Reason::kDraining;
    case absl::StatusCode::kDeadlineExceeded:
      return Reason::kDeadlineExceeded;
    case absl::StatusCode::kCancelled:
      return Reason::kCancelled;
    default:
      return Reason::kInternal;
  }
}

}  // namespace

absl::Status ErrorOf(Reason reason, const std::string& message) {
  absl::Status status(RowOf(reason).code, message);
  SetPayloadNumber(&status, kReasonPayload, static_cast<int64_t>(reason));
  return status;
}

absl::Status WithReason(const absl::Status& status, Reason reason) {
  absl::Status renamed = ErrorOf(reason, std::string(status.message()));
  const std::optional<absl::Duration> delay = RetryDelayOf(status);
  return delay.has_value() ? RetryAfter(std::move(renamed), *delay) : renamed;
}

absl::Status RetryAfter(absl::Status status, absl::Duration delay) {
  SetPayloadNumber(&status, kRetryPayload, absl::ToInt64Microseconds(delay));
  return status;
}

std::optional<absl::Duration> RetryDelayOf(const absl::Status& status) {
  const std::optional<int64_t> microseconds = PayloadNumber(status, kRetryPayload);
  if (!microseconds.has_value()) return std::nullopt;
  return absl::Microseconds(*microseconds);
}

absl::Status WithQuota(absl::Status status, const std::string& subject) {
  status.SetPayload(kQuotaPayload, absl::Cord(subject));
  return status;
}

std::optional<std::string> QuotaOf(const absl::Status& status) {
  const auto subject = status.GetPayload(kQuotaPayload);
  if (!subject.has_value()) return std::nullopt;
  return std::string(*subject);
}

Reason ReasonOf(const absl::Status& status) {
  const std::optional<int64_t> number = PayloadNumber(status, kReasonPayload);
  return number.has_value() ? static_cast<Reason>(*number) : ReasonOfCode(status.code());
}

std::string ReasonName(const absl::Status& status) {
  return status.ok() ? "" : RowOf(ReasonOf(status)).name;
}

}  // namespace hmar
