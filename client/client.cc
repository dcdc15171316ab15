#include "client/client.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/call_error.h"

namespace hmar {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

// A batch of large pictures comes in one reply of GenerateImages; gRPC's own limit is 4 MiB.
constexpr int kMaxReplyBytes = 1 << 30;

// A server that starts up refuses connections for a while; gRPC's own first pause is a second and
// grows to minutes.
constexpr int kMaxReconnectPauseMs = 200;

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& server) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxReplyBytes);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kMaxReconnectPauseMs);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kMaxReconnectPauseMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kMaxReconnectPauseMs);
  return grpc::CreateCustomChannel(server, grpc::InsecureChannelCredentials(), arguments);
}

const char* HealthName(HealthCheckResponse::ServingStatus status) {
  switch (status) {
    case HealthCheckResponse::SERVING:
      return "serving";
    case HealthCheckResponse::NOT_SERVING:
      return "not serving";
    case HealthCheckResponse::SERVICE_UNKNOWN:
      return "unknown to the server";
    default:
      return "in an unknown state";
  }
}

}  // namespace

void Canceller::Cancel() {
  absl::MutexLock lock(&mutex_);
  cancelled_ = true;
  if (context_ != nullptr) context_->TryCancel();
}

bool Canceller::cancelled() const {
  absl::MutexLock lock(&mutex_);
  return cancelled_;
}

// A call's context, known to its canceller for as long as it lives.
class CancellableCall {
 public:
  explicit CancellableCall(const CallOptions& options) : canceller_(options.canceller) {
    if (options.timeout < absl::InfiniteDuration()) {
      context_.set_deadline(std::chrono::system_clock::now() +
                            absl::ToChronoMilliseconds(options.timeout));
    }
    if (canceller_ == nullptr) return;
    absl::MutexLock lock(&canceller_->mutex_);
    canceller_->context_ = &context_;
    if (canceller_->cancelled_) context_.TryCancel();
  }

  ~CancellableCall() {
    if (canceller_ == nullptr) return;
    absl::MutexLock lock(&canceller_->mutex_);
    canceller_->context_ = nullptr;
  }

  CancellableCall(const CancellableCall&) = delete;
  CancellableCall& operator=(const CancellableCall&) = delete;

  grpc::ClientContext& context() { return context_; }

 private:
  grpc::ClientContext context_;
  Canceller* const canceller_;
};

Client::Client(const std::string& server) : Client(MakeChannel(server)) {}

Client::Client(std::shared_ptr<grpc::Channel> channel)
    : images_(v1::ImageGenerationService::NewStub(channel)),
      health_(grpc::health::v1::Health::NewStub(channel)) {}

absl::Status Client::Generate(const v1::GenerateRequest& request, const EventCallback& on_event,
                              const CallOptions& options) {
  CancellableCall call(options);
  auto reader = images_->Generate(&call.context(), request);
  v1::GenerateResponse event;
  absl::Status callback_status;
  while (callback_status.ok() && reader->Read(&event)) callback_status = on_event(event);
  if (!callback_status.ok()) call.context().TryCancel();
  const grpc::Status status = reader->Finish();
  return callback_status.ok() ? StatusFromGrpc(status) : callback_status;
}

absl::StatusOr<v1::GenerateImagesResponse> Client::GenerateImages(
    const v1::GenerateRequest& request, const CallOptions& options) {
  CancellableCall call(options);
  v1::GenerateImagesRequest wrapped;
  *wrapped.mutable_request() = request;
  v1::GenerateImagesResponse response;
  const grpc::Status status = images_->GenerateImages(&call.context(), wrapped, &response);
  if (!status.ok()) return StatusFromGrpc(status);
  return response;
}

absl::StatusOr<v1::ListModelsResponse> Client::ListModels(const CallOptions& options) {
  CancellableCall call(options);
  v1::ListModelsResponse response;
  const grpc::Status status = images_->ListModels(&call.context(), {}, &response);
  if (!status.ok()) return StatusFromGrpc(status);
  return response;
}

absl::StatusOr<v1::Model> Client::GetModel(const std::string& name, const CallOptions& options) {
  CancellableCall call(options);
  v1::GetModelRequest request;
  request.set_name(name);
  v1::GetModelResponse response;
  const grpc::Status status = images_->GetModel(&call.context(), request, &response);
  if (!status.ok()) return StatusFromGrpc(status);
  return std::move(*response.mutable_model());
}

absl::Status Client::Health(const std::string& service, const CallOptions& options) {
  CancellableCall call(options);
  HealthCheckRequest request;
  request.set_service(service);
  HealthCheckResponse response;
  const grpc::Status status = health_->Check(&call.context(), request, &response);
  if (!status.ok()) return StatusFromGrpc(status);
  if (response.status() == HealthCheckResponse::SERVING) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("the service '", service, "' is ", HealthName(response.status())));
}

absl::Status Client::WaitUntilReady(const std::string& service, const CallOptions& options) {
  const absl::Time deadline = absl::Now() + options.timeout;
  HealthCheckRequest request;
  request.set_service(service);
  while (true) {
    CancellableCall call({.timeout = deadline - absl::Now(), .canceller = options.canceller});
    call.context().set_wait_for_ready(true);
    auto reader = health_->Watch(&call.context(), request);
    HealthCheckResponse response;
    while (reader->Read(&response)) {
      if (response.status() != HealthCheckResponse::SERVING) continue;
      call.context().TryCancel();
      reader->Finish();
      return absl::OkStatus();
    }
    const absl::Status status = StatusFromGrpc(reader->Finish());
    // A connection lost while the server starts is one more reason to wait; every other end is
    // final.
    if (!absl::IsUnavailable(status)) return status;
  }
}

}  // namespace hmar
