#ifndef HMAR_SERVER_OPERATIONS_METRICS_H_
#define HMAR_SERVER_OPERATIONS_METRICS_H_

// What the server counts. Every series exists from start-up, so that a rate over it is right from
// the first event, and is reached through a cached pointer: an event costs an atomic add or two,
// and takes no lock.
//
// Counted by the service:
// | hmar_requests_total{model,code}                | requests that ended, by gRPC code         |
// | hmar_request_duration_seconds{model}           | from arrival to the end of the stream     |
// | hmar_time_to_first_preview_seconds{model}      | from arrival to the first preview written |
// | hmar_estimate_ratio{model}                     | what a finished request took from         |
// |                                                | Accepted on, by Accepted.estimated_time   |
// | hmar_previews_total{model,mode,outcome}        | sent, or dropped for a slow reader        |
// | hmar_encode_duration_seconds                   | one picture to a file                     |
// | hmar_upload_read_duration_seconds              | an edit's files to picture and region     |
// by the scheduler, probe images left out but for the gauges and the time of scales:
// | hmar_admission_rejected_total{reason}          | requests not taken: QUEUE_FULL, DRAINING, |
// |                                                | CLIENT_QUEUE_FULL, DEADLINE_UNREACHABLE;  |
// |                                                | by the service: TOO_MANY_CALLS, NOT_READY,|
// |                                                | {UPLOAD,ENCODER,DELIVERY}_BACKLOG,        |
// |                                                | KEY_{MISSING,UNKNOWN,EXPIRED},            |
// |                                                | {MODEL,PRIORITY}_NOT_ALLOWED,QUOTA_IMAGES |
// | hmar_principal_device_seconds_total{principal} | images' shares of steps, by the name of   |
// |                                                | their key; none where there are no keys   |
// | hmar_principal_images_total{principal}         | images sent to its clients, likewise      |
// | hmar_images_total{model,outcome}               | done, degraded (finished early to meet a  |
// |                                                | deadline), failed, cancelled, expired     |
// | hmar_queue_duration_seconds{model}             | an image's wait for its first step        |
// | hmar_queue_images{model}                       | images that wait now                      |
// | hmar_running_images{model,device}              | images that hold a slot now               |
// | hmar_scale_device_seconds_total{model,device,scale} | step time by scale, shared by rows   |
// | hmar_cancel_release_seconds{model}             | from a drop to the freed slot             |
// | hmar_upload_lookups_total{model,outcome}       | edited images whose picture's tokens were |
// |                                                | known (hit), or had to be made (miss)     |
// by the engine loop:
// | hmar_step_duration_seconds{model,device}       | one packed step                           |
// | hmar_step_tokens{model,device}                 | forward rows of a step, with padding      |
// | hmar_step_images{model,device}                 | images of a step                          |
// | hmar_decode_duration_seconds{model,device}     | decoder's part of a step that decoded     |
// | hmar_upload_encode_duration_seconds{model,device} | uploaded pictures to tokens, a batch   |
// | hmar_device_busy_seconds_total{device}         | time inside steps and encodings           |
// by the listener:
// | hmar_connections                               | open connections of the API               |
// | hmar_connections_refused_total{reason}         | closed at once: table_full, peer_limit,   |
// |                                                | descriptors                               |
// and constant, or read at each scrape:
// | hmar_ready                                     | 1 while health says SERVING, else 0       |
// | hmar_waiting_clients                           | clients that have images waiting          |
// | hmar_open_calls                                | of the API, from their headers to their   |
// |                                                | end: what --max-open-calls bounds         |
// | hmar_buffer_bytes{buffer}                      | held now: delivery (for clients to read), |
// |                                                | encoder (pictures that wait for it),      |
// |                                                | upload (of open calls), http (bodies of   |
// |                                                | requests until they are read)             |
// | hmar_buffer_limit_bytes{buffer}                | their bounds                              |
// | hmar_device_memory_bytes{device,kind}          | what the engines took; only of devices whose |
// |                                                | engines say so                            |
// | hmar_certificate_expiration_timestamp_seconds  | with TLS: when the first of --tls-cert's  |
// |                                                | ends; 0: the file holds none              |
// | hmar_model_info{model,digest,precision}        | 1                                         |
// | hmar_build_info{version}                       | 1                                         |
// | process_*                                      | see process_metrics.h                     |

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "model/engine.h"
#include "server/base/error_reasons.h"

namespace prometheus {
class Collectable;
class Counter;
}  // namespace prometheus

namespace hmar {

class MetricFamilies;

// How an image ended.
enum class ImageOutcome { kDone, kDegraded, kFailed, kCancelled, kExpired };

// Why a connection was closed at once.
enum class ConnectionRefusal {
  kTableFull,    // table_full: as many are open as the server keeps.
  kPeerLimit,    // peer_limit: as many are open of one peer.
  kDescriptors,  // descriptors: the process has no more.
};

// What the calls of one key's name have had. Thread-safe.
class PrincipalMeter {
 public:
  void Ran(double device_seconds);
  void ImagesSent(uint32_t images);

 private:
  friend class MetricFamilies;
  prometheus::Counter* device_seconds_ = nullptr;
  prometheus::Counter* images_ = nullptr;
};

// Thread-safe. Models and devices go by their index in Create's lists, scales by their index in the
// model.
class Metrics {
 public:
  // A model's labels.
  struct Model {
    std::string name;  // As clients call it.
    std::string digest;
    std::string precision;
    uint32_t num_scales = 0;
  };
  // A device, which holds every model.
  struct Device {
    std::string name;
    std::vector<MemoryUse> memory;  // Over its models; kinds differ.
  };

  // Makes every family and series. INVALID_ARGUMENT: two models of one name. INTERNAL:
  // prometheus-cpp refused.
  static absl::StatusOr<std::unique_ptr<Metrics>> Create(const std::vector<Model>& models,
                                                         const std::vector<Device>& devices,
                                                         const std::string& version);
  ~Metrics();

  // What a scrape reads; handed to MetricsServer. Outlives the Metrics if need be, frozen.
  std::shared_ptr<prometheus::Collectable> collectable() const;

  // A scrape's text, as an endpoint would send it.
  std::string Text() const;

  // Service. `model` is absent while the request named none that exists: label "".
  void RequestDone(std::optional<size_t> model, absl::StatusCode code, absl::Duration took);
  void FirstPreview(size_t model, absl::Duration since_request);
  // `took` from Accepted to the last picture. Ignored where nothing was estimated (zero).
  void RequestEstimated(size_t model, absl::Duration estimated, absl::Duration took);
  void PreviewSent(size_t model, PreviewMode mode);
  void PreviewDropped(size_t model, PreviewMode mode);
  void PictureEncoded(absl::Duration took);
  void UploadRead(absl::Duration took);

  // The meter of a key's name, which lives as long as the metrics. Beyond kMaxPrincipals names,
  // over all keys that there have been, they share one: principal="other".
  static constexpr size_t kMaxPrincipals = 8192;
  PrincipalMeter* MeterOf(const std::string& principal);

  // Scheduler.
  // A refusal; none where `reason` is a fault of the request, which is no want of ours.
  void AdmissionRejected(Reason reason);
  void QueueChanged(size_t model, uint32_t queued_images);
  void RunningChanged(size_t device, size_t model, uint32_t running_images);
  void ImageStarted(size_t model, absl::Duration queued);
  void ImagesEnded(size_t model, ImageOutcome outcome, uint32_t images);
  void ScaleRan(size_t device, size_t model, uint32_t scale, double device_seconds);
  void CancelReleased(size_t model, absl::Duration since_cancel);
  void UploadLookedUp(size_t model, bool hit);

  // Engine loop: a step of `images` images and `rows` forward rows; `decode_seconds` of it in the
  // decoder (0: none).
  void StepDone(size_t device, size_t model, uint32_t rows, uint32_t images, absl::Duration took,
                double decode_seconds);
  void UploadsEncoded(size_t device, size_t model, absl::Duration took);

  // Listener.
  void ConnectionsChanged(uint32_t open);
  void ConnectionRefused(ConnectionRefusal why);

 private:
  explicit Metrics(std::unique_ptr<MetricFamilies> families);
  std::unique_ptr<MetricFamilies> families_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_OPERATIONS_METRICS_H_
