#include "server/calls/generate_reactor.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "model/status_macros.h"
#include "server/base/errors.h"
#include "server/base/exceptions.h"
#include "server/wire/status_details.h"

namespace hmar {

grpc::ServerWriteReactor<v1::GenerateResponse>* GenerateReactor::Start(
    const ServiceContext* context, ActiveCalls* active_calls, grpc::CallbackServerContext* call,
    ReceivedRequest<v1::GenerateRequest> request) {
  auto reactor = std::make_shared<GenerateReactor>(
      CallScope(context, active_calls, std::move(request.visit), "Generate",
                RequestIdOf(request.message, context->random)),
      call);
  reactor->account_.Open(reactor, reactor->call_.origin().client);
  {
    absl::MutexLock lock(&reactor->mutex_);
    reactor->self_ = reactor;
  }
  reactor->Begin(request);
  return reactor.get();
}

GenerateReactor::GenerateReactor(CallScope scope, grpc::CallbackServerContext* call)
    : call_(std::move(scope)),
      canceller_(call),
      account_(call_.context().deliveries),
      mailbox_(call_.context().mailbox, &account_) {}

void GenerateReactor::Begin(const ReceivedRequest<v1::GenerateRequest>& request) {
  absl::Status status;
  try {
    status = Admit(request);
  } catch (...) {
    status = StatusOfException("the request");
  }
  if (!status.ok()) Abandon(status);
}

absl::Status GenerateReactor::Admit(const ReceivedRequest<v1::GenerateRequest>& request) {
  HMAR_RETURN_IF_ERROR(request.status);
  HMAR_ASSIGN_OR_RETURN(ResolvedRequest resolved, call_.Resolve(request.message));
  auto generation = std::make_shared<Generation>(&call_.context(), std::move(resolved),
                                                 call_.origin(), shared_from_this());
  {
    absl::MutexLock lock(&mutex_);
    generation_ = generation;
  }
  return generation->Start();
}

void GenerateReactor::OnAccepted(v1::Accepted accepted) {
  v1::GenerateResponse event;
  *event.mutable_accepted() = std::move(accepted);
  mailbox_.Open(std::move(event));
  Pump();
}

void GenerateReactor::OnPreview(v1::Preview preview, uint32_t skipped) {
  v1::GenerateResponse event;
  *event.mutable_preview() = std::move(preview);
  CountDropped(mailbox_.PutPreview(std::move(event), skipped));
  Pump();
}

void GenerateReactor::OnImage(v1::Image image) {
  v1::GenerateResponse event;
  *event.mutable_image() = std::move(image);
  PutFinal(std::move(event));
}

void GenerateReactor::OnCompleted(v1::Completed completed) {
  v1::GenerateResponse event;
  *event.mutable_completed() = completed;
  PutFinal(std::move(event));
}

// What was finished before still goes out.
void GenerateReactor::OnFailed(const absl::Status& status) { End(status); }

void GenerateReactor::PutFinal(v1::GenerateResponse event) {
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

void GenerateReactor::DropPreviews() { CountDropped(mailbox_.DropPreviews()); }

bool GenerateReactor::Relieve(const std::string& message) {
  bool ended = false;
  {
    absl::MutexLock lock(&mutex_);
    ended = end_.has_value() || finished_;
  }
  if (!ended || mailbox_.held_bytes() > 0) {
    Abandon(ErrorOf(Reason::kClientTooSlow, message));
    return true;
  }
  Stop(message);
  return false;
}

void GenerateReactor::Stop(const std::string& message) {
  const absl::Status status = ErrorOf(Reason::kClientTooSlow, message);
  Abandon(status);
  {
    absl::MutexLock lock(&mutex_);
    if (!end_.has_value()) end_ = status;  // For the books: what was said last has not arrived.
  }
  canceller_.Cancel();
}

void GenerateReactor::OnWriteDone(bool ok) {
  account_.EndSend();
  mailbox_.Sent();
  if (ok) CountWritten();
  {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
  }
  if (!ok) return Abandon(call_.WhyCancelled());
  Pump();
}

void GenerateReactor::OnCancel() { Abandon(call_.WhyCancelled()); }

void GenerateReactor::OnDone() {
  canceller_.Done();
  account_.Close();
  mailbox_.Close();
  std::shared_ptr<GenerateReactor> self;
  std::shared_ptr<Generation> generation;
  absl::Status status;
  uint32_t images_sent = 0;
  {
    absl::MutexLock lock(&mutex_);
    self = std::move(self_);
    generation = std::move(generation_);
    status = end_.value_or(absl::OkStatus());
    images_sent = images_sent_;
  }
  call_.Done(status, generation.get(), images_sent);
}

void GenerateReactor::End(const absl::Status& status) {
  {
    absl::MutexLock lock(&mutex_);
    if (!end_.has_value() && !finished_) end_ = status;
  }
  Pump();
}

// Ends the call now: nothing more is made, what is unsent is dropped.
void GenerateReactor::Abandon(const absl::Status& status) {
  if (const std::shared_ptr<Generation> generation = this->generation()) generation->Cancel();
  mailbox_.Close();
  End(status);
}

void GenerateReactor::Pump() {
  std::optional<absl::Status> finish;
  bool last = false;
  {
    absl::MutexLock lock(&mutex_);
    if (writing_ || finished_) return;
    if (std::optional<v1::GenerateResponse> event = mailbox_.Take()) {
      current_ = *std::move(event);
      last = current_.has_completed();
      writing_ = true;
    } else if (end_.has_value()) {
      finish = end_;
    } else {
      return;
    }
    finished_ = last || finish.has_value();
  }
  account_.BeginSend();
  if (finish.has_value()) return Finish(ToGrpcStatus(*finish, call_.request_id()));
  if (last) return StartWriteAndFinish(&current_, grpc::WriteOptions(), grpc::Status::OK);
  StartWrite(&current_);
  call_.context().deliveries->Relieve();  // What gRPC has of it came on top.
}

void GenerateReactor::CountWritten() {
  bool first_preview = false;
  std::shared_ptr<Generation> generation;
  {
    absl::MutexLock lock(&mutex_);
    if (current_.has_image()) ++images_sent_;
    if (!current_.has_preview()) return;
    first_preview = !std::exchange(preview_sent_, true);
    generation = generation_;
  }
  Metrics* metrics = call_.context().metrics;
  if (metrics == nullptr || generation == nullptr) return;
  const ResolvedRequest& request = generation->request();
  metrics->PreviewSent(request.job.model, request.job.prototype.preview_mode);
  if (first_preview) {
    metrics->FirstPreview(request.job.model, call_.context().clock->Now() - call_.arrived_at());
  }
}

void GenerateReactor::CountDropped(uint32_t previews) {
  if (previews == 0) return;
  if (const std::shared_ptr<Generation> generation = this->generation()) {
    generation->CountDroppedPreviews(previews);
  }
}

std::shared_ptr<Generation> GenerateReactor::generation() const {
  absl::MutexLock lock(&mutex_);
  return generation_;
}

}  // namespace hmar
