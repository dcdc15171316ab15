#ifndef HMAR_SERVER_SCHEDULING_WORK_LEDGER_H_
#define HMAR_SERVER_SCHEDULING_WORK_LEDGER_H_

// The scheduler's books: which requests there are, how far their images are, and how both end.

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "model/engine.h"
#include "model/sampling_plan.h"
#include "server/operations/metrics.h"
#include "server/scheduling/image_table.h"
#include "server/scheduling/listener_outbox.h"
#include "server/scheduling/work.h"

namespace hmar {

// A request is open while it has images that have not ended. What its listener is to hear is put
// into its outbox and delivered later, without the scheduler's lock; until then a closed request
// is kept, so that a Cancel still reaches it. Reports about images that are not in the books (their
// request was dropped while they ran) are ignored. Thread-compatible.
class WorkLedger {
 public:
  using Outboxes = std::map<WorkId, std::shared_ptr<ListenerOutbox>>;

  // `metrics` may be null; it hears of every client's image's end.
  WorkLedger(size_t devices, size_t models, Metrics* metrics)
      : images_(devices, models), releases_(devices), metrics_(metrics) {}

  // Opens a request whose images wait, take `passes` each and are to have `num_scales` scales.
  // Takes the listener.
  WorkId Open(Work work, std::vector<Pass> passes, uint32_t num_scales, absl::Time now);

  // An open or closed request's work, less its listener. REQUIRES: it is in the books.
  const Work& work(WorkId id) const { return requests_.at(id).work; }

  // Requests with images that are not done.
  size_t open_requests() const { return open_requests_; }

  // The tokens of its upload are known. REQUIRES: as work().
  void GiveTokens(WorkId id, std::shared_ptr<const TokenPyramid> tokens) {
    requests_.at(id).work.job.prototype.given = std::move(tokens);
  }

  ImageTable& images() { return images_; }
  const ImageTable& images() const { return images_; }

  // What a step did for one image.
  void BookPass(const PassReport& pass, double device_seconds, uint32_t batch_images);
  void BookPreview(PreviewReport preview);
  void BookPicture(ImageReport image, absl::Time now);
  // The engine has let go of the image; its request fails.
  void BookFailure(const FailureReport& failure, absl::Time now);

  // Ends the request with OnFailed(status). Images that hold slots are left to TakeReleases.
  void Fail(WorkId id, const absl::Status& status, ImageOutcome outcome, absl::Time now);
  // Ends the requests of these images so.
  void FailImages(const std::vector<ImageId>& ids, const absl::Status& status, absl::Time now);
  void FailAll(const absl::Status& status, absl::Time now);

  // Fails a request that will miss its deadline with DEADLINE_UNREACHABLE.
  void FailUnreachable(WorkId id, absl::Time now);

  // Fails requests whose deadline is `now` or earlier with DEADLINE_EXCEEDED.
  void Expire(absl::Time now);

  // Strikes the request off without a word to its listener. Returns its outbox, to be closed
  // without the scheduler's lock; null: no such request.
  std::shared_ptr<ListenerOutbox> Cancel(WorkId id, absl::Time now);

  // Images of ended requests that the device's engines still hold, as PlannedStep::cancelled wants
  // them. The caller takes over: they are not returned again.
  std::vector<std::pair<size_t, ImageId>> TakeReleases(size_t device, absl::Time now);

  // Outboxes that were posted to since the last call.
  Outboxes TakeOutboxes() { return std::exchange(touched_, {}); }

  // After a delivery: strikes off those requests that are closed and have been heard out.
  void Forget(const Outboxes& delivered);

 private:
  struct Request {
    Work work;  // Its listener is in the outbox.
    std::shared_ptr<ListenerOutbox> outbox;
    std::set<ImageId> open_images;
  };
  struct Release {
    size_t model;
    ImageId id;
    absl::Time since;
    bool probe;
  };

  void Post(WorkId id, ListenerOutbox::Call call);
  // Takes the request's open images out of the table. `lost` is one that no engine holds any more.
  void CloseImages(WorkId id, ImageOutcome outcome, absl::Time now, ImageId lost = 0);
  void CountEnded(const Work& work, ImageOutcome outcome, size_t images);

  ImageTable images_;
  std::vector<std::vector<Release>> releases_;  // By device.
  Metrics* const metrics_;
  WorkId next_work_ = 1;
  std::map<WorkId, Request> requests_;
  size_t open_requests_ = 0;
  std::set<std::pair<absl::Time, WorkId>> deadlines_;  // Of open requests, the first at the front.
  Outboxes touched_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULING_WORK_LEDGER_H_
