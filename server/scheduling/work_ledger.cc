#include "server/scheduling/work_ledger.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace hmar {

WorkId WorkLedger::Open(Work work, std::vector<Pass> passes, absl::Time now) {
  const WorkId id = next_work_++;
  auto shared_passes = std::make_shared<const std::vector<Pass>>(std::move(passes));
  Request& request = requests_[id];
  request.outbox = std::make_shared<ListenerOutbox>(std::move(work.listener));
  request.work = std::move(work);
  for (uint32_t index = 0; index < request.work.job.images; ++index) {
    ImageRecord image;
    image.work = id;
    image.index = index;
    image.model = request.work.job.model;
    image.device = request.work.device;
    image.passes = shared_passes;
    image.submitted = now;
    request.open_images.insert(images_.Add(std::move(image)).id);
  }
  return id;
}

void WorkLedger::BookPass(const PassReport& pass, double device_seconds, uint32_t batch_images) {
  ImageRecord* image = images_.Find(pass.id);
  if (image == nullptr) return;
  if (!image->passes->empty()) image->Charge(pass, device_seconds, batch_images);
  image->next_pass = pass.last ? image->passes->size() : image->next_pass + 1;
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
  FinishedImage finished;
  finished.picture = std::move(report.picture);
  finished.tokens = std::move(report.tokens);
  finished.scales = std::move(image->scales);
  finished.queued = image->started - image->submitted;
  finished.ran = now - image->started;
  Post(image->work,
       [index = image->index, finished = std::move(finished)](WorkListener& listener) mutable {
         listener.OnImage(index, std::move(finished));
       });
  Request& request = requests_.at(image->work);
  CountEnded(request.work, ImageOutcome::kDone, 1);
  request.open_images.erase(image->id);
  images_.Erase(image->id);
}

void WorkLedger::BookFailure(const FailureReport& failure, absl::Time now) {
  const ImageRecord* image = images_.Find(failure.id);
  if (image == nullptr) return;
  const WorkId work = image->work;
  CloseImages(requests_.at(work), ImageOutcome::kFailed, now, failure.id);
  Post(work, [status = failure.status](WorkListener& listener) { listener.OnFailed(status); });
}

void WorkLedger::Fail(WorkId id, const absl::Status& status, ImageOutcome outcome, absl::Time now) {
  CloseImages(requests_.at(id), outcome, now);
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

void WorkLedger::Expire(absl::Time now) {
  for (auto& [id, request] : requests_) {
    if (request.open_images.empty() || request.work.origin.deadline > now) continue;
    const std::string message =
        absl::StrCat("the deadline passed with ", request.open_images.size(), " of ",
                     request.work.job.images, " images not done");
    Fail(id, absl::DeadlineExceededError(message), ImageOutcome::kExpired, now);
  }
}

std::shared_ptr<ListenerOutbox> WorkLedger::Cancel(WorkId id, absl::Time now) {
  auto found = requests_.find(id);
  if (found == requests_.end()) return nullptr;
  CloseImages(found->second, ImageOutcome::kCancelled, now);
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

void WorkLedger::CloseImages(Request& request, ImageOutcome outcome, absl::Time now, ImageId lost) {
  for (ImageId id : request.open_images) {
    const ImageRecord& image = *images_.Find(id);
    if (image.state != ImageState::kWaiting && id != lost) {
      releases_[*image.device].push_back({image.model, id, now, request.work.probe});
    }
    images_.Erase(id);
  }
  CountEnded(request.work, outcome, request.open_images.size());
  request.open_images.clear();
}

void WorkLedger::CountEnded(const Work& work, ImageOutcome outcome, size_t images) {
  if (metrics_ != nullptr && images > 0 && !work.probe) {
    metrics_->ImagesEnded(work.job.model, outcome, static_cast<uint32_t>(images));
  }
}

}  // namespace hmar
