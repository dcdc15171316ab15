#ifndef HMAR_SERVER_DISCOVERY_HEALTH_SERVICE_H_
#define HMAR_SERVER_DISCOVERY_HEALTH_SERVICE_H_

#include <optional>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "server/discovery/short_request.h"
#include "server/transport/receiving_handler.h"

namespace hmar {

// grpc.health.v1: "" is the process and serves as soon as it listens; the one other name is
// readiness, which follows the probe images and ends, for good, with the drain or the loss of a
// device. In place of gRPC's own, which waits for a request for as long as its connection is open.
// Thread-safe.
class HealthService final : public grpc::health::v1::Health::Service {
 public:
  // `readiness`: the full name of the service whose readiness this tells; it starts as not ready.
  // `limits`: of requests on their way. Outlives the gRPC server.
  HealthService(std::string readiness, const ReceiveLimits& limits);

  // Ready, unless it has ended.
  void SetReady();

  // Not ready, whatever SetReady says later.
  void End();

  bool ready() const;

 private:
  using Request = ShortRequest<grpc::health::v1::HealthCheckRequest>;
  using Response = grpc::health::v1::HealthCheckResponse;
  class Watcher;

  grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* call, const Request& request,
                                   Response* response);
  grpc::ServerWriteReactor<Response>* StartWatch(const Request& request);
  // Nothing: no such service.
  std::optional<Response::ServingStatus> StatusOf(const std::string& service) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TellWatchers() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string readiness_;
  mutable absl::Mutex mutex_;
  bool ready_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<Watcher*> watchers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace hmar

#endif  // HMAR_SERVER_DISCOVERY_HEALTH_SERVICE_H_
