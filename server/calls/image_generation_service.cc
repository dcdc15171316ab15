#include "server/calls/image_generation_service.h"

#include <optional>

#include "server/calls/generate_images_reactor.h"
#include "server/calls/generate_reactor.h"
#include "server/wire/api_messages.h"
#include "server/wire/status_details.h"

namespace hmar {

grpc::ServerWriteReactor<v1::GenerateResponse>* ImageGenerationService::Generate(
    grpc::CallbackServerContext* call, const v1::GenerateRequest* request) {
  return GenerateReactor::Start(&context_, &active_calls_, call, *request);
}

grpc::ServerUnaryReactor* ImageGenerationService::GenerateImages(
    grpc::CallbackServerContext* call, const v1::GenerateImagesRequest* request,
    v1::GenerateImagesResponse* response) {
  return GenerateImagesReactor::Start(&context_, &active_calls_, call, *request, response);
}

grpc::ServerUnaryReactor* ImageGenerationService::ListModels(grpc::CallbackServerContext* call,
                                                             const v1::ListModelsRequest*,
                                                             v1::ListModelsResponse* response) {
  bool is_default = true;
  for (const EngineInfo& model : context_.catalog->models()) {
    *response->add_models() = ToProto(model, context_.catalog->devices(), is_default);
    is_default = false;
  }
  grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerUnaryReactor* ImageGenerationService::GetModel(grpc::CallbackServerContext* call,
                                                           const v1::GetModelRequest* request,
                                                           v1::GetModelResponse* response) {
  grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
  const std::optional<size_t> index = context_.catalog->Find(request->name());
  if (index.has_value()) {
    const ModelCatalog& catalog = *context_.catalog;
    *response->mutable_model() = ToProto(catalog.models()[*index], catalog.devices(), *index == 0);
    reactor->Finish(grpc::Status::OK);
  } else {
    reactor->Finish(ToGrpcStatus(ModelNotFound(request->name(), context_.catalog->names()), ""));
  }
  return reactor;
}

}  // namespace hmar
