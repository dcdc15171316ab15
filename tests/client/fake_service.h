#ifndef HMAR_TESTS_CLIENT_FAKE_SERVICE_H_
#define HMAR_TESTS_CLIENT_FAKE_SERVICE_H_

// A service that says what a test wrote down, on a real port.

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "grpcpp/grpcpp.h"
#include "hmar/v1/image_generation.grpc.pb.h"
#include "model/picture.h"

namespace hmar {

// What the fake answers to every call. GenerateImages makes one reply of the events.
struct Script {
  std::vector<v1::GenerateResponse> events;
  grpc::Status status;  // After the events.
  bool hang = false;    // After the events, wait for the client to cancel.

  // Makes one more event, number i after `events`, until it returns false: for more of them than
  // memory holds. May be null.
  std::function<bool(size_t i, v1::GenerateResponse& event)> more = nullptr;

  std::optional<v1::ListModelsResponse> models = std::nullopt;  // Else one, "tiny".
};

// Thread-safe.
class FakeService final : public v1::ImageGenerationService::CallbackService {
 public:
  void SetScript(Script script);
  // The first answers go by these, one each, the others by SetScript's.
  void SetFirstScripts(std::vector<Script> scripts);
  v1::GenerateRequest last_request() const;
  std::string last_upload() const;  // x-hmar-upload of the last call; empty: none.

  absl::Notification& events_sent() {
    return events_sent_;
  }  // All of a hanging script's events are out.
  absl::Notification& cancelled() { return cancelled_; }  // The client left a hanging call.

  grpc::ServerWriteReactor<v1::GenerateResponse>* Generate(
      grpc::CallbackServerContext* context, const v1::GenerateRequest* request) override;
  grpc::ServerUnaryReactor* GenerateImages(grpc::CallbackServerContext* context,
                                           const v1::GenerateImagesRequest* request,
                                           v1::GenerateImagesResponse* response) override;
  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* context,
                                       const v1::ListModelsRequest* request,
                                       v1::ListModelsResponse* response) override;
  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* context,
                                     const v1::GetModelRequest* request,
                                     v1::GetModelResponse* response) override;

 private:
  mutable absl::Mutex mutex_;
  Script NextScript() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Script script_ ABSL_GUARDED_BY(mutex_);
  std::deque<Script> first_scripts_ ABSL_GUARDED_BY(mutex_);
  v1::GenerateRequest last_request_ ABSL_GUARDED_BY(mutex_);
  std::string last_upload_ ABSL_GUARDED_BY(mutex_);
  absl::Notification events_sent_;
  absl::Notification cancelled_;
};

// The fake service and gRPC's own health service, listening on a free port of this host while it
// lives.
class FakeServer {
 public:
  FakeServer();
  ~FakeServer();

  FakeService& service() { return service_; }
  std::string address() const;  // HOST:PORT
  void SetReady(bool ready);    // What the health service says of readiness; at first false.

 private:
  FakeService service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

// A square picture of one colour, recognisable by `red`.
Picture Square(uint32_t side, uint8_t red);

// The stream of a request for `images` images of 3 scales, with previews at scales 0 and 1 if asked
// for, events of different images interleaved; image i has seed `seed` + i, pictures of 8 x 8 and
// previews of 4 x 4 pixels.
enum class Previews { kNone, kAllButTheLast };
std::vector<v1::GenerateResponse> StreamOf(uint32_t images, uint64_t seed,
                                           v1::OutputOptions::Format format,
                                           Previews previews = Previews::kNone);

// A picture as a server sends it.
v1::Picture MakePicture(const Picture& pixels, v1::OutputOptions::Format format);

}  // namespace hmar

#endif  // HMAR_TESTS_CLIENT_FAKE_SERVICE_H_
