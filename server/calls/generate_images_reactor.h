#ifndef HMAR_SERVER_CALLS_GENERATE_IMAGES_REACTOR_H_
#define HMAR_SERVER_CALLS_GENERATE_IMAGES_REACTOR_H_

#include <grpcpp/support/server_callback.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "hmar/v1/image_generation.pb.h"
#include "server/calls/call_canceller.h"
#include "server/calls/call_scope.h"
#include "server/calls/deliveries.h"
#include "server/calls/generation.h"
#include "server/calls/received_request.h"

namespace hmar {

// One GenerateImages call: gathers what GenerateReactor would stream, and answers once. Its
// lifetime is as there. The copy that gRPC makes of the reply is not in its account: it would be
// the call that holds most just when it is done.
class GenerateImagesReactor final : public grpc::ServerUnaryReactor,
                                    public EventSink,
                                    public Deliverer,
                                    public std::enable_shared_from_this<GenerateImagesReactor> {
 public:
  // As GenerateReactor::Start. `response` is gRPC's.
  static grpc::ServerUnaryReactor* Start(const ServiceContext* context, ActiveCalls* active_calls,
                                         grpc::CallbackServerContext* call,
                                         ReceivedRequest<v1::GenerateImagesRequest> request,
                                         v1::GenerateImagesResponse* response);

  // Use Start; public for std::make_shared.
  GenerateImagesReactor(CallScope scope, grpc::CallbackServerContext* call,
                        v1::GenerateImagesResponse* response);

  void OnAccepted(v1::Accepted accepted) override;
  void OnPreview(v1::Preview preview, uint32_t skipped) override;  // Never comes.
  void OnImage(v1::Image image) override;
  void OnCompleted(v1::Completed completed) override;
  void OnFailed(const absl::Status& status) override;

  void DropPreviews() override {}  // It has none.
  bool Relieve(const std::string& message) override;
  void Stop(const std::string& message) override;

  void OnCancel() override;
  void OnDone() override;

 private:
  void Begin(const ReceivedRequest<v1::GenerateImagesRequest>& request);
  absl::Status Admit(const ReceivedRequest<v1::GenerateImagesRequest>& request);
  // False: the call has been finished before.
  bool End(const absl::Status& status);
  void FinishIfComplete();

  CallScope call_;  // Begin and OnDone change it; constant in between.
  CallCanceller canceller_;
  Deliveries::Account account_;
  v1::GenerateImagesResponse* const response_;  // Written by whoever sets finished_, before Finish.

  absl::Mutex mutex_;
  std::shared_ptr<GenerateImagesReactor> self_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<Generation> generation_ ABSL_GUARDED_BY(mutex_);
  v1::GenerateImagesResponse gathered_ ABSL_GUARDED_BY(mutex_);  // Images in the order they came.
  size_t gathered_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint32_t images_sent_ ABSL_GUARDED_BY(mutex_) = 0;  // Of the response.
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status end_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_GENERATE_IMAGES_REACTOR_H_
