#include "server/calls/generation.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/status_macros.h"
#include "server/base/errors.h"
#include "server/base/exceptions.h"
#include "server/calls/image_encoder.h"
#include "server/wire/api_messages.h"

namespace hmar {
namespace {

std::vector<std::shared_ptr<EncoderPool::Strand>> NewStrands(const EncoderPool& pool,
                                                             uint32_t count) {
  std::vector<std::shared_ptr<EncoderPool::Strand>> strands;
  strands.reserve(count);
  for (uint32_t i = 0; i < count; ++i) strands.push_back(pool.NewStrand());
  return strands;
}

// What the scheduler says of a failed request, with the reason that the API gives it.
absl::Status Explain(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kResourceExhausted:
      return WithReason(status, Reason::kOutOfMemory);
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kCancelled:
      return status;
    default:
      return WithReason(status, Reason::kGenerationFailed);
  }
}

}  // namespace

Generation::Generation(const ServiceContext* context, ResolvedRequest request, CallOrigin origin,
                       std::shared_ptr<EventSink> sink)
    : context_(context),
      origin_(std::move(origin)),
      sink_(std::move(sink)),
      intake_(IntakeOf(&request)),
      request_(std::move(request)),
      started_at_(context->clock->Now()),
      strands_(NewStrands(*context->encoder, request_.validate_only ? 0 : request_.job.images)),
      images_left_(request_.job.images) {}

// Takes the files out of the request.
std::unique_ptr<EditIntake> Generation::IntakeOf(ResolvedRequest* request) const {
  if (!request->edit.has_value()) return nullptr;
  return std::make_unique<EditIntake>(context_, std::move(*request->edit),
                                      context_->catalog->models()[request->job.model].config,
                                      origin_.client, request->field_prefix);
}

absl::Status Generation::Start() {
  if (!request_.validate_only) {
    HMAR_RETURN_IF_ERROR(context_->admission->CheckWayOut(origin_.client));
  }
  if (intake_ == nullptr) return Submit();
  return intake_->Start([self = shared_from_this()](absl::StatusOr<PreparedEdit> edit) {
    self->OnEditRead(std::move(edit));
  });
}

void Generation::OnEditRead(absl::StatusOr<PreparedEdit> edit) {
  absl::Status status = edit.status();
  if (status.ok()) {
    edit_ = *std::move(edit);
    try {
      status = Submit();
    } catch (...) {
      status = StatusOfException("an edit");
    }
  }
  if (!status.ok() && !ended_.exchange(true, std::memory_order_acq_rel)) sink_->OnFailed(status);
}

absl::Status Generation::Submit() {
  if (request_.validate_only) return Price();
  const absl::Time now = context_->clock->Now();
  HMAR_ASSIGN_OR_RETURN(const Admission admission, context_->scheduler->Submit(MakeWork()));
  accepted_.store(true, std::memory_order_release);
  bool cancel = false;
  {
    absl::MutexLock lock(&mutex_);
    work_id_ = admission.id;
    submitted_at_ = now;
    estimated_time_ = admission.estimated_time;
    cancel = cancelled_;
  }
  if (cancel) context_->scheduler->Cancel(admission.id);
  sink_->OnAccepted(AcceptedMessage(request_, model(), admission));
  return absl::OkStatus();
}

absl::Status Generation::Price() {
  HMAR_ASSIGN_OR_RETURN(const Admission admission, context_->scheduler->Price(MakeWork()));
  sink_->OnAccepted(AcceptedMessage(request_, model(), admission));
  v1::Completed completed;
  *completed.mutable_queued() = ToProto(absl::ZeroDuration());
  *completed.mutable_total() = ToProto(context_->clock->Now() - started_at_);
  sink_->OnCompleted(std::move(completed));
  return absl::OkStatus();
}

void Generation::Cancel() {
  ended_.store(true, std::memory_order_release);
  if (intake_ != nullptr) intake_->Cancel();
  std::optional<WorkId> id;
  {
    absl::MutexLock lock(&mutex_);
    cancelled_ = true;
    id = work_id_;
  }
  if (id.has_value()) context_->scheduler->Cancel(*id);
}

void Generation::CountDroppedPreviews(uint32_t previews) {
  {
    absl::MutexLock lock(&mutex_);
    costs_.previews_dropped += previews;
  }
  if (context_->metrics == nullptr) return;
  for (uint32_t i = 0; i < previews; ++i) {
    context_->metrics->PreviewDropped(request_.job.model, request_.job.prototype.preview_mode);
  }
}

uint32_t Generation::images_accepted() const {
  return accepted_.load(std::memory_order_acquire) ? request_.job.images : 0;
}

CallCosts Generation::costs() const {
  absl::MutexLock lock(&mutex_);
  return costs_;
}

void Generation::OnPreview(uint32_t index, uint32_t scale, Picture picture) {
  EndIfThrown([&] { PostPreview(index, scale, std::move(picture)); });
}

void Generation::OnImage(uint32_t index, FinishedImage image) {
  EndIfThrown([&] { PostImage(index, std::move(image)); });
}

void Generation::PostPreview(uint32_t index, uint32_t scale, Picture picture) {
  const size_t bytes = picture.rgb.size();
  const uint32_t dropped = context_->encoder->PostPreview(
      strands_[index], bytes,
      [self = shared_from_this(), index, scale,
       picture = std::move(picture)](uint32_t skipped) mutable {
        self->RunEncoding(
            [&] { return self->EncodePreview(index, scale, std::move(picture), skipped); });
      });
  if (dropped > 0) CountDroppedPreviews(dropped);
}

void Generation::PostImage(uint32_t index, FinishedImage image) {
  NoteCosts(image);
  const size_t bytes = image.picture.rgb.size();
  context_->encoder->PostFinal(
      strands_[index], bytes,
      [self = shared_from_this(), index, image = std::move(image),
       ticket = context_->admission->HoldPicture(origin_.client, bytes),
       now = context_->clock->Now()]() mutable {
        self->RunEncoding([&] { return self->EncodeImage(index, std::move(image), now); });
      });
}

// Perhaps before Submit has returned, if another thread submits.
void Generation::OnFailed(const absl::Status& status) {
  accepted_.store(true, std::memory_order_release);
  ended_.store(true, std::memory_order_release);
  sink_->OnFailed(Explain(status));
}

Work Generation::MakeWork() {
  Work work;
  work.job = request_.job;
  work.job.prototype.keep = edit_.keep;
  work.origin = origin_;
  work.picture = edit_.picture;
  work.listener = shared_from_this();
  return work;
}

void Generation::NoteCosts(const FinishedImage& image) {
  absl::MutexLock lock(&mutex_);
  costs_.queued = images_noted_ == 0 ? image.queued : std::min(costs_.queued, image.queued);
  costs_.ran = context_->clock->Now() - started_at_ - costs_.queued;
  for (const ScaleCost& cost : image.scales) costs_.device_seconds += cost.device_seconds;
  ++images_noted_;
}

void Generation::Composite(Picture* picture) const {
  if (edit_.compositor != nullptr) edit_.compositor->Apply(picture);
}

// What goes wrong with a picture, on a device's thread or the encoder's, ends the call alone.
template <typename Call>
void Generation::EndIfThrown(Call call) {
  try {
    return call();
  } catch (...) {
    End(StatusOfException("a finished picture"));
  }
}

// A job of the encoder's.
template <typename Encoding>
void Generation::RunEncoding(Encoding encode) {
  if (ended()) return;
  EndIfThrown([&] {
    if (const absl::Status status = encode(); !status.ok()) End(status);
  });
}

void Generation::End(const absl::Status& status) {
  if (ended_.exchange(true, std::memory_order_acq_rel)) return;
  Cancel();
  sink_->OnFailed(status);
}

absl::Status Generation::EncodePreview(uint32_t index, uint32_t scale, Picture picture,
                                       uint32_t skipped) {
  Composite(&picture);
  v1::Preview message = PreviewMessage(model().config, index, scale);
  *message.mutable_picture() = PictureMessage(picture, request_.output);
  HMAR_ASSIGN_OR_RETURN(*message.mutable_picture()->mutable_data(), PictureBytes(picture, ""));
  sink_->OnPreview(std::move(message), skipped);
  return absl::OkStatus();
}

absl::Status Generation::EncodeImage(uint32_t index, FinishedImage image, absl::Time finished_at) {
  Composite(&image.picture);
  v1::Image message = ImageMessage(request_, index, image);
  if (edit_.keep != nullptr) SetGeneratedTokens((*edit_.keep)[image.tokens.size() - 1], &message);
  const UploadRecord* upload = request_.edit.has_value() ? &edit_.upload : nullptr;
  *message.mutable_receipt() = ReceiptMessage(request_, model(), index, upload, image, finished_at);
  HMAR_ASSIGN_OR_RETURN(
      *message.mutable_picture()->mutable_data(),
      PictureBytes(image.picture,
                   request_.output.embeds_receipt() ? ReceiptJson(message.receipt()) : ""));
  sink_->OnImage(std::move(message));
  context_->scheduler->ObserveDelivery(context_->clock->Now() - finished_at);
  ImageSent();
  return absl::OkStatus();
}

absl::StatusOr<std::string> Generation::PictureBytes(const Picture& picture,
                                                     const std::string& receipt_json) {
  const absl::Time start = context_->clock->Now();
  auto bytes = EncodePicture(picture, request_.output, receipt_json);
  if (context_->metrics != nullptr && request_.output.format != PictureFormat::kRgb8) {
    context_->metrics->PictureEncoded(context_->clock->Now() - start);
  }
  if (!bytes.ok()) return WithReason(bytes.status(), Reason::kEncodingFailed);
  return bytes;
}

// A request that was finished before its estimate was noted here has none to hold it against.
void Generation::CountEstimate() const {
  if (context_->metrics == nullptr) return;
  absl::MutexLock lock(&mutex_);
  context_->metrics->RequestEstimated(request_.job.model, estimated_time_,
                                      context_->clock->Now() - submitted_at_);
}

void Generation::ImageSent() {
  if (images_left_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  CountEstimate();
  v1::Completed completed;
  completed.set_images(request_.job.images);
  *completed.mutable_queued() = ToProto(costs().queued);
  *completed.mutable_total() = ToProto(context_->clock->Now() - started_at_);
  sink_->OnCompleted(std::move(completed));
}

}  // namespace hmar
