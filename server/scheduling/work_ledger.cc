#include "server/scheduling/work_ledger.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"

namespace hmar {
namespace {

// An image of a request without a deadline, or with a far one, is due this long after it came: so
// that a principal's own images with deadlines never keep it waiting for ever.
constexpr absl::Duration kDueWithin = absl::Minutes(1);

constexpr int kProbePriority = kMaxPriority + 1;

}  // namespace

WorkId WorkLedger::Open(Work work, std::vector<Pass> passes, uint32_t num_scales, absl::Time now) {
  const WorkId id = next_work_++;
  auto shared_passes = std::make_shared<const std::vector<Pass>>(std::move(passes));
  Request& request = requests_[id];
  request.outbox = std::make_shared<ListenerOutbox>(std::move(work.listener));
  request.work = std::move(work);
  ++open_requests_;
  const CallOrigin& origin = request.work.origin;
  if (origin.deadline < absl::InfiniteFuture()) deadlines_.emplace(origin.deadline, id);
  const ImageTask& prototype = request.work.job.prototype;
  std::shared_ptr<const std::vector<bool>> full_previews;
  if (prototype.preview_mode == PreviewMode::kFull) {
    full_previews = std::make_shared<const std::vector<bool>>(prototype.preview_scales);
  }
  for (uint32_t index = 0; index < request.work.job.images; ++index) {
    ImageRecord image;
    image.work = id;
    image.index = index;
    image.model = request.work.job.model;
    image.device = request.work.device;
    image.passes = shared_passes;
    image.full_previews = full_previews;
    image.side = SideWorkOf(request.work, index);
    image.priority = request.work.probe ? kProbePriority : request.work.job.priority;
    image.due = std::min(origin.deadline, now + kDueWithin);
    image.on_deadline = request.work.job.on_deadline;
    image.answer_by = origin.answer_by;
    image.num_scales = num_scales;
    image.submitted = now;
    request.open_images.insert(images_.Add(std::move(image), {origin.client, origin.weight}).id);
  }
  return id;
}

void WorkLedger::BookPass(const PassReport& pass, double device_seconds, uint32_t batch_images) {
  ImageRecord* image = images_.Find(pass.id);
  if (image == nullptr) return;
  if (!image->passes->empty()) image->Charge(pass, device_seconds, batch_images);
  if (PrincipalMeter* meter = work(image->work).origin.meter) meter->Ran(device_seconds);
  images_.Advance(*image, pass.last ? image->passes->size() : image->next_pass + 1);
}

void WorkLedger::BookPreview(PreviewReport preview) {
  const ImageRecord* image = images_.Find(preview.id);
  if (image == nullptr) return;
  Post(image->work, [index = image->index, scale = preview.scale,
                     picture = std::move(preview.picture)](WorkListener& listener) mutable {
    listener.OnPreview(index, scale, std::move(picture));
  });
}

void WorkLedger::BookPicture(ImageReport report, absl::Time now) {
  ImageRecord* image = images_.Find(report.id);
  if (image == nullptr) return;
  const ImageOutcome outcome = image->degraded ? ImageOutcome::kDegraded : ImageOutcome::kDone;
  FinishedImage finished;
  finished.picture = std::move(report.picture);
  finished.tokens = std::move(report.tokens);
  finished.degraded = std::move(image->degraded);
  finished.scales = std::move(image->scales);
  finished.queued = image->started - image->submitted;
  finished.ran = now - image->started;
  Post(image->work,
       [index = image->index, finished = std::move(finished)](WorkListener& listener) mutable {
         listener.OnImage(index, std::move(finished));
       });
  Request& request = requests_.at(image->work);
  CountEnded(request.work, outcome, 1);
  request.open_images.erase(image->id);
  if (request.open_images.empty()) {
    --open_requests_;
    deadlines_.erase({request.work.origin.deadline, image->work});
  }
  images_.Erase(image->id);
}

void WorkLedger::BookFailure(const FailureReport& failure, absl::Time now) {
  const ImageRecord* image = images_.Find(failure.id);
  if (image == nullptr) return;
  const WorkId work = image->work;
  CloseImages(work, ImageOutcome::kFailed, now, failure.id);
  Post(work, [status = failure.status](WorkListener& listener) { listener.OnFailed(status); });
}

void WorkLedger::Fail(WorkId id, const absl::Status& status, ImageOutcome outcome, absl::Time now) {
  CloseImages(id, outcome, now);
  Post(id, [status](WorkListener& listener) { listener.OnFailed(status); });
}

void WorkLedger::FailImages(const std::vector<ImageId>& ids, const absl::Status& status,
                            absl::Time now) {
  for (ImageId id : ids) {
    // Gone already if an image before it was of the same request.
    const ImageRecord* image = images_.Find(id);
    if (image != nullptr) Fail(image->work, status, ImageOutcome::kFailed, now);
  }
}

void WorkLedger::FailAll(const absl::Status& status, absl::Time now) {
  for (auto& [id, request] : requests_) {
    if (!request.open_images.empty()) Fail(id, status, ImageOutcome::kFailed, now);
  }
}

void WorkLedger::FailUnreachable(WorkId id, absl::Time now) {
  const Request& request = requests_.at(id);
  const std::string message =
      absl::StrCat("by the server's estimate the request misses its deadline, in ",
                   absl::FormatDuration(request.work.origin.deadline - now), ", with ",
                   request.open_images.size(), " of ", request.work.job.images, " images not done");
  Fail(id, ErrorOf(Reason::kDeadlineUnreachable, message), ImageOutcome::kExpired, now);
}

void WorkLedger::Expire(absl::Time now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const WorkId id = deadlines_.begin()->second;
    const Request& request = requests_.at(id);
    const std::string message =
        absl::StrCat("the deadline passed with ", request.open_images.size(), " of ",
                     request.work.job.images, " images not done");
    Fail(id, absl::DeadlineExceededError(message), ImageOutcome::kExpired, now);
  }
}

std::shared_ptr<ListenerOutbox> WorkLedger::Cancel(WorkId id, absl::Time now) {
  auto found = requests_.find(id);
  if (found == requests_.end()) return nullptr;
  // A client's own deadline comes as a cancel, a little before ours.
  const bool expired = now >= found->second.work.origin.answer_by;
  CloseImages(id, expired ? ImageOutcome::kExpired : ImageOutcome::kCancelled, now);
  std::shared_ptr<ListenerOutbox> outbox = std::move(found->second.outbox);
  requests_.erase(found);
  touched_.erase(id);
  return outbox;
}

std::vector<std::pair<size_t, ImageId>> WorkLedger::TakeReleases(size_t device, absl::Time now) {
  std::vector<std::pair<size_t, ImageId>> taken;
  for (const Release& release : releases_[device]) {
    taken.emplace_back(release.model, release.id);
    if (metrics_ != nullptr && !release.probe) {
      metrics_->CancelReleased(release.model, now - release.since);
    }
  }
  releases_[device].clear();
  return taken;
}

void WorkLedger::Forget(const Outboxes& delivered) {
  for (const auto& [id, outbox] : delivered) {
    auto found = requests_.find(id);
    if (found == requests_.end()) continue;
    if (found->second.open_images.empty() && outbox->idle()) requests_.erase(found);
  }
}

void WorkLedger::Post(WorkId id, ListenerOutbox::Call call) {
  const std::shared_ptr<ListenerOutbox>& outbox = requests_.at(id).outbox;
  outbox->Post(std::move(call));
  touched_.emplace(id, outbox);
}

void WorkLedger::CloseImages(WorkId id, ImageOutcome outcome, absl::Time now, ImageId lost) {
  Request& request = requests_.at(id);
  deadlines_.erase({request.work.origin.deadline, id});
  for (ImageId open : request.open_images) {
    const ImageRecord& image = *images_.Find(open);
    if (image.state != ImageState::kWaiting && open != lost) {
      releases_[*image.device].push_back({image.model, open, now, request.work.probe});
    }
    images_.Erase(open);
  }
  CountEnded(request.work, outcome, request.open_images.size());
  if (!request.open_images.empty()) --open_requests_;
  request.open_images.clear();
}

void WorkLedger::CountEnded(const Work& work, ImageOutcome outcome, size_t images) {
  if (metrics_ != nullptr && images > 0 && !work.probe) {
    metrics_->ImagesEnded(work.job.model, outcome, static_cast<uint32_t>(images));
  }
}

}  // namespace hmar
