#include "server/calls/streamed_call.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"

namespace hmar {

StreamedCall::StreamedCall(CallScope scope)
    : call_(std::move(scope)),
      account_(call_.context().deliveries),
      mailbox_(call_.context().mailbox, &account_) {}

absl::Status StreamedCall::StartGeneration(ResolvedRequest request,
                                           std::shared_ptr<EventSink> self) {
  auto generation = std::make_shared<Generation>(&call_.context(), std::move(request),
                                                 call_.origin(), std::move(self));
  {
    absl::MutexLock lock(&mutex_);
    generation_ = generation;
  }
  return generation->Start();
}

void StreamedCall::OnAccepted(v1::Accepted accepted) {
  v1::GenerateResponse event;
  *event.mutable_accepted() = std::move(accepted);
  mailbox_.Open(std::move(event));
  Pump();
}

void StreamedCall::OnPreview(v1::Preview preview, uint32_t skipped) {
  v1::GenerateResponse event;
  *event.mutable_preview() = std::move(preview);
  CountDropped(mailbox_.PutPreview(std::move(event), skipped));
  Pump();
}

void StreamedCall::OnImage(v1::Image image) {
  v1::GenerateResponse event;
  *event.mutable_image() = std::move(image);
  PutFinal(std::move(event));
}

void StreamedCall::OnCompleted(v1::Completed completed) {
  v1::GenerateResponse event;
  *event.mutable_completed() = std::move(completed);
  PutFinal(std::move(event));
}

void StreamedCall::PutFinal(v1::GenerateResponse event) {
  uint32_t dropped = 0;
  const bool held = mailbox_.PutFinal(std::move(event), &dropped);
  CountDropped(dropped);
  if (held) {
    Pump();
    return call_.context().deliveries->Relieve();
  }
  Abandon(ErrorOf(Reason::kClientTooSlow,
                  absl::StrCat("more than ", call_.context().mailbox.max_bytes,
                               " bytes of images wait for the client to read them")));
}

void StreamedCall::Abandon(const absl::Status& status) {
  if (const std::shared_ptr<Generation> generation = this->generation()) generation->Cancel();
  mailbox_.Close();
  End(status);
}

void StreamedCall::CountPreviewSent() {
  bool first = false;
  std::shared_ptr<Generation> generation;
  {
    absl::MutexLock lock(&mutex_);
    first = !std::exchange(preview_sent_, true);
    generation = generation_;
  }
  Metrics* const metrics = call_.context().metrics;
  if (metrics == nullptr || generation == nullptr) return;
  const ResolvedRequest& request = generation->request();
  metrics->PreviewSent(request.job.model, request.job.prototype.preview_mode);
  if (first) {
    metrics->FirstPreview(request.job.model, call_.context().clock->Now() - call_.arrived_at());
  }
}

void StreamedCall::CountDropped(uint32_t previews) {
  if (previews == 0) return;
  if (const std::shared_ptr<Generation> generation = this->generation()) {
    generation->CountDroppedPreviews(previews);
  }
}

std::shared_ptr<Generation> StreamedCall::generation() const {
  absl::MutexLock lock(&mutex_);
  return generation_;
}

std::shared_ptr<Generation> StreamedCall::TakeGeneration() {
  absl::MutexLock lock(&mutex_);
  return std::move(generation_);
}

}  // namespace hmar
