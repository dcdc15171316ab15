#ifndef HMAR_SERVER_CALLS_IMAGE_GENERATION_SERVICE_H_
#define HMAR_SERVER_CALLS_IMAGE_GENERATION_SERVICE_H_

#include <utility>

#include "hmar/v1/image_generation.grpc.pb.h"
#include "server/calls/active_calls.h"
#include "server/calls/service_context.h"

namespace hmar {

// The API on gRPC's callback threads. A handler parses, validates, prices and admits; it never
// waits and never touches a device. The calls' lives are in their reactors.
class ImageGenerationService final : public v1::ImageGenerationService::CallbackService {
 public:
  // What `context` points to outlives the gRPC server.
  explicit ImageGenerationService(ServiceContext context) : context_(std::move(context)) {}

  grpc::ServerWriteReactor<v1::GenerateResponse>* Generate(
      grpc::CallbackServerContext* call, const v1::GenerateRequest* request) override;
  grpc::ServerUnaryReactor* GenerateImages(grpc::CallbackServerContext* call,
                                           const v1::GenerateImagesRequest* request,
                                           v1::GenerateImagesResponse* response) override;
  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* call,
                                       const v1::ListModelsRequest* request,
                                       v1::ListModelsResponse* response) override;
  // An empty name is the default model's.
  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* call,
                                     const v1::GetModelRequest* request,
                                     v1::GetModelResponse* response) override;

  // The open Generate and GenerateImages calls.
  const ActiveCalls& active_calls() const { return active_calls_; }

 private:
  const ServiceContext context_;
  ActiveCalls active_calls_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_IMAGE_GENERATION_SERVICE_H_
