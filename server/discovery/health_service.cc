#include "server/discovery/health_service.h"

#include <grpcpp/impl/codegen/server_callback_handlers.h>

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/transport/receiving_handler.h"

namespace hmar {
namespace {

// The methods' places in the .proto file, by which gRPC knows them.
enum Method { kCheck, kWatch };

constexpr char kUnknown[] = "?";  // No service's name.

std::unique_ptr<ReceivingHandler> InTime(std::unique_ptr<grpc::internal::MethodHandler> handler,
                                         const ReceiveLimits& limits) {
  return std::make_unique<ReceivingHandler>(std::move(handler), limits, ReceivingHandler::OnLate());
}

}  // namespace

// One open Watch. Of changes that come while a message is on its way only the last is told.
class HealthService::Watcher final : public grpc::ServerWriteReactor<Response> {
 public:
  // REQUIRES: the service's mutex is held.
  Watcher(HealthService* health, std::string service)
      : health_(health), service_(std::move(service)) {
    health_->mutex_.AssertHeld();
    health_->watchers_.insert(this);
    Tell();
  }

  // Writes what is true now unless the client knows it or will be told. REQUIRES: the service's
  // mutex is held.
  void Tell() {
    health_->mutex_.AssertHeld();
    const auto now = health_->StatusOf(service_).value_or(Response::SERVICE_UNKNOWN);
    if (writing_ || ended_ || now == told_) return;
    writing_ = true;
    told_ = now;
    response_.set_status(now);
    StartWrite(&response_);
  }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&health_->mutex_);
    writing_ = false;
    if (ok && !cancelled_) return Tell();
    EndOnce();
  }
  void OnCancel() override {
    absl::MutexLock lock(&health_->mutex_);
    cancelled_ = true;
    if (!writing_) EndOnce();  // Else when the write has failed.
  }
  void OnDone() override {
    {
      absl::MutexLock lock(&health_->mutex_);
      health_->watchers_.erase(this);
    }
    delete this;
  }

 private:
  void EndOnce() ABSL_EXCLUSIVE_LOCKS_REQUIRED(health_->mutex_) {
    if (!std::exchange(ended_, true)) Finish(grpc::Status::CANCELLED);
  }

  HealthService* const health_;
  const std::string service_;
  Response response_;  // gRPC's while `writing_`.
  std::optional<Response::ServingStatus> told_ ABSL_GUARDED_BY(health_->mutex_);
  bool writing_ ABSL_GUARDED_BY(health_->mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(health_->mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(health_->mutex_) = false;
};

namespace {

// A watch whose request could not be read.
class RefusedWatch final : public grpc::ServerWriteReactor<grpc::health::v1::HealthCheckResponse> {
 public:
  explicit RefusedWatch(const grpc::Status& status) { Finish(status); }
  void OnDone() override { delete this; }
};

}  // namespace

// Marked as streamed, so that their handlers start at the call's headers.
HealthService::HealthService(std::string readiness, const ReceiveLimits& limits)
    : readiness_(std::move(readiness)) {
  using CheckHandler = grpc::internal::CallbackUnaryHandler<Request, Response>;
  using WatchHandler = grpc::internal::CallbackServerStreamingHandler<Request, Response>;
  auto check = std::make_unique<CheckHandler>([this](auto* call, auto* request, auto* response) {
    return Answer(call, *request, response);
  });
  auto watch =
      std::make_unique<WatchHandler>([this](auto*, auto* request) { return StartWatch(*request); });
  MarkMethodStreamed(kCheck, nullptr);
  MarkMethodCallback(kCheck, InTime(std::move(check), limits).release());
  MarkMethodStreamed(kWatch, nullptr);
  MarkMethodCallback(kWatch, InTime(std::move(watch), limits).release());
}

void HealthService::SetReady() {
  absl::MutexLock lock(&mutex_);
  ready_ = !ended_;
  TellWatchers();
}

void HealthService::End() {
  absl::MutexLock lock(&mutex_);
  ended_ = true;
  ready_ = false;
  TellWatchers();
}

bool HealthService::ready() const {
  absl::MutexLock lock(&mutex_);
  return ready_;
}

grpc::ServerUnaryReactor* HealthService::Answer(grpc::CallbackServerContext* call,
                                                const Request& request, Response* response) {
  grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
  if (!request.status.ok()) {
    reactor->Finish(request.status);
    return reactor;
  }
  absl::MutexLock lock(&mutex_);
  const auto status = StatusOf(request.message.service());
  if (status.has_value()) response->set_status(*status);
  reactor->Finish(status.has_value()
                      ? grpc::Status::OK
                      : grpc::Status(grpc::StatusCode::NOT_FOUND,
                                     absl::StrCat("no such service; this server has '' (the "
                                                  "process) and '",
                                                  readiness_, "' (ready to make images)")));
  return reactor;
}

grpc::ServerWriteReactor<HealthService::Response>* HealthService::StartWatch(
    const Request& request) {
  if (!request.status.ok()) return new RefusedWatch(request.status);
  // Of an unknown name nothing is kept: watches may be many, stay open, and name anything. gRPC has
  // the request until the call ends, so it is emptied (the object is not const, only gRPC's
  // pointer).
  const std::string service = std::move(*const_cast<Request&>(request).message.mutable_service());
  absl::MutexLock lock(&mutex_);
  return new Watcher(this, StatusOf(service).has_value() ? service : kUnknown);
}

std::optional<HealthService::Response::ServingStatus> HealthService::StatusOf(
    const std::string& service) const {
  if (service.empty()) return Response::SERVING;
  if (service != readiness_) return std::nullopt;
  return ready_ ? Response::SERVING : Response::NOT_SERVING;
}

void HealthService::TellWatchers() {
  for (Watcher* watcher : watchers_) watcher->Tell();
}

}  // namespace hmar
