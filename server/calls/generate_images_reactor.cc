#include "server/calls/generate_images_reactor.h"

#include <algorithm>
#include <utility>

#include "model/status_macros.h"
#include "server/base/errors.h"
#include "server/base/exceptions.h"
#include "server/wire/status_details.h"

namespace hmar {

grpc::ServerUnaryReactor* GenerateImagesReactor::Start(
    const ServiceContext* context, ActiveCalls* active_calls, grpc::CallbackServerContext* call,
    ReceivedRequest<v1::GenerateImagesRequest> request, v1::GenerateImagesResponse* response) {
  auto reactor = std::make_shared<GenerateImagesReactor>(
      CallScope(context, active_calls, std::move(request.visit), "GenerateImages",
                RequestIdOf(request.message.request(), context->random)),
      call, response);
  reactor->account_.Open(reactor, reactor->call_.origin().client);
  {
    absl::MutexLock lock(&reactor->mutex_);
    reactor->self_ = reactor;
  }
  reactor->Begin(request);
  return reactor.get();
}

GenerateImagesReactor::GenerateImagesReactor(CallScope scope, grpc::CallbackServerContext* call,
                                             v1::GenerateImagesResponse* response)
    : call_(std::move(scope)),
      canceller_(call),
      account_(call_.context().deliveries),
      response_(response) {}

void GenerateImagesReactor::Begin(const ReceivedRequest<v1::GenerateImagesRequest>& request) {
  absl::Status status;
  try {
    status = Admit(request);
  } catch (...) {
    status = StatusOfException("the request");
  }
  if (!status.ok()) End(status);
}

absl::Status GenerateImagesReactor::Admit(
    const ReceivedRequest<v1::GenerateImagesRequest>& request) {
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

void GenerateImagesReactor::OnAccepted(v1::Accepted accepted) {
  {
    absl::MutexLock lock(&mutex_);
    *gathered_.mutable_accepted() = std::move(accepted);
  }
  FinishIfComplete();
}

void GenerateImagesReactor::OnPreview(v1::Preview, uint32_t) {}

void GenerateImagesReactor::OnImage(v1::Image image) {
  const size_t bytes = image.ByteSizeLong();
  {
    absl::MutexLock lock(&mutex_);
    if (finished_) return;
    account_.Hold(Deliveries::Holding::kRest, bytes);
    gathered_bytes_ += bytes;
    *gathered_.add_images() = std::move(image);
  }
  call_.context().deliveries->Relieve();
}

void GenerateImagesReactor::OnCompleted(v1::Completed completed) {
  {
    absl::MutexLock lock(&mutex_);
    *gathered_.mutable_completed() = std::move(completed);
  }
  FinishIfComplete();
}

void GenerateImagesReactor::OnFailed(const absl::Status& status) { End(status); }

// While it gathers, the call waits for the server and not for its client.
bool GenerateImagesReactor::Relieve(const std::string& message) {
  if (End(ErrorOf(Reason::kDeliveryBacklog, message))) return true;
  Stop(message);
  return false;
}

void GenerateImagesReactor::Stop(const std::string& message) {
  const absl::Status status = ErrorOf(Reason::kClientTooSlow, message);
  if (!End(status)) {
    absl::MutexLock lock(&mutex_);
    end_.Update(status);  // For the books: what was said last has not arrived.
  }
  canceller_.Cancel();
}

void GenerateImagesReactor::OnCancel() { End(call_.WhyCancelled()); }

void GenerateImagesReactor::OnDone() {
  canceller_.Done();
  account_.Close();
  std::shared_ptr<GenerateImagesReactor> self;
  std::shared_ptr<Generation> generation;
  absl::Status status;
  uint32_t images_sent = 0;
  {
    absl::MutexLock lock(&mutex_);
    self = std::move(self_);
    generation = std::move(generation_);
    status = end_;
    if (status.ok()) images_sent = images_sent_;
  }
  call_.Done(status, generation.get(), images_sent);
}

bool GenerateImagesReactor::End(const absl::Status& status) {
  std::shared_ptr<Generation> generation;
  v1::GenerateImagesResponse dropped;  // Dies outside the lock.
  {
    absl::MutexLock lock(&mutex_);
    if (std::exchange(finished_, true)) return false;
    end_ = status;
    generation = generation_;
    dropped.Swap(&gathered_);
    account_.Release(Deliveries::Holding::kRest, gathered_bytes_);
  }
  if (generation != nullptr) generation->Cancel();
  account_.BeginSend();
  Finish(ToGrpcStatus(status, call_.request_id()));
  return true;
}

void GenerateImagesReactor::FinishIfComplete() {
  {
    absl::MutexLock lock(&mutex_);
    const bool complete = gathered_.has_accepted() && gathered_.has_completed();
    if (!complete || finished_) return;
    finished_ = true;
    images_sent_ = static_cast<uint32_t>(gathered_.images_size());
    *response_ = std::move(gathered_);
  }
  auto& images = *response_->mutable_images();
  std::sort(
      images.pointer_begin(), images.pointer_end(),
      [](const v1::Image* a, const v1::Image* b) { return a->image_index() < b->image_index(); });
  account_.BeginSend();
  Finish(grpc::Status::OK);
}

}  // namespace hmar
