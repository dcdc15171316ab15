#include "server/calls/image_generation_service.h"

#include <grpcpp/impl/codegen/server_callback_handlers.h>

#include <optional>
#include <utility>

#include "server/calls/allowed_models.h"
#include "server/calls/generate_images_reactor.h"
#include "server/calls/generate_reactor.h"
#include "server/calls/grpc_headers.h"
#include "server/wire/api_messages.h"
#include "server/wire/status_details.h"

namespace hmar {
namespace {

// gRPC makes a request's message and keeps it until the call ends, though it never looks at it
// again once the handler has it; message allocators, which could free it, are for unary calls
// alone. Moved out, it lives for as long as the handler: then only what was resolved of it is held,
// and that is accounted for. (The object is not const, only gRPC's pointer to it.)
template <typename Request>
Request Take(const Request* request) {
  return std::move(*const_cast<Request*>(request));
}

// The methods' places in the .proto file, by which gRPC knows them.
enum Method { kGenerate, kGenerateImages, kListModels, kGetModel };

// `start`: from a call, its request and, of a unary one, its response to the reactor.
template <typename Request, typename Response, typename Start>
std::unique_ptr<grpc::internal::MethodHandler> StreamingHandler(Start start) {
  using Handler =
      grpc::internal::CallbackServerStreamingHandler<ReceivedRequest<Request>, Response>;
  return std::make_unique<Handler>(std::move(start));
}

template <typename Request, typename Response, typename Start>
std::unique_ptr<grpc::internal::MethodHandler> UnaryHandler(Start start) {
  using Handler = grpc::internal::CallbackUnaryHandler<ReceivedRequest<Request>, Response>;
  return std::make_unique<Handler>(std::move(start));
}

grpc::ServerUnaryReactor* AtOnce(grpc::CallbackServerContext* call, const grpc::Status& status) {
  grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
  reactor->Finish(status);
  return reactor;
}

}  // namespace

ImageGenerationService::ImageGenerationService(const ServiceContext& context) : context_(context) {
  Mark<v1::GenerateRequest>(kGenerate, "Generate",
                            StreamingHandler<v1::GenerateRequest, v1::GenerateResponse>(
                                [this](auto* call, const auto* request) {
                                  return GenerateReactor::Start(&context_, &active_calls_, call,
                                                                Take(request));
                                }));
  Mark<v1::GenerateImagesRequest>(
      kGenerateImages, "GenerateImages",
      UnaryHandler<v1::GenerateImagesRequest, v1::GenerateImagesResponse>(
          [this](auto* call, const auto* request, auto* response) {
            return GenerateImagesReactor::Start(&context_, &active_calls_, call, Take(request),
                                                response);
          }));
  Mark<v1::ListModelsRequest>(kListModels, "ListModels",
                              UnaryHandler<v1::ListModelsRequest, v1::ListModelsResponse>(
                                  [this](auto* call, const auto* request, auto* response) {
                                    return AtOnce(call, List(*request, response));
                                  }));
  Mark<v1::GetModelRequest>(kGetModel, "GetModel",
                            UnaryHandler<v1::GetModelRequest, v1::GetModelResponse>(
                                [this](auto* call, const auto* request, auto* response) {
                                  return AtOnce(call, Get(*request, response));
                                }));
}

// Marked as streamed, so that its handler starts at the call's headers.
template <typename Request>
void ImageGenerationService::Mark(int method, const char* name,
                                  std::unique_ptr<grpc::internal::MethodHandler> handler) {
  Door door;
  door.admit = [this](const grpc::ServerContextBase& call) {
    auto visit = std::make_shared<Visit>(context_.doorkeeper->Admit(HeadersOf(call)));
    return Entry{visit->status, visit};
  };
  door.hand_over = [](void* request, const Entry& entry) {
    auto* const received = static_cast<ReceivedRequest<Request>*>(request);
    received->visit = std::move(*static_cast<Visit*>(entry.visit.get()));
    if (!entry.status.ok()) received->status = entry.status;
  };
  MarkMethodStreamed(method, nullptr);
  MarkMethodCallback(
      method,
      new ReceivingHandler(
          std::move(handler), context_.receive_limits,
          [this, name](const LateRequest& request) { CountLate(name, request); }, std::move(door)));
}

// The call never was one of ours: of its books there is the line, and the count.
void ImageGenerationService::CountLate(const char* method, const LateRequest& request) const {
  CallRecord record;
  record.method = method;
  record.client = request.client;
  record.code = absl::StatusCode::kDeadlineExceeded;
  record.took = request.waited;
  if (context_.metrics != nullptr) {
    context_.metrics->RequestDone(std::nullopt, record.code, record.took);
  }
  context_.access_log->Write(record);
}

grpc::Status ImageGenerationService::List(const ReceivedRequest<v1::ListModelsRequest>& request,
                                          v1::ListModelsResponse* response) const {
  if (!request.status.ok()) return ToGrpcStatus(request.status, "");
  bool is_default = true;
  for (const EngineInfo& model : context_.catalog->models()) {
    if (MayUse(request.visit.caller.key.get(), model.config.name)) {
      *response->add_models() = ToProto(model, context_.catalog->devices(), is_default);
    }
    is_default = false;
  }
  return grpc::Status::OK;
}

grpc::Status ImageGenerationService::Get(const ReceivedRequest<v1::GetModelRequest>& request,
                                         v1::GetModelResponse* response) const {
  if (!request.status.ok()) return ToGrpcStatus(request.status, "");
  const ModelCatalog& catalog = *context_.catalog;
  const absl::StatusOr<size_t> index =
      AllowedModel(catalog, request.visit.caller.key.get(), request.message.name());
  if (!index.ok()) return ToGrpcStatus(index.status(), "");
  *response->mutable_model() = ToProto(catalog.models()[*index], catalog.devices(), *index == 0);
  return grpc::Status::OK;
}

}  // namespace hmar
