#ifndef HMAR_CLIENT_LOAD_CALL_H_
#define HMAR_CLIENT_LOAD_CALL_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/answer_check.h"
#include "client/load/call_result.h"
#include "client/load/image_memory.h"
#include "client/load/mix.h"
#include "client/load/timers.h"
#include "grpcpp/grpcpp.h"
#include "grpcpp/support/client_callback.h"
#include "hmar/v1/image_generation.pb.h"

namespace hmar::load {

// What calls share; all of it outlives them.
struct CallContext {
  const Stopwatch& clock;
  Timers& timers;
  ImageMemory* memory;     // Null: bytes are not compared.
  absl::Duration timeout;  // The client gives a call up so long after it was due.
  const std::string& key;  // "": none.
};

// One call, without a thread of its own. Its answer is bounded and held against its request as
// Client's are (client/client.h).
class Call final : public grpc::ClientBidiReactor<google::protobuf::Message, grpc::ByteBuffer>,
                   public std::enable_shared_from_this<Call> {
 public:
  // Called once, on a thread of gRPC's, when the call has ended. It takes the call, which must not
  // be destroyed there: with the last call of a channel goes the channel, which waits for its
  // threads to end, this one too.
  using Done = std::function<void(std::shared_ptr<Call>, const CallResult&)>;

  // `kind` outlives the call. `forwarded_for` is sent as x-forwarded-for; empty: nothing is.
  Call(const CallContext& context, const Kind& kind, const PlannedCall& planned,
       v1::GenerateRequest request, const std::string& forwarded_for, absl::Duration due,
       Done done);

  // Sends it; once. Returns at once.
  void Start(const std::shared_ptr<grpc::Channel>& channel);

  // Ends it, unless it has ended; `end` says why. Thread-safe; the first reason counts.
  void Cancel(CallEnd end);

 private:
  void OnReadDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

  void SetDeadline();
  void SetTimers();
  void ReadNext();
  absl::Status TakeReply(absl::Duration now);
  absl::Status TakeEvent(absl::Duration now);
  absl::Status TakeImagesReply(absl::Duration now);
  void TakeImage(const v1::Image& image, absl::Duration now);
  CallEnd EndOf(const grpc::Status& status) const;

  const CallContext context_;
  const Kind& kind_;
  const uint64_t seed_;
  const bool streams_;  // Else one reply.
  const v1::GenerateRequest request_;
  Done done_;
  v1::GenerateImagesRequest wrapped_;  // Of a call of one reply.
  grpc::ClientContext client_context_;
  std::atomic<CallEnd> end_ = CallEnd::kServer;

  // Of the answer; touched by one reaction at a time.
  grpc::ByteBuffer bytes_;
  v1::GenerateResponse event_;
  AnswerCheck check_;
  bool replied_ = false;  // GenerateImages' one reply came.
  absl::Status judgement_;
  CallResult result_;
};

}  // namespace hmar::load

#endif  // HMAR_CLIENT_LOAD_CALL_H_
