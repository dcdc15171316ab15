#ifndef HMAR_SERVER_HEALTH_H_
#define HMAR_SERVER_HEALTH_H_

#include <grpcpp/health_check_service_interface.h>

#include "hmar/v1/image_generation.grpc.pb.h"

namespace hmar {

// grpc.health.v1: "" is the process and serves as soon as it listens; the service's full name is
// readiness, which follows the probe images and ends with the drain. Thread-safe, as gRPC's own
// service is.
class Health {
 public:
  // The built server's GetHealthCheckService(); outlives this. Starts as not ready.
  explicit Health(grpc::HealthCheckServiceInterface* service) : service_(service) {
    SetReady(false);
  }

  void SetReady(bool ready) {
    service_->SetServingStatus(v1::ImageGenerationService::service_full_name(), ready);
  }

 private:
  grpc::HealthCheckServiceInterface* const service_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_HEALTH_H_
