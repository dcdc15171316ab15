#ifndef HMAR_CLIENT_CLIENT_H_
#define HMAR_CLIENT_CLIENT_H_

// A blocking client of hmar.v1.ImageGenerationService. What a request's edit says is quickest made
// with client/edit_options.h.
//
// Servers are not trusted. Whatever one sends, a call ends in an answer to its request or in an
// error, and holds no more memory than the limits below allow:
// - Each reply is bounded in bytes, and in fields before it is parsed; compressed ones are refused
//   unread, for a few bytes can stand for gigabytes.
// - Every answer is held against its request (client/answer_check.h). Events that do not belong to
//   it end the call with DATA_LOSS before the callback sees them.
// Calls are not tried again: client/retry.h does. Edits tell a balancer which picture they are of
// (client/upload_header.h).
//
// What is left to the application: a deadline (CallOptions::timeout), since a server may also send
// nothing; texts, which are to be escaped where they are shown (client/printable.h; messages of
// errors already are) and never belong in a path; a PNG's pixels, whose size and bytes are checked,
// not its content: decode within Picture.width x height and stop at the last row; and gRPC's log,
// on standard error, which quotes headers raw unless gpr_set_log_function says otherwise.

#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/answer_check.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/grpcpp.h"
#include "hmar/v1/image_generation.pb.h"

namespace hmar {

// Cancels calls from another thread than the one that blocks in them: give it to the call in
// CallOptions. Thread-safe. Once cancelled, it stays so: later calls that are given it fail at
// once.
class Canceller {
 public:
  void Cancel();
  bool cancelled() const;

  // Waits for so long, or until it is cancelled; true: it is.
  bool AwaitCancel(absl::Duration duration) const;

 private:
  friend class CancellableCall;

  mutable absl::Mutex mutex_;
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;  // Of the call under way.
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

// A message larger than these is never held.
inline constexpr int kMaxEventBytes = 64 << 20;   // Of a stream: a picture of 4096 x 4096 pixels.
inline constexpr int kMaxReplyBytes = 256 << 20;  // Of GenerateImages; Generate has no such limit.
inline constexpr int kMaxModelsReplyBytes = 16 << 20;
inline constexpr int kMaxModels = 1000;

// How Client's own channels keep to the limits, and gRPC from known ways to end the process: for a
// channel that an application makes itself, with TLS, say.
grpc::ChannelArguments SafeChannelArguments();

struct CallOptions {
  absl::Duration timeout =
      absl::InfiniteDuration();    // The call's deadline from now; DEADLINE_EXCEEDED after it.
  Canceller* canceller = nullptr;  // May be null; else outlives the call. For one call at a time.
  AnswerLimits answer = {};        // Of Generate and GenerateImages.
};

// Thread-safe: calls of different threads share one connection. The errors of all calls are those
// of call_error.h: the server's code, its message and the details it sent; UNAVAILABLE when there
// is no server; DATA_LOSS when what came is no answer, RESOURCE_EXHAUSTED when it is too large.
class Client {
 public:
  // Called for each event of a stream, in order, on the thread that called Generate. An error
  // cancels the call.
  using EventCallback = std::function<absl::Status(const v1::GenerateResponse&)>;

  // `server` is HOST:PORT, without TLS unless the credentials (tls_options.h) say otherwise.
  // Returns at once: the connection is made by the first call.
  explicit Client(const std::string& server);
  // `key` (api_key.h) goes with every call; "": none.
  Client(const std::string& server, const std::shared_ptr<grpc::ChannelCredentials>& credentials,
         std::string key = "");

  // The channel's own arguments hold: give it SafeChannelArguments.
  explicit Client(std::shared_ptr<grpc::Channel> channel, std::string key = "");

  // Streams a request's events to `on_event`, each checked against the request; returns after the
  // last. OK: Completed came, and every image before it. The callback's own error is returned as it
  // is.
  absl::Status Generate(const v1::GenerateRequest& request, const EventCallback& on_event,
                        const CallOptions& options = {});

  // The same work in one reply, checked likewise, at most kMaxReplyBytes; request.previews must be
  // off.
  absl::StatusOr<v1::GenerateImagesResponse> GenerateImages(const v1::GenerateRequest& request,
                                                            const CallOptions& options = {});

  // At most kMaxModels, in at most kMaxModelsReplyBytes; DATA_LOSS beyond.
  absl::StatusOr<v1::ListModelsResponse> ListModels(const CallOptions& options = {});

  // An empty name: the server's default model.
  absl::StatusOr<v1::Model> GetModel(const std::string& name, const CallOptions& options = {});

  // OK: the service is ready. UNAVAILABLE: it is not, or nobody answers. `service` may be empty:
  // the process itself.
  absl::Status Health(const std::string& service, const CallOptions& options = {});

  // Waits until the service is ready, through refused connections too; asks again at most five
  // times a second. DEADLINE_EXCEEDED after options.timeout.
  absl::Status WaitUntilReady(const std::string& service, const CallOptions& options);

 private:
  std::shared_ptr<grpc::Channel> channel_;
  const std::string key_;
  std::unique_ptr<grpc::health::v1::Health::Stub> health_;
};

// The health service's name for readiness: every model is loaded and has made an image.
inline constexpr char kReadinessService[] = "hmar.v1.ImageGenerationService";

}  // namespace hmar

#endif  // HMAR_CLIENT_CLIENT_H_
