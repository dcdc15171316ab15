#ifndef HMAR_SERVER_HTTP_HTTP_CALL_H_
#define HMAR_SERVER_HTTP_HTTP_CALL_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "hmar/v1/image_generation.pb.h"
#include "server/calls/call_scope.h"
#include "server/calls/streamed_call.h"
#include "server/http/image_answers.h"
#include "server/transport/descriptors.h"

namespace hmar {

// One generating call that came by HTTP: the life of a call as GenerateReactor has it, but that a
// worker's thread waits for the events, writes them, and watches whether its client is still there.
//
// The worker calls Begin, Next, Hold, Sent and Finish; all else comes from any thread.
class HttpCall final : public StreamedCall, public std::enable_shared_from_this<HttpCall> {
 public:
  // `socket`: the client's, watched for its end. `gathers`: the answer waits for all images.
  // `aborting`, which outlives the call, says when nobody is to wait any longer.
  static std::shared_ptr<HttpCall> Open(CallScope scope, int socket, bool gathers,
                                        const std::atomic<bool>* aborting);

  // Use Open; public for std::make_shared.
  HttpCall(CallScope scope, int socket, bool gathers, const std::atomic<bool>* aborting);

  // Validates and submits answer->request, takes its message out of it, and fills the rest with
  // what is known now. An error: why it was refused.
  absl::Status Begin(AnswerContext* answer);

  // The call has failed for this before it began.
  void Refuse(const absl::Status& status) { Abandon(status); }

  // Waits for the next event, which is then being sent. Nothing: the call has failed, see status().
  std::optional<v1::GenerateResponse> Next();

  // The event of Next, or so many images of an answer, have been taken by the client.
  void Sent(const v1::GenerateResponse& event);
  void SentAll(uint32_t images);

  // So many more bytes wait to become an answer.
  void Hold(size_t bytes);
  // They are on their way now.
  void BeginAnswer();

  absl::Status status() const;
  const std::string& request_id() const { return call_.request_id(); }

  // Readable when there may be something new; whether what is being sent is to be given up.
  int wake_fd() const { return wake_.get(); }
  bool stopped() const;

  // Closes the books; `delivered`: all that was said last has been taken. Call once, last.
  void Finish(bool delivered);

  bool Relieve(const std::string& message) override;
  void Stop(const std::string& message) override;

 private:
  void End(const absl::Status& status) override;
  // Wakes the worker.
  void Pump() override;
  // Until something happens, or the client or its deadline has gone.
  void Wait();

  const int socket_;
  const bool gathers_;
  const std::atomic<bool>& aborting_;
  const Descriptor wake_;

  mutable absl::Mutex mutex_;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
  bool answering_ ABSL_GUARDED_BY(mutex_) = false;  // What was gathered is being sent.
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;

  // The worker's.
  bool completed_ = false;
  uint32_t images_sent_ = 0;
};

}  // namespace hmar

#endif  // HMAR_SERVER_HTTP_HTTP_CALL_H_
