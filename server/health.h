#ifndef HMAR_SERVER_HEALTH_H_
#define HMAR_SERVER_HEALTH_H_

#include <grpcpp/health_check_service_interface.h>

#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "hmar/v1/image_generation.grpc.pb.h"

namespace hmar {

// grpc.health.v1: "" is the process and serves as soon as it listens; the service's full name is
// readiness, which follows the probe images and ends, for good, with the drain or the loss of a
// device. Thread-safe.
class Health {
 public:
  // The built server's GetHealthCheckService(); outlives this. Starts as not ready.
  explicit Health(grpc::HealthCheckServiceInterface* service) : service_(service) { Report(false); }

  // Ready, unless it has ended.
  void SetReady() {
    absl::MutexLock lock(&mutex_);
    if (!ended_) Report(true);
  }

  // Not ready, whatever SetReady says later. Said once, however many devices are lost: watchers
  // hear every report.
  void End() {
    absl::MutexLock lock(&mutex_);
    if (!std::exchange(ended_, true)) Report(false);
  }

 private:
  void Report(bool ready) {
    service_->SetServingStatus(v1::ImageGenerationService::service_full_name(), ready);
  }

  grpc::HealthCheckServiceInterface* const service_;
  absl::Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace hmar

#endif  // HMAR_SERVER_HEALTH_H_
