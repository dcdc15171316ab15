#ifndef HMAR_SERVER_CALLS_IMAGE_GENERATION_SERVICE_H_
#define HMAR_SERVER_CALLS_IMAGE_GENERATION_SERVICE_H_

#include <memory>

#include "hmar/v1/image_generation.grpc.pb.h"
#include "server/calls/active_calls.h"
#include "server/calls/received_request.h"
#include "server/calls/service_context.h"
#include "server/transport/receiving_handler.h"

namespace hmar {

// The API on gRPC's callback threads. A handler parses, validates, prices and admits; it never
// waits and never touches a device. The calls' lives are in their reactors.
//
// It marks its methods itself, as the generated CallbackService would, but with ReceivedRequests:
// so requests are read within bounds, and one that cannot be read is answered, logged and counted;
// and behind ReceivingHandlers, so that one that does not arrive is ended, and one too many is
// refused by its headers.
class ImageGenerationService final : public v1::ImageGenerationService::Service {
 public:
  // What `context` points to outlives the gRPC server.
  explicit ImageGenerationService(const ServiceContext& context);

  // The open Generate and GenerateImages calls; other transports count theirs with them.
  ActiveCalls& active_calls() { return active_calls_; }

  // What its calls work with.
  const ServiceContext& context() const { return context_; }

 private:
  template <typename Request>
  void Mark(int method, const char* name, std::unique_ptr<grpc::internal::MethodHandler> handler);
  void CountLate(const char* method, const LateRequest& request) const;
  grpc::Status List(const ReceivedRequest<v1::ListModelsRequest>& request,
                    v1::ListModelsResponse* response) const;
  // An empty name is the default model's.
  grpc::Status Get(const ReceivedRequest<v1::GetModelRequest>& request,
                   v1::GetModelResponse* response) const;

  const ServiceContext context_;
  ActiveCalls active_calls_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_IMAGE_GENERATION_SERVICE_H_
