#ifndef HMAR_TESTS_CLIENT_LOAD_ANSWERING_SERVICE_H_
#define HMAR_TESTS_CLIENT_LOAD_ANSWERING_SERVICE_H_

// A service whose answers follow from the requests' models, on a real port, for many calls at a
// time.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "grpcpp/grpcpp.h"
#include "hmar/v1/image_generation.grpc.pb.h"

namespace hmar::load {

// What a call brought.
struct ReceivedCall {
  v1::GenerateRequest request;
  std::string forwarded_for;
  absl::Duration deadline;  // From its arrival.
};

// By model: "" answers as asked; "moody" with other bytes each time; "degraded" likewise, and says
// that it finished early; "full" refuses with QUEUE_FULL; "hang" accepts and waits until Release;
// "lying" sends an image that was not asked for. Thread-safe.
class AnsweringService final : public v1::ImageGenerationService::Service {
 public:
  grpc::Status Generate(grpc::ServerContext* context, const v1::GenerateRequest* request,
                        grpc::ServerWriter<v1::GenerateResponse>* writer) override;
  grpc::Status GenerateImages(grpc::ServerContext* context,
                              const v1::GenerateImagesRequest* request,
                              v1::GenerateImagesResponse* response) override;
  grpc::Status GetModel(grpc::ServerContext* context, const v1::GetModelRequest* request,
                        v1::GetModelResponse* response) override;

  std::vector<ReceivedCall> calls() const;
  int peak_open() const;        // Calls at the same time.
  void WaitForOpen(int calls);  // Blocks until so many are open.
  void Release();               // Ends what hangs, and will.

 private:
  class OpenCall;

  std::vector<v1::GenerateResponse> EventsFor(const v1::GenerateRequest& request);
  void Hang();

  mutable absl::Mutex mutex_;
  std::vector<ReceivedCall> calls_ ABSL_GUARDED_BY(mutex_);
  int open_ ABSL_GUARDED_BY(mutex_) = 0;
  int peak_open_ ABSL_GUARDED_BY(mutex_) = 0;
  uint8_t mood_ ABSL_GUARDED_BY(mutex_) = 0;
  bool released_ ABSL_GUARDED_BY(mutex_) = false;
};

// Listens on a free port of this host while it lives.
class AnsweringServer {
 public:
  AnsweringServer();
  ~AnsweringServer();

  AnsweringService& service() { return service_; }
  std::string address() const;  // HOST:PORT

 private:
  AnsweringService service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace hmar::load

#endif  // HMAR_TESTS_CLIENT_LOAD_ANSWERING_SERVICE_H_
