#include "server/scheduling/admission_controller.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "model/status_macros.h"
#include "server/base/errors.h"

namespace hmar {

absl::Status AdmissionController::CheckTaking(bool probe) const {
  HMAR_RETURN_IF_ERROR(stopped_);
  if (draining_) return ErrorOf(Reason::kDraining, "the server is shutting down");
  if (!open_ && !probe) {
    return ErrorOf(Reason::kNotReady, "the server's models have not made their probe images yet");
  }
  return absl::OkStatus();
}

absl::Status AdmissionController::CheckRoom(const Work& work) const {
  HMAR_RETURN_IF_ERROR(CheckTaking(work.probe));
  const uint32_t images = work.job.images;
  const int priority = work.job.priority;
  const uint32_t limit = QueueRoom(options_.max_queued_images, priority);
  const uint32_t client_limit = QueueRoom(
      work.origin.max_queued_images.value_or(options_.max_queued_images_per_client), priority);
  const std::string at_priority = absl::StrCat(" at priority ", priority);
  if (images > std::min(limit, client_limit)) {
    return ErrorOf(
        Reason::kFieldOutOfRange,
        absl::StrCat("the request has ", images, " images, more than the queue ever holds",
                     images > limit ? "" : " of a client", "; the limit is ",
                     std::min(limit, client_limit), at_priority));
  }
  const uint32_t waiting = images_.waiting();
  if (waiting + uint64_t{images} > limit) {
    return RetryAfter(
        ErrorOf(Reason::kQueueFull,
                absl::StrCat("the queue is full: ", waiting, " images wait and the request has ",
                             images, "; the limit is ", limit, at_priority)),
        BacklogTime());
  }
  const uint32_t clients = images_.waiting_of(work.origin.client);
  if (clients + uint64_t{images} > client_limit) {
    return RetryAfter(
        ErrorOf(Reason::kClientQueueFull,
                absl::StrCat(clients, " images of this client wait and the request has ", images,
                             "; the limit is ", client_limit, at_priority)),
        pricing_.ClientBacklogTime(images_, work));
  }
  return absl::OkStatus();
}

absl::StatusOr<Admission> AdmissionController::Quote(const Work& work,
                                                     const std::vector<Pass>& passes) const {
  HMAR_RETURN_IF_ERROR(CheckRoom(work));
  const Admission admission = pricing_.Quote(images_, work, passes, clock_.Now());
  if (work.job.on_deadline != OnDeadline::kRefuse) return admission;
  const absl::Duration left = work.origin.deadline - clock_.Now();
  const absl::Duration way = pricing_.TimeToClient(work.job.model);
  if (admission.estimated_time + way <= work.origin.answer_by - clock_.Now()) return admission;
  // It will never be better than now; and what is never run is never measured anew.
  if (images_.size() == 0) return admission;
  return ErrorOf(
      Reason::kDeadlineUnreachable,
      absl::StrCat("the request would take ", absl::FormatDuration(admission.estimated_time),
                   " by the server's estimate; its deadline is in ", absl::FormatDuration(left)));
}

void AdmissionController::CountRefusal(const absl::Status& status) const {
  if (metrics_ != nullptr) metrics_->AdmissionRejected(ReasonOf(status));
}

absl::Duration AdmissionController::BacklogTime() const {
  if (!backlog_time_.has_value()) backlog_time_ = pricing_.BacklogTime(images_);
  return *backlog_time_;
}

}  // namespace hmar
