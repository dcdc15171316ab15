#ifndef HMAR_SERVER_CALLS_GENERATE_REACTOR_H_
#define HMAR_SERVER_CALLS_GENERATE_REACTOR_H_

#include <grpcpp/support/server_callback.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "hmar/v1/image_generation.pb.h"
#include "server/calls/call_canceller.h"
#include "server/calls/call_scope.h"
#include "server/calls/received_request.h"
#include "server/calls/streamed_call.h"

namespace hmar {

// One Generate call. Events go into its mailbox from any thread; whoever finds the stream idle
// starts the next write.
//
// It lives until OnDone and, beyond that, for as long as a late event may still come: it owns
// itself (self_) until OnDone, and its Generation shares it. After Finish nothing reaches gRPC any
// more, so late events are harmless. No lock is held while gRPC or the scheduler is called.
class GenerateReactor final : public grpc::ServerWriteReactor<v1::GenerateResponse>,
                              public StreamedCall,
                              public std::enable_shared_from_this<GenerateReactor> {
 public:
  // Resolves, admits and starts the call; what the service's handler returns. Does not block. A
  // request that could not be read ends the call with the reader's error.
  static grpc::ServerWriteReactor<v1::GenerateResponse>* Start(
      const ServiceContext* context, ActiveCalls* active_calls, grpc::CallbackServerContext* call,
      ReceivedRequest<v1::GenerateRequest> request);

  // Use Start; public for std::make_shared.
  GenerateReactor(CallScope scope, grpc::CallbackServerContext* call);

  bool Relieve(const std::string& message) override;
  void Stop(const std::string& message) override;

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  void Begin(const ReceivedRequest<v1::GenerateRequest>& request);
  absl::Status Admit(const ReceivedRequest<v1::GenerateRequest>& request);
  void End(const absl::Status& status) override;
  void Pump() override;
  void CountWritten();

  CallCanceller canceller_;

  absl::Mutex mutex_;
  std::shared_ptr<GenerateReactor> self_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;   // A write is with gRPC.
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;  // Finish has been or is being called.
  std::optional<absl::Status> end_
      ABSL_GUARDED_BY(mutex_);  // How to finish once nothing is unsent.
  uint32_t images_sent_ ABSL_GUARDED_BY(mutex_) = 0;

  v1::GenerateResponse current_;  // Belongs to gRPC while writing_.
};

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_GENERATE_REACTOR_H_
