#include "client/load/call.h"

#include <chrono>
#include <utility>

#include "client/api_key.h"
#include "client/call_error.h"
#include "client/client.h"
#include "client/progress.h"
#include "client/reply_stream.h"
#include "client/upload_header.h"
#include "grpcpp/impl/codegen/proto_utils.h"
#include "model/status_macros.h"

namespace hmar::load {

Call::Call(const CallContext& context, const Kind& kind, const PlannedCall& planned,
           v1::GenerateRequest request, const std::string& forwarded_for, absl::Duration due,
           Done done)
    : context_(context),
      kind_(kind),
      seed_(planned.seed),
      streams_(kind.method != "generate_images"),
      request_(std::move(request)),
      done_(std::move(done)),
      check_(request_) {
  if (!streams_) *wrapped_.mutable_request() = request_;
  if (!forwarded_for.empty()) client_context_.AddMetadata("x-forwarded-for", forwarded_for);
  AddKey(context.key, client_context_);
  AddUpload(request_, client_context_);
  result_.kind = planned.kind;
  result_.due = due;
  result_.images_asked = request_.num_images();
}

void Call::SetDeadline() {
  if (kind_.deadline_ms == 0) return;
  const absl::Duration left =
      result_.due + absl::Milliseconds(kind_.deadline_ms) - context_.clock.Elapsed();
  client_context_.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMicroseconds(left));
}

void Call::SetTimers() {
  const auto cancel_at = [this](absl::Duration time, CallEnd end) {
    context_.timers.At(time, [weak = weak_from_this(), end] {
      if (const auto call = weak.lock()) call->Cancel(end);
    });
  };
  cancel_at(result_.due + context_.timeout, CallEnd::kTimedOut);
  if (kind_.cancel_after_ms > 0) {
    cancel_at(result_.due + absl::Milliseconds(kind_.cancel_after_ms), CallEnd::kCancelled);
  }
}

void Call::Start(const std::shared_ptr<grpc::Channel>& channel) {
  SetDeadline();
  ByteStub(channel).PrepareBidiStreamingCall(
      &client_context_, Method(streams_ ? "Generate" : "GenerateImages"), {}, this);
  AddHold();  // Reads of a slow reader come from no reaction.
  if (streams_) {
    StartWriteLast(&request_, {});
  } else {
    StartWriteLast(&wrapped_, {});
  }
  result_.sent = context_.clock.Elapsed();
  SetTimers();
  StartCall();
  ReadNext();
}

void Call::ReadNext() {
  if (kind_.read_delay_ms == 0) {
    StartRead(&bytes_);
    return;
  }
  // Strong: the hold keeps the call from ending before it reads.
  context_.timers.At(context_.clock.Elapsed() + absl::Milliseconds(kind_.read_delay_ms),
                     [self = shared_from_this()] { self->StartRead(&self->bytes_); });
}

void Call::Cancel(CallEnd end) {
  CallEnd none = CallEnd::kServer;
  if (end_.compare_exchange_strong(none, end)) client_context_.TryCancel();
}

void Call::OnReadDone(bool ok) {
  if (!ok) return RemoveHold();
  if (judgement_.ok()) judgement_ = TakeReply(context_.clock.Elapsed());
  if (!judgement_.ok()) client_context_.TryCancel();
  ReadNext();
}

absl::Status Call::TakeReply(absl::Duration now) {
  return streams_ ? TakeEvent(now) : TakeImagesReply(now);
}

absl::Status Call::TakeEvent(absl::Duration now) {
  HMAR_RETURN_IF_ERROR(ParseReply(bytes_, EventLimits(), event_));
  HMAR_RETURN_IF_ERROR(check_.Event(event_));
  if (event_.has_accepted()) {
    result_.accepted = now;
    // What a slow reader takes is not what the server estimates.
    if (kind_.read_delay_ms == 0) result_.estimated = ToAbsl(event_.accepted().estimated_time());
  }
  if (event_.has_preview() && !result_.first_preview) result_.first_preview = now;
  if (event_.has_image()) TakeImage(event_.image(), now);
  return absl::OkStatus();
}

absl::Status Call::TakeImagesReply(absl::Duration now) {
  if (std::exchange(replied_, true)) return absl::DataLossError("more than one reply");
  v1::GenerateImagesResponse reply;
  HMAR_RETURN_IF_ERROR(ParseReply(bytes_, ImagesReplyLimits(request_.num_images()), reply));
  HMAR_RETURN_IF_ERROR(CheckImagesReply(request_, {}, reply));
  for (const v1::Image& image : reply.images()) TakeImage(image, now);
  return absl::OkStatus();
}

void Call::TakeImage(const v1::Image& image, absl::Duration now) {
  result_.images.push_back(now);
  if (image.degraded()) {
    ++result_.degraded;  // How early it was finished depends on the load: so do its bytes.
  } else if (context_.memory != nullptr &&
             !context_.memory->SameAsBefore(result_.kind, seed_, image.image_index(),
                                            image.picture().data())) {
    ++result_.mismatched;
  }
}

// The client ended it only if the call did not end by itself first.
CallEnd Call::EndOf(const grpc::Status& status) const {
  if (!judgement_.ok() || status.error_code() != grpc::StatusCode::CANCELLED) {
    return CallEnd::kServer;
  }
  return end_.load();
}

void Call::OnDone(const grpc::Status& status) {
  result_.ended = context_.clock.Elapsed();
  result_.end = EndOf(status);
  if (judgement_.ok() && status.ok()) {
    judgement_ = streams_   ? check_.End()
                 : replied_ ? absl::OkStatus()
                            : absl::DataLossError("no reply");
  }
  result_.no_answer = !judgement_.ok();
  result_.status = judgement_.ok() ? StatusFromGrpc(status) : judgement_;
  if (judgement_.ok()) result_.reason = ErrorReason(result_.status);
  const Done done = std::move(done_);  // Once it has taken the call, nothing here is left.
  done(shared_from_this(), result_);
}

}  // namespace hmar::load
