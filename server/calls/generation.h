#ifndef HMAR_SERVER_CALLS_GENERATION_H_
#define HMAR_SERVER_CALLS_GENERATION_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "hmar/v1/image_generation.pb.h"
#include "server/calls/edit_intake.h"
#include "server/calls/prepared_edit.h"
#include "server/calls/service_context.h"
#include "server/operations/access_log.h"
#include "server/scheduling/work.h"
#include "server/wire/request.h"

namespace hmar {

// Where a generation's events go: a call's reactor. The encoder's, the upload readers' and the
// engine's threads call it, also at the same time, also when the call has ended; it must not block.
// Events of one image come in their order, OnCompleted after every OnImage. Any of them may come
// before OnAccepted, which comes once, and events already on their way may come after OnFailed.
class EventSink {
 public:
  virtual ~EventSink() = default;

  virtual void OnAccepted(v1::Accepted accepted) = 0;
  // `skipped` previews of the image were left out just before this one.
  virtual void OnPreview(v1::Preview preview, uint32_t skipped) = 0;
  virtual void OnImage(v1::Image image) = 0;
  virtual void OnCompleted(v1::Completed completed) = 0;
  virtual void OnFailed(const absl::Status& status) = 0;
};

// One request between admission and its last event: it hears from the scheduler, has the encoder
// pool turn pictures into events, and passes them on. Whoever still has something to deliver shares
// ownership, so late calls find it alive. Thread-safe.
class Generation final : public WorkListener, public std::enable_shared_from_this<Generation> {
 public:
  // REQUIRES: Start is called once, before anything else. `context` outlives the object.
  Generation(const ServiceContext* context, ResolvedRequest request, CallOrigin origin,
             std::shared_ptr<EventSink> sink);

  // Hands the request to the scheduler; with validate_only only asks its price, and OnCompleted
  // follows OnAccepted. An edit's upload is read first, by another thread: what is found wrong with
  // it then comes as OnFailed, as does DRAINING where the readers stop before. An error: why it was
  // refused at once; the sink hears nothing.
  absl::Status Start();

  // Takes the images off the scheduler, or the upload from its readers, at once: a reader that is
  // at it stops at the next row. Events already made may still come.
  void Cancel();

  const ResolvedRequest& request() const { return request_; }

  // How many of its images the scheduler has taken in: all or, so far, none.
  uint32_t images_accepted() const;

  // For the books: previews of this request that were left out for a slow client or a busy encoder.
  void CountDroppedPreviews(uint32_t previews);

  // What the finished images have cost so far.
  CallCosts costs() const;

  void OnPreview(uint32_t index, uint32_t scale, Picture picture) override;
  void OnImage(uint32_t index, FinishedImage image) override;
  void OnFailed(const absl::Status& status) override;

 private:
  const EngineInfo& model() const { return context_->catalog->models()[request_.job.model]; }
  Work MakeWork();
  absl::Status Submit();
  absl::Status Price();
  std::unique_ptr<EditIntake> IntakeOf(ResolvedRequest* request) const;
  void OnEditRead(absl::StatusOr<PreparedEdit> edit);
  void Composite(Picture* picture) const;
  void NoteCosts(const FinishedImage& image);
  absl::Status EncodePreview(uint32_t index, uint32_t scale, Picture picture, uint32_t skipped);
  absl::Status EncodeImage(uint32_t index, FinishedImage image, absl::Time finished_at);
  absl::StatusOr<std::string> PictureBytes(const Picture& picture, const std::string& receipt_json);
  void ImageSent();
  void CountEstimate() const;
  void PostPreview(uint32_t index, uint32_t scale, Picture picture);
  void PostImage(uint32_t index, FinishedImage image);
  template <typename Call>
  void EndIfThrown(Call call);
  template <typename Encoding>
  void RunEncoding(Encoding encode);
  // Something went wrong here: nothing more is made, and the call fails. The first time counts.
  void End(const absl::Status& status);
  bool ended() const { return ended_.load(std::memory_order_acquire); }

  const ServiceContext* const context_;
  const CallOrigin origin_;
  const std::shared_ptr<EventSink> sink_;
  const std::unique_ptr<EditIntake> intake_;  // Null: no edit.
  const ResolvedRequest request_;             // Less an edit's files.
  PreparedEdit edit_;  // What the upload has become; no thread looks at it before Submit.
  const absl::Time started_at_;
  const std::vector<std::shared_ptr<EncoderPool::Strand>> strands_;  // By image.
  std::atomic<uint32_t> images_left_;
  std::atomic<bool> ended_ = false;     // Cancelled or failed: what waits need not be encoded.
  std::atomic<bool> accepted_ = false;  // The scheduler has taken it in.

  mutable absl::Mutex mutex_;
  std::optional<WorkId> work_id_ ABSL_GUARDED_BY(mutex_);
  absl::Time submitted_at_ ABSL_GUARDED_BY(mutex_);
  absl::Duration estimated_time_ ABSL_GUARDED_BY(mutex_);  // Accepted's; zero until then.
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  CallCosts costs_ ABSL_GUARDED_BY(mutex_);
  uint32_t images_noted_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_GENERATION_H_
