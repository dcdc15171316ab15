#include "client/client.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"
#include "absl/time/clock.h"
#include "client/api_key.h"
#include "client/call_error.h"
#include "client/reply_stream.h"
#include "client/upload_header.h"
#include "grpc/compression.h"
#include "model/status_macros.h"

namespace hmar {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

constexpr char kService[] = "hmar.v1.ImageGenerationService";

// Fields of a reply, known and unknown: some hundred bytes of memory each.
constexpr uint32_t kMaxModelsReplyFields = 600'000;  // A class is three, and its aliases.

constexpr int kMaxHealthBytes = 4096;

// A server that starts up refuses connections for a while; gRPC's own first pause is a second and
// grows to minutes.
constexpr int kMaxReconnectPauseMs = 200;

// How long an attempt to connect may take, to the server's first words; what gRPC calls the least
// backoff. Over a slow network, or to a busy server, more than a pause.
constexpr int kConnectMs = 10'000;

// gRPC refuses a message over its limit by the length that goes before it. Channels have one limit;
// only a service configuration, which elsewhere comes from the name service, has one a method.
std::string ServiceConfig() {
  return absl::Substitute(
      R"({"methodConfig": [
           {"name": [{"service": "$0", "method": "Generate"}], "maxResponseMessageBytes": $1},
           {"name": [{"service": "$0", "method": "ListModels"},
                     {"service": "$0", "method": "GetModel"}], "maxResponseMessageBytes": $2},
           {"name": [{"service": "grpc.health.v1.Health"}], "maxResponseMessageBytes": $3}]})",
      kService, kMaxEventBytes, kMaxModelsReplyBytes, kMaxHealthBytes);
}

// The one reply of a unary call. DATA_LOSS: none came, or more than one.
absl::Status ReadReply(const std::shared_ptr<grpc::Channel>& channel, grpc::ClientContext& context,
                       absl::string_view method, const google::protobuf::Message& request,
                       const ReplyLimits& limits, google::protobuf::Message& reply) {
  int replies = 0;
  HMAR_RETURN_IF_ERROR(
      ReadReplies(channel, context, Method(method), request, [&](grpc::ByteBuffer& bytes) {
        if (++replies > 1) return absl::DataLossError("more than one reply");
        return ParseReply(bytes, limits, reply);
      }));
  return replies == 1 ? absl::OkStatus() : absl::DataLossError("no reply");
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

bool Canceller::AwaitCancel(absl::Duration duration) const {
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(&cancelled_), duration);
}

// A call's context, known to its canceller for as long as it lives.
class CancellableCall {
 public:
  CancellableCall(const CallOptions& options, const std::string& key)
      : canceller_(options.canceller) {
    AddKey(key, context_);
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

grpc::ChannelArguments SafeChannelArguments() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxReplyBytes);
  arguments.SetServiceConfigJSON(ServiceConfig());
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  // gRPC inflates a message before it looks at its size.
  arguments.SetInt(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1 << GRPC_COMPRESS_NONE);
  arguments.SetInt(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  // There is no policy to retry by, and with retries gRPC 1.51 ends the process where a reply has
  // headers alone and no status.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kMaxReconnectPauseMs);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kMaxReconnectPauseMs);
  return arguments;
}

Client::Client(const std::string& server) : Client(server, grpc::InsecureChannelCredentials()) {}

Client::Client(const std::string& server,
               const std::shared_ptr<grpc::ChannelCredentials>& credentials, std::string key)
    : Client(grpc::CreateCustomChannel(server, credentials, SafeChannelArguments()),
             std::move(key)) {}

Client::Client(std::shared_ptr<grpc::Channel> channel, std::string key)
    : channel_(std::move(channel)),
      key_(std::move(key)),
      health_(grpc::health::v1::Health::NewStub(channel_)) {}

absl::Status Client::Generate(const v1::GenerateRequest& request, const EventCallback& on_event,
                              const CallOptions& options) {
  CancellableCall call(options, key_);
  AddUpload(request, call.context());
  AnswerCheck check(request, options.answer);
  v1::GenerateResponse event;
  HMAR_RETURN_IF_ERROR(ReadReplies(channel_, call.context(), Method("Generate"), request,
                                   [&](grpc::ByteBuffer& bytes) -> absl::Status {
                                     HMAR_RETURN_IF_ERROR(ParseReply(bytes, EventLimits(), event));
                                     HMAR_RETURN_IF_ERROR(check.Event(event));
                                     return on_event(event);
                                   }));
  return check.End();
}

absl::StatusOr<v1::GenerateImagesResponse> Client::GenerateImages(
    const v1::GenerateRequest& request, const CallOptions& options) {
  CancellableCall call(options, key_);
  AddUpload(request, call.context());
  v1::GenerateImagesRequest wrapped;
  *wrapped.mutable_request() = request;
  v1::GenerateImagesResponse reply;
  HMAR_RETURN_IF_ERROR(ReadReply(channel_, call.context(), "GenerateImages", wrapped,
                                 ImagesReplyLimits(request.num_images()), reply));
  HMAR_RETURN_IF_ERROR(CheckImagesReply(request, options.answer, reply));
  return reply;
}

absl::StatusOr<v1::ListModelsResponse> Client::ListModels(const CallOptions& options) {
  CancellableCall call(options, key_);
  v1::ListModelsResponse reply;
  HMAR_RETURN_IF_ERROR(ReadReply(channel_, call.context(), "ListModels", v1::ListModelsRequest(),
                                 {kMaxModelsReplyBytes, kMaxModelsReplyFields}, reply));
  if (reply.models_size() <= kMaxModels) return reply;
  return absl::DataLossError(
      absl::StrCat("the server lists ", reply.models_size(), " models; at most ", kMaxModels));
}

absl::StatusOr<v1::Model> Client::GetModel(const std::string& name, const CallOptions& options) {
  CancellableCall call(options, key_);
  v1::GetModelRequest request;
  request.set_name(name);
  v1::GetModelResponse reply;
  HMAR_RETURN_IF_ERROR(ReadReply(channel_, call.context(), "GetModel", request,
                                 {kMaxModelsReplyBytes, kMaxModelsReplyFields}, reply));
  return std::move(*reply.mutable_model());
}

absl::Status Client::Health(const std::string& service, const CallOptions& options) {
  CancellableCall call(options, key_);
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
    CancellableCall call({.timeout = deadline - absl::Now(), .canceller = options.canceller}, key_);
    call.context().set_wait_for_ready(true);
    auto reader = health_->Watch(&call.context(), request);
    HealthCheckResponse response;
    while (reader->Read(&response)) {
      if (response.status() != HealthCheckResponse::SERVING) continue;
      call.context().TryCancel();
      reader->Finish();
      return absl::OkStatus();
    }
    absl::Status status = StatusFromGrpc(reader->Finish());
    // A connection lost while the server starts is one more reason to wait; every other end is
    // final. A server that ends the call itself, again and again, is asked no faster than one that
    // is not there.
    if (!absl::IsUnavailable(status)) return status;
    absl::SleepFor(std::min(absl::Milliseconds(kMaxReconnectPauseMs), deadline - absl::Now()));
  }
}

}  // namespace hmar
