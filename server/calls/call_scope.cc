#include "server/calls/call_scope.h"

#include <algorithm>
#include <utility>

#include "server/base/errors.h"

namespace hmar {
namespace {

// How much before the server's deadline an answer must leave: gRPC has rounded up the client's by
// one in a hundred at most, and both ways have taken their time, which nobody here can measure.
absl::Duration TransitTime(absl::Duration allowed) { return absl::Milliseconds(5) + allowed / 100; }

// The server's deadline lies a little behind the client's: gRPC sends the time left, rounded up to
// two or three digits, and the server counts from the arrival. A client's own deadline comes as a
// cancel, so a cancel this short before ours is that deadline.
absl::Duration DeadlineSlack(absl::Duration allowed) {
  return std::max(absl::Milliseconds(100), allowed / 50);
}

}  // namespace

CallScope::CallScope(const ServiceContext* context, ActiveCalls* active_calls, Visit visit,
                     std::string method, std::string request_id)
    : context_(context),
      active_calls_(active_calls),
      arrived_at_(context->clock->Now()),
      caller_(std::move(visit.caller)),
      place_(std::move(visit.place)) {
  record_.method = std::move(method);
  record_.request_id = std::move(request_id);
  record_.client = caller_.peer;
  active_calls_->Begin();
}

CallOrigin CallScope::origin() const {
  const absl::Time deadline = caller_.deadline;
  return {caller_.principal, deadline, deadline - TransitTime(deadline - arrived_at_)};
}

absl::Status CallScope::CheckOpen() const {
  absl::Status status = context_->scheduler->CheckOpen();
  if (!status.ok() && context_->metrics != nullptr) {
    const bool early = ReasonOf(status) == Reason::kNotReady;
    context_->metrics->AdmissionRejected(early ? RejectReason::kNotReady : RejectReason::kDraining);
  }
  return status;
}

void CallScope::Describe(const ResolvedRequest& request) {
  record_.model = request.job.model;
  record_.model_name = context_->catalog->models()[request.job.model].config.name;
  record_.class_id = request.job.prototype.class_id;
  record_.edit = request.edit.has_value();
  record_.images = request.job.images;
}

absl::Status CallScope::WhyCancelled() const {
  const absl::Time deadline = caller_.deadline;
  if (context_->clock->Now() >= deadline - DeadlineSlack(deadline - arrived_at_)) {
    return ErrorOf(Reason::kDeadlineExceeded, "the deadline passed before the last image");
  }
  return ErrorOf(Reason::kCancelled, "the call was cancelled");
}

void CallScope::Done(const absl::Status& status, const Generation* generation,
                     uint32_t images_sent) {
  record_.code = status.code();
  record_.reason = ReasonName(status);
  record_.images_sent = images_sent;
  record_.took = context_->clock->Now() - arrived_at_;
  if (generation != nullptr) {
    record_.costs = generation->costs();
    record_.images_accepted = generation->images_accepted();
  }
  if (context_->metrics != nullptr) {
    context_->metrics->RequestDone(record_.model, record_.code, record_.took);
  }
  context_->access_log->Write(record_);
  place_ = {};
  active_calls_->End();
}

}  // namespace hmar
