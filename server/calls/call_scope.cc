#include "server/calls/call_scope.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/status_macros.h"
#include "server/base/errors.h"
#include "server/calls/allowed_models.h"
#include "server/wire/status_details.h"

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
  if (caller_.key != nullptr) record_.key = caller_.principal;
  active_calls_->Begin();
}

CallOrigin CallScope::origin() const {
  CallOrigin origin;
  origin.client = caller_.principal;
  origin.deadline = caller_.deadline;
  origin.answer_by = caller_.deadline - TransitTime(caller_.deadline - arrived_at_);
  if (caller_.key == nullptr) return origin;
  origin.weight = caller_.key->key.weight;
  origin.max_queued_images = caller_.key->key.max_queued_images;
  if (context_->metrics != nullptr) origin.meter = context_->metrics->MeterOf(caller_.principal);
  return origin;
}

absl::StatusOr<ResolvedRequest> CallScope::Resolve(const v1::GenerateRequest& request) {
  return ResolveAs(request, request.model());
}

absl::StatusOr<ResolvedRequest> CallScope::Resolve(const v1::GenerateImagesRequest& request) {
  return ResolveAs(request, request.request().model());
}

// Whether it may before whether it is right: a key learns nothing of other keys' models.
template <typename Request>
absl::StatusOr<ResolvedRequest> CallScope::ResolveAs(const Request& request,
                                                     const std::string& model) {
  HMAR_RETURN_IF_ERROR(CheckModel(model));
  HMAR_ASSIGN_OR_RETURN(ResolvedRequest resolved,
                        hmar::Resolve(request, request_id(), context_->validation()));
  Describe(resolved);
  if (caller_.key != nullptr) {
    HMAR_RETURN_IF_ERROR(Counted(caller_.key->CheckPriority(resolved.job.priority)));
  }
  HMAR_RETURN_IF_ERROR(Counted(context_->scheduler->CheckOpen()));
  HMAR_RETURN_IF_ERROR(TakeImages(resolved));
  return resolved;
}

absl::Status CallScope::CheckModel(const std::string& name) const {
  if (caller_.key == nullptr) return absl::OkStatus();
  return Counted(AllowedModel(*context_->catalog, caller_.key.get(), name).status());
}

absl::Status CallScope::TakeImages(const ResolvedRequest& request) {
  if (caller_.key == nullptr) return absl::OkStatus();
  const uint32_t images = request.job.images;
  const ImageAllowance& allowance = *caller_.key->allowance;
  if (const uint32_t most = allowance.most().value_or(images); images > most) {
    return InvalidRequest(
        {{Reason::kFieldOutOfRange, request.field_prefix + "num_images",
          absl::StrCat(images, "; key ", caller_.principal, " may make ", most, " a minute")}});
  }
  if (request.validate_only) return absl::OkStatus();
  return Counted(caller_.key->TakeImages(images, &images_));
}

absl::Status CallScope::Counted(absl::Status status) const {
  if (!status.ok() && context_->metrics != nullptr) {
    context_->metrics->AdmissionRejected(ReasonOf(status));
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
  if (record_.images_accepted > 0) images_.Keep();
  images_ = {};
  if (context_->metrics != nullptr) {
    context_->metrics->RequestDone(record_.model, record_.code, record_.took);
  }
  if (caller_.key != nullptr && context_->metrics != nullptr) {
    context_->metrics->MeterOf(caller_.principal)->ImagesSent(images_sent);
  }
  context_->access_log->Write(record_);
  place_ = {};
  active_calls_->End();
}

}  // namespace hmar
