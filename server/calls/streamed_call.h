#ifndef HMAR_SERVER_CALLS_STREAMED_CALL_H_
#define HMAR_SERVER_CALLS_STREAMED_CALL_H_

#include <cstdint>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "hmar/v1/image_generation.pb.h"
#include "server/calls/call_scope.h"
#include "server/calls/deliveries.h"
#include "server/calls/generation.h"
#include "server/calls/mailbox.h"
#include "server/wire/request.h"

namespace hmar {

// What every call whose events are taken one by one does with them, whatever transport they leave
// by: they go into its mailbox from any thread, and whoever writes takes them out of it. How a call
// writes, and what its end means there, is its transport's. Thread-safe but for `call_`.
class StreamedCall : public EventSink, public Deliverer {
 public:
  void OnAccepted(v1::Accepted accepted) final;
  void OnPreview(v1::Preview preview, uint32_t skipped) final;
  void OnImage(v1::Image image) final;
  void OnCompleted(v1::Completed completed) final;
  // What was finished before still goes out.
  void OnFailed(const absl::Status& status) final { End(status); }

  void DropPreviews() final { CountDropped(mailbox_.DropPreviews()); }

 protected:
  explicit StreamedCall(CallScope scope);

  // There may be an event to write, or an end. Called on any thread, without locks.
  virtual void Pump() = 0;
  // The call ends with this once nothing is unsent; the first time counts. As Pump.
  virtual void End(const absl::Status& status) = 0;

  // Has the request made, whose events come to `self`, this object. An error: why it was refused.
  // Call once.
  absl::Status StartGeneration(ResolvedRequest request, std::shared_ptr<EventSink> self);

  // Ends the call now: nothing more is made, what is unsent is dropped.
  void Abandon(const absl::Status& status);

  // A preview has been written.
  void CountPreviewSent();

  // Takes the generation, which shares this object, out of the call: at its end. Null: none.
  std::shared_ptr<Generation> TakeGeneration();

  CallScope call_;  // Its beginning and its end change it; constant in between.
  Deliveries::Account account_;
  Mailbox mailbox_;

 private:
  std::shared_ptr<Generation> generation() const;
  void PutFinal(v1::GenerateResponse event);
  void CountDropped(uint32_t previews);

  mutable absl::Mutex mutex_;
  std::shared_ptr<Generation> generation_ ABSL_GUARDED_BY(mutex_);
  bool preview_sent_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_STREAMED_CALL_H_
