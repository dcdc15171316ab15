#include "server/calls/call_scope.h"

#include <grpc/support/time.h>

#include <algorithm>
#include <utility>

#include "server/base/errors.h"
#include "server/calls/principal.h"
#include "server/wire/status_details.h"

namespace hmar {
namespace {

// Not call.deadline(): std::chrono's time ends in 2262, and beyond it the deadline would be any
// time, also one that has passed.
absl::Time DeadlineOf(const grpc::CallbackServerContext& call) {
  const gpr_timespec deadline = gpr_convert_clock_type(call.raw_deadline(), GPR_CLOCK_REALTIME);
  if (deadline.tv_sec == gpr_inf_future(GPR_CLOCK_REALTIME).tv_sec) return absl::InfiniteFuture();
  return absl::FromUnixSeconds(deadline.tv_sec) + absl::Nanoseconds(deadline.tv_nsec);
}

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

CallScope::CallScope(const ServiceContext* context, ActiveCalls* active_calls,
                     const grpc::CallbackServerContext& call, std::string method,
                     std::string request_id, Quota::Ticket place)
    : context_(context),
      active_calls_(active_calls),
      arrived_at_(context->clock->Now()),
      deadline_(DeadlineOf(call)),
      place_(std::move(place)) {
  record_.method = std::move(method);
  record_.request_id = std::move(request_id);
  record_.client = call.peer();
  principal_ = PrincipalOfCall(call, context->trust_forwarded_for);
  active_calls_->Begin();
}

CallOrigin CallScope::origin() const {
  return {principal_, deadline_, deadline_ - TransitTime(deadline_ - arrived_at_)};
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
  if (context_->clock->Now() >= deadline_ - DeadlineSlack(deadline_ - arrived_at_)) {
    return ErrorOf(Reason::kDeadlineExceeded, "the deadline passed before the last image");
  }
  return ErrorOf(Reason::kCancelled, "the call was cancelled");
}

grpc::Status CallScope::ToGrpc(const absl::Status& status) const {
  return ToGrpcStatus(status, request_id());
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
