#ifndef HMAR_SERVER_SERVER_H_
#define HMAR_SERVER_SERVER_H_

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "model/engine.h"
#include "server/base/clock.h"
#include "server/base/random_source.h"
#include "server/calls/call_admission.h"
#include "server/calls/deliveries.h"
#include "server/calls/doorkeeper.h"
#include "server/calls/encoder_pool.h"
#include "server/calls/image_generation_service.h"
#include "server/calls/upload_readers.h"
#include "server/devices.h"
#include "server/discovery/health_service.h"
#include "server/discovery/reflection_services.h"
#include "server/http/http_door.h"
#include "server/keys/key_ring.h"
#include "server/model_loader.h"
#include "server/operations/access_log.h"
#include "server/operations/metrics.h"
#include "server/operations/metrics_server.h"
#include "server/options.h"
#include "server/scheduling/engine_loop.h"
#include "server/scheduling/hang_watcher.h"
#include "server/scheduling/scheduler.h"
#include "server/transport/connection_table.h"
#include "server/transport/listener.h"
#include "server/wire/model_catalog.h"

namespace hmar {

class ScrapedGauges;

// What a server gets from outside.
struct ServerDependencies {
  EngineFactory make_engine;
  const Clock* clock = nullptr;            // Outlives the server.
  const Clock* steady_clock = nullptr;     // Likewise; never set back. Null: a SteadyClock.
  RandomSource* random = nullptr;          // Outlives the server.
  std::shared_ptr<spdlog::logger> log;     // Not null.
  std::shared_ptr<spdlog::logger> access;  // Null: no access log.
  KeyRing* keys = nullptr;                 // Outlives the server. Null: it asks for no keys.
  BasicAuth* metrics_auth = nullptr;       // Likewise. Null: anybody may read the metrics.
  // The logs' own metrics, served beside the server's; null: none.
  std::shared_ptr<prometheus::Collectable> log_metrics;
  // Called once, from a thread of the server, when it turns out that it cannot serve: a probe image
  // failed or, with the reason DEVICE_LOST, a device is lost, hangs in a step, or does not get its
  // models loaded. May be empty.
  std::function<void(const absl::Status&)> on_fatal;
};

// Everything from the engines up to the listening port. Built bottom-up, stopped top-down. Members
// below stand in the order of building; each may use those above it.
class Server {
 public:
  // Loads the models, then listens; models that take longer than --load-seconds are told to
  // on_fatal, and waited for on, since a load cannot be interrupted; on failure nothing listens any
  // more. When it returns, the port is open, so that whoever starts the server can see it live;
  // until every model has made its probe image on every device, health says NOT_SERVING and calls
  // that generate are refused with UNAVAILABLE (NOT_READY): no client's image is in line before the
  // probes. Errors are for the user: one line that names the flag, the folder or the address.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options,
                                                       ServerDependencies dependencies);

  // As Drain with no time left.
  ~Server();

  // The ports in use; HTTP, metrics: 0 if off.
  int port() const { return port_; }
  int http_port() const { return http_port_; }
  int metrics_port() const { return metrics_server_ == nullptr ? 0 : metrics_server_->port(); }

  // What a scrape reads, also after a drain.
  std::string MetricsText() const { return metrics_->Text(); }

  // NOT_SERVING from now on; serves on for `delay`, so that balancers notice before anybody is
  // refused. Returns at once where nobody was ever told to come (the server was not ready), and as
  // soon as a device is lost.
  void AnnounceDrain(absl::Duration delay);

  // NOT_SERVING; refuses new requests; finishes the accepted ones, or fails them with UNAVAILABLE
  // after `limit`; closes the port. True if all were finished. False too if a device is lost: then
  // the engines are not waited for, see HangUp. Further calls return at once. Call from one thread.
  bool Drain(absl::Duration limit);

  // A device is lost, or hangs in a step.
  bool device_lost() const { return device_lost_.HasBeenNotified(); }

  // For the end after a lost device, when everything has failed already: waits until the calls have
  // ended and their clients know, or `limit` has passed, and closes the port. The engines may never
  // let go of a lost device, so end the process then without destroying the server.
  void HangUp(absl::Duration limit);

 private:
  Server(const ServerOptions& options, ServerDependencies dependencies);
  absl::Status BuildCore(const std::vector<Device>& devices);
  uint32_t ChooseEncoderThreads(const std::vector<Device>& devices) const;
  absl::Status MakeMetrics(const std::vector<Device>& devices);
  std::shared_ptr<ScrapedGauges> MakeGauges() const;
  absl::Status Listen();
  void TellCertificateEnd() const;
  absl::Status StartGrpc(const std::shared_ptr<grpc::ServerCredentials>& credentials);
  // Raises the process's limit of descriptors; what fits in it of the connections asked for.
  ConnectionLimits FitToDescriptors() const;
  absl::Status ListenForMetrics();
  absl::Status OpenHttp();
  absl::Status ListenForHttp();
  void ProbeModels();
  absl::Status ProbeDevice(size_t device);
  EngineLoopHooks HooksOf(size_t device);
  // From any thread: a device is lost or hangs. Not ready, fail everything, tell the program.
  void OnDeviceLost(size_t device, const absl::Status& status);
  void OnHungStep(const OverdueStep& step);
  void OnLoadLate(const std::string& what);
  void Fail(const absl::Status& status);
  void ClosePort();
  // Waits for the engines' steps under way, and for what was posted to the encoder.
  void JoinThreads();
  CallAdmissionOptions AdmissionOptions() const;
  ServiceContext MakeContext();

  const ServerOptions options_;
  const ServerDependencies dependencies_;
  const SteadyClock steady_clock_;
  const AccessLog access_log_;
  std::vector<std::string> device_names_;
  std::vector<DeviceEngines> engines_;  // By device, until the loops take them.
  std::unique_ptr<ModelCatalog> catalog_;
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<CallAdmission> admission_;  // Before whatever may hold a call, as the next.
  std::unique_ptr<Deliveries> deliveries_;
  std::unique_ptr<Scheduler> scheduler_;
  std::unique_ptr<EncoderPool> encoder_;
  std::unique_ptr<UploadReaders> upload_readers_;
  std::unique_ptr<Doorkeeper> doorkeeper_;
  std::unique_ptr<HangWatcher> hang_watcher_;
  std::vector<std::unique_ptr<EngineLoop>> loops_;  // By device.
  std::unique_ptr<ImageGenerationService> service_;
  std::unique_ptr<HealthService> health_;
  std::unique_ptr<ReflectionServices> reflection_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor_;
  std::unique_ptr<grpc::Server> grpc_server_;
  std::unique_ptr<HttpDoor> http_;  // Null: off.
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<MetricsServer> metrics_server_;
  std::thread prober_;
  int port_ = 0;
  int http_port_ = 0;
  std::atomic<bool> draining_ = false;
  std::atomic<bool> failed_ = false;  // on_fatal has been, or is being, called.
  std::atomic<bool> ready_ = false;   // Has been.
  std::atomic<bool> losing_ = false;  // device_lost_ has been, or is being, notified.
  absl::Notification device_lost_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_SERVER_H_
