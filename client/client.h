#ifndef HMAR_CLIENT_CLIENT_H_
#define HMAR_CLIENT_CLIENT_H_

// A blocking client of hmar.v1.ImageGenerationService. What a request's edit says is quickest made
// with client/edit_options.h.

#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/grpcpp.h"
#include "hmar/v1/image_generation.grpc.pb.h"

namespace hmar {

// Cancels calls from another thread than the one that blocks in them: give it to the call in
// CallOptions. Thread-safe. Once cancelled, it stays so: later calls that are given it fail at
// once.
class Canceller {
 public:
  void Cancel();
  bool cancelled() const;

 private:
  friend class CancellableCall;

  mutable absl::Mutex mutex_;
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;  // Of the call under way.
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

struct CallOptions {
  absl::Duration timeout =
      absl::InfiniteDuration();    // The call's deadline from now; DEADLINE_EXCEEDED after it.
  Canceller* canceller = nullptr;  // May be null; else outlives the call. For one call at a time.
};

// Thread-safe: calls of different threads share one connection. The errors of all calls are those
// of call_error.h: the server's code, its message and the details it sent; UNAVAILABLE when there
// is no server.
class Client {
 public:
  // Called for each event of a stream, in order, on the thread that called Generate. An error
  // cancels the call.
  using EventCallback = std::function<absl::Status(const v1::GenerateResponse&)>;

  // `server` is HOST:PORT, without TLS. Returns at once: the connection is made by the first call.
  explicit Client(const std::string& server);
  explicit Client(std::shared_ptr<grpc::Channel> channel);

  // Streams a request's events to `on_event`; returns after the last. The callback's own error is
  // returned as it is.
  absl::Status Generate(const v1::GenerateRequest& request, const EventCallback& on_event,
                        const CallOptions& options = {});

  // The same work in one reply; request.previews must be off.
  absl::StatusOr<v1::GenerateImagesResponse> GenerateImages(const v1::GenerateRequest& request,
                                                            const CallOptions& options = {});

  absl::StatusOr<v1::ListModelsResponse> ListModels(const CallOptions& options = {});

  // An empty name: the server's default model.
  absl::StatusOr<v1::Model> GetModel(const std::string& name, const CallOptions& options = {});

  // OK: the service is ready. UNAVAILABLE: it is not, or nobody answers. `service` may be empty:
  // the process itself.
  absl::Status Health(const std::string& service, const CallOptions& options = {});

  // Waits until the service is ready, through refused connections too. DEADLINE_EXCEEDED after
  // options.timeout.
  absl::Status WaitUntilReady(const std::string& service, const CallOptions& options);

 private:
  std::unique_ptr<v1::ImageGenerationService::Stub> images_;
  std::unique_ptr<grpc::health::v1::Health::Stub> health_;
};

// The health service's name for readiness: every model is loaded and has made an image.
inline constexpr char kReadinessService[] = "hmar.v1.ImageGenerationService";

}  // namespace hmar

#endif  // HMAR_CLIENT_CLIENT_H_
