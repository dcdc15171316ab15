#include "server/calls/generation.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "model/status_macros.h"
#include "server/base/errors.h"
#include "server/calls/image_encoder.h"
#include "server/wire/api_messages.h"

namespace hmar {
namespace {

std::vector<std::shared_ptr<EncoderPool::Strand>> NewStrands(const EncoderPool& pool,
                                                             uint32_t count) {
  std::vector<std::shared_ptr<EncoderPool::Strand>> strands;
  for (uint32_t i = 0; i < count; ++i) strands.push_back(pool.NewStrand());
  return strands;
}

size_t UploadedBytes(const EditUpload& upload) {
  const auto* mask = std::get_if<GenerateMask>(&upload.region);
  return upload.image_png.size() + (mask == nullptr ? 0 : mask->png.size());
}

// What is kept of an upload until its call ends: the picture, what the compositor makes of it, keep
// maps.
size_t KeptBytes(const ModelConfig& config) {
  const auto side = static_cast<size_t>(config.image_size);
  return side * side * (3 + 4 * sizeof(float)) + static_cast<size_t>(config.total_tokens());
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
      upload_(request.edit.has_value() ? std::move(request.edit->upload) : EditUpload()),
      request_(std::move(request)),
      origin_(std::move(origin)),
      sink_(std::move(sink)),
      started_at_(context->clock->Now()),
      strands_(NewStrands(*context->encoder, request_.validate_only ? 0 : request_.job.images)),
      images_left_(request_.job.images) {}

absl::Status Generation::Start() {
  const size_t waiting = request_.validate_only ? 0 : context_->encoder->waiting_bytes();
  if (waiting > context_->encoder_backlog_bytes) {
    return ErrorOf(Reason::kEncoderBacklog,
                   absl::StrCat(waiting, " bytes of pictures wait for the encoder; at most ",
                                context_->encoder_backlog_bytes));
  }
  return request_.edit.has_value() ? ReadLater() : Submit();
}

absl::Status Generation::ReadLater() {
  const size_t read = KeptBytes(model().config);
  const size_t bytes = UploadedBytes(upload_) + read;
  std::optional<ByteBudget::Share> share = context_->upload_budget->Take(bytes);
  if (!share.has_value()) {
    if (context_->metrics != nullptr) {
      context_->metrics->AdmissionRejected(RejectReason::kUploadBacklog);
    }
    return ErrorOf(Reason::kUploadBacklog,
                   absl::StrCat("the request's upload needs ", bytes, " bytes, others hold ",
                                context_->upload_budget->held_bytes(), "; the limit is ",
                                context_->upload_budget->limit_bytes()));
  }
  upload_bytes_ = *std::move(share);
  context_->upload_readers->PostFinal(context_->upload_readers->NewStrand(), bytes,
                                      [self = shared_from_this(), read] {
                                        self->ReadUpload();
                                        self->upload_bytes_.ShrinkTo(read);
                                      });
  return absl::OkStatus();
}

void Generation::ReadUpload() {
  const EditUpload upload = std::exchange(upload_, {});
  if (ended()) return;
  const absl::Time start = context_->clock->Now();
  absl::StatusOr<PreparedEdit> edit = PrepareEdit(upload, *request_.edit, model().config,
                                                  context_->limits.upload, request_.field_prefix);
  if (context_->metrics != nullptr) context_->metrics->UploadRead(context_->clock->Now() - start);
  absl::Status status = edit.status();
  if (status.ok()) {
    edit_ = *std::move(edit);
    status = Submit();
  }
  if (status.ok()) return;
  ended_.store(true, std::memory_order_release);
  sink_->OnFailed(status);
}

absl::Status Generation::Submit() {
  if (request_.validate_only) return Price();
  HMAR_ASSIGN_OR_RETURN(const Admission admission, context_->scheduler->Submit(MakeWork()));
  bool cancel = false;
  {
    absl::MutexLock lock(&mutex_);
    work_id_ = admission.id;
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

CallCosts Generation::costs() const {
  absl::MutexLock lock(&mutex_);
  return costs_;
}

void Generation::OnPreview(uint32_t index, uint32_t scale, Picture picture) {
  const size_t bytes = picture.rgb.size();
  const uint32_t dropped = context_->encoder->PostPreview(
      strands_[index], bytes,
      [self = shared_from_this(), index, scale,
       picture = std::move(picture)](uint32_t skipped) mutable {
        self->EncodePreview(index, scale, std::move(picture), skipped);
      });
  if (dropped > 0) CountDroppedPreviews(dropped);
}

void Generation::OnImage(uint32_t index, FinishedImage image) {
  NoteCosts(image);
  const size_t bytes = image.picture.rgb.size();
  context_->encoder->PostFinal(strands_[index], bytes,
                               [self = shared_from_this(), index, image = std::move(image),
                                now = context_->clock->Now()]() mutable {
                                 self->EncodeImage(index, std::move(image), now);
                               });
}

void Generation::OnFailed(const absl::Status& status) {
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

void Generation::EncodePreview(uint32_t index, uint32_t scale, Picture picture, uint32_t skipped) {
  if (ended()) return;
  Composite(&picture);
  v1::Preview message = PreviewMessage(model().config, index, scale);
  *message.mutable_picture() = PictureMessage(picture, request_.output.format);
  absl::StatusOr<std::string> bytes = PictureBytes(picture, "");
  if (!bytes.ok()) return FailEncoding(bytes.status());
  message.mutable_picture()->set_data(*std::move(bytes));
  sink_->OnPreview(std::move(message), skipped);
}

void Generation::EncodeImage(uint32_t index, FinishedImage image, absl::Time finished_at) {
  if (ended()) return;
  Composite(&image.picture);
  v1::Image message = ImageMessage(request_, index, image);
  if (edit_.keep != nullptr) SetGeneratedTokens(edit_.keep->back(), &message);
  const UploadRecord* upload = request_.edit.has_value() ? &edit_.upload : nullptr;
  *message.mutable_receipt() = ReceiptMessage(request_, model(), index, upload, image, finished_at);
  absl::StatusOr<std::string> bytes = PictureBytes(
      image.picture, request_.output.receipt_in_png ? ReceiptJson(message.receipt()) : "");
  if (!bytes.ok()) return FailEncoding(bytes.status());
  message.mutable_picture()->set_data(*std::move(bytes));
  sink_->OnImage(std::move(message));
  ImageSent();
}

absl::StatusOr<std::string> Generation::PictureBytes(const Picture& picture,
                                                     std::string receipt_json) {
  if (request_.output.format == PictureFormat::kRgb8) {
    return std::string(picture.rgb.begin(), picture.rgb.end());
  }
  const absl::Time start = context_->clock->Now();
  auto png = EncodePng(picture, {request_.output.png_compression, std::move(receipt_json)});
  if (context_->metrics != nullptr) {
    context_->metrics->PictureEncoded(context_->clock->Now() - start);
  }
  return png;
}

void Generation::ImageSent() {
  if (images_left_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  v1::Completed completed;
  completed.set_images(request_.job.images);
  *completed.mutable_queued() = ToProto(costs().queued);
  *completed.mutable_total() = ToProto(context_->clock->Now() - started_at_);
  sink_->OnCompleted(std::move(completed));
}

void Generation::FailEncoding(const absl::Status& status) {
  Cancel();
  sink_->OnFailed(WithReason(status, Reason::kEncodingFailed));
}

}  // namespace hmar
