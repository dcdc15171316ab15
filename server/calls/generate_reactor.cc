#include "server/calls/generate_reactor.h"

#include <utility>

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
    : StreamedCall(std::move(scope)), canceller_(call) {}

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
  return StartGeneration(std::move(resolved), shared_from_this());
}

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
  const std::shared_ptr<Generation> generation = TakeGeneration();
  absl::Status status;
  uint32_t images_sent = 0;
  {
    absl::MutexLock lock(&mutex_);
    self = std::move(self_);
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
  if (current_.has_preview()) CountPreviewSent();
  absl::MutexLock lock(&mutex_);
  if (current_.has_image()) ++images_sent_;
}

}  // namespace hmar
