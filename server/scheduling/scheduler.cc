#include "server/scheduling/scheduler.h"

#include <algorithm>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "model/sampling_plan.h"
#include "server/operations/metrics.h"
#include "server/scheduling/admission_controller.h"
#include "server/scheduling/picture_tokens.h"
#include "server/scheduling/pricing.h"
#include "server/scheduling/step_booking.h"
#include "server/scheduling/step_planner.h"
#include "server/scheduling/work_ledger.h"

namespace hmar {

class Scheduler::Impl {
 public:
  Impl(SchedulerOptions options, const Clock* clock, Metrics* metrics);

  absl::StatusOr<Admission> Submit(Work work);
  absl::Status CheckOpen() const;
  void OpenToClients();
  absl::StatusOr<Admission> Price(const Work& work) const;
  void Cancel(WorkId id);
  std::optional<PlannedStep> NextStep(size_t device);
  std::optional<PlannedStep> AwaitStep(size_t device);
  void Finish(const PlannedStep& step, absl::StatusOr<StepReport> report, absl::Duration took);
  void BeginDrain();
  void Stop(const absl::Status& status);
  void ObserveDelivery(absl::Duration took);
  absl::Duration backlog_time() const;
  uint32_t waiting() const;
  uint32_t held() const;
  size_t waiting_clients() const;

 private:
  std::vector<Pass> PassesOf(const Work& work) const;

  std::optional<PlannedStep> Plan(size_t device) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Ended() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void KeepTokens(const PlannedStep& step) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Split(const PlannedStep& step, const absl::Status& status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Every change ends with these two: the first under the lock, the second with its result after
  // it.
  [[nodiscard]] WorkLedger::Outboxes Settle() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Deliver(const WorkLedger::Outboxes& outboxes) ABSL_LOCKS_EXCLUDED(mutex_);

  const SchedulerOptions options_;
  const Clock* const clock_;
  Metrics* const metrics_;  // May be null.

  mutable absl::Mutex mutex_;
  absl::CondVar changed_;  // Something that AwaitStep may be waiting for.
  WorkLedger ledger_ ABSL_GUARDED_BY(mutex_);
  PictureTokens picture_tokens_ ABSL_GUARDED_BY(mutex_);
  Pricing pricing_ ABSL_GUARDED_BY(mutex_);
  AdmissionController admission_ ABSL_GUARDED_BY(mutex_);
  StepBooking booking_ ABSL_GUARDED_BY(mutex_);
  std::vector<StepPlanner> planners_ ABSL_GUARDED_BY(mutex_);  // By device.
  std::vector<bool> step_under_way_ ABSL_GUARDED_BY(mutex_);   // By device.
};

Scheduler::Impl::Impl(SchedulerOptions options, const Clock* clock, Metrics* metrics)
    : options_(std::move(options)),
      clock_(clock),
      metrics_(metrics),
      ledger_(options_.devices.size(), options_.models().size(), metrics),
      picture_tokens_(options_.upload_cache_bytes),
      pricing_(&options_),
      admission_(&options_, &ledger_.images(), &pricing_, clock, metrics),
      booking_(&ledger_, &pricing_, metrics),
      step_under_way_(options_.devices.size()) {
  for (size_t device = 0; device < options_.devices.size(); ++device) {
    planners_.emplace_back(&options_, device, &ledger_, &picture_tokens_, &pricing_, metrics);
  }
}

std::vector<Pass> Scheduler::Impl::PassesOf(const Work& work) const {
  return PlanPasses(options_.models()[work.job.model].config, work.job.prototype);
}

absl::Status Scheduler::Impl::CheckOpen() const {
  absl::MutexLock lock(&mutex_);
  return admission_.CheckTaking(/*probe=*/false);
}

void Scheduler::Impl::OpenToClients() {
  absl::MutexLock lock(&mutex_);
  admission_.OpenToClients();
}

absl::StatusOr<Admission> Scheduler::Impl::Submit(Work work) {
  std::vector<Pass> passes = PassesOf(work);
  absl::StatusOr<Admission> admission;
  WorkLedger::Outboxes outboxes;
  {
    absl::MutexLock lock(&mutex_);
    admission = admission_.Quote(work, passes);
    if (!admission.ok()) {
      if (!work.probe) admission_.CountRefusal(admission.status());
      return admission;
    }
    const auto num_scales = static_cast<uint32_t>(
        NumScales(options_.models()[work.job.model].config, work.job.prototype.sampling));
    admission->id = ledger_.Open(std::move(work), std::move(passes), num_scales, clock_->Now());
    outboxes = Settle();
    changed_.SignalAll();
  }
  Deliver(outboxes);
  return admission;
}

absl::StatusOr<Admission> Scheduler::Impl::Price(const Work& work) const {
  const std::vector<Pass> passes = PassesOf(work);
  absl::MutexLock lock(&mutex_);
  return admission_.Quote(work, passes);
}

void Scheduler::Impl::ObserveDelivery(absl::Duration took) {
  absl::MutexLock lock(&mutex_);
  pricing_.ObserveDelivery(took);
}

absl::Duration Scheduler::Impl::backlog_time() const {
  absl::MutexLock lock(&mutex_);
  return admission_.BacklogTime();
}

uint32_t Scheduler::Impl::waiting() const {
  absl::MutexLock lock(&mutex_);
  return ledger_.images().waiting();
}

uint32_t Scheduler::Impl::held() const {
  absl::MutexLock lock(&mutex_);
  return ledger_.images().held();
}

size_t Scheduler::Impl::waiting_clients() const {
  absl::MutexLock lock(&mutex_);
  return ledger_.images().waiting_principals();
}

void Scheduler::Impl::Cancel(WorkId id) {
  std::shared_ptr<ListenerOutbox> outbox;
  WorkLedger::Outboxes outboxes;
  {
    absl::MutexLock lock(&mutex_);
    outbox = ledger_.Cancel(id, clock_->Now());
    outboxes = Settle();
    changed_.SignalAll();
  }
  if (outbox != nullptr) outbox->Close();
  Deliver(outboxes);
}

std::optional<PlannedStep> Scheduler::Impl::NextStep(size_t device) {
  std::optional<PlannedStep> step;
  WorkLedger::Outboxes outboxes;
  {
    absl::MutexLock lock(&mutex_);
    step = Plan(device);
    outboxes = Settle();
  }
  Deliver(outboxes);
  return step;
}

std::optional<PlannedStep> Scheduler::Impl::AwaitStep(size_t device) {
  std::optional<PlannedStep> step;
  bool ended = false;
  while (!step && !ended) {
    WorkLedger::Outboxes outboxes;
    {
      absl::MutexLock lock(&mutex_);
      step = Plan(device);
      ended = Ended();
      outboxes = Settle();
      if (!step && !ended && outboxes.empty()) changed_.Wait(&mutex_);
    }
    Deliver(outboxes);
  }
  return step;
}

std::optional<PlannedStep> Scheduler::Impl::Plan(size_t device) {
  if (admission_.stopped() || step_under_way_[device]) return std::nullopt;
  const absl::Time now = clock_->Now();
  ledger_.Expire(now);
  std::optional<PlannedStep> step = planners_[device].Plan(now);
  step_under_way_[device] = step.has_value();
  // What this device left waiting may have become another's to take.
  if (step.has_value() && planners_.size() > 1 && ledger_.images().waiting() > 0) {
    changed_.SignalAll();
  }
  return step;
}

// While images run on one device, those of another may end the same requests: all end together.
bool Scheduler::Impl::Ended() const {
  const bool busy =
      std::find(step_under_way_.begin(), step_under_way_.end(), true) != step_under_way_.end();
  return admission_.stopped() || (admission_.draining() && !busy && ledger_.images().size() == 0);
}

void Scheduler::Impl::Finish(const PlannedStep& step, absl::StatusOr<StepReport> report,
                             absl::Duration took) {
  WorkLedger::Outboxes outboxes;
  {
    absl::MutexLock lock(&mutex_);
    step_under_way_[step.device] = false;
    KeepTokens(step);
    if (report.ok()) {
      booking_.Book(step, *std::move(report), took, clock_->Now());
    } else {
      Split(step, report.status());
    }
    outboxes = Settle();
    changed_.SignalAll();
  }
  Deliver(outboxes);
}

// For whoever edits the picture next, and for the rest of the requests that this was done for,
// which the cache may not keep for long enough.
void Scheduler::Impl::KeepTokens(const PlannedStep& step) {
  for (const PlannedStep::TokenizedPicture& picture : step.tokenized) {
    picture_tokens_.Insert(step.model, picture.digest, picture.tokens);
    for (const PlannedStep::NewImage& image : step.admitted) {
      if (image.picture == nullptr || image.picture->digest != picture.digest) continue;
      if (const ImageRecord* record = ledger_.images().Find(image.id)) {
        ledger_.GiveTokens(record->work, picture.tokens);
      }
    }
  }
}

void Scheduler::Impl::Split(const PlannedStep& step, const absl::Status& status) {
  if (admission_.stopped()) return;
  if (step.await_pictures) {
    const std::set<ImageId>& due = ledger_.images().held(step.device, step.model).decoding;
    ledger_.FailImages({due.begin(), due.end()}, status, clock_->Now());
  } else if (step.ids.size() > 1) {
    planners_[step.device].Halve(step);
  } else {
    ledger_.FailImages(step.ids, status, clock_->Now());
  }
}

void Scheduler::Impl::BeginDrain() {
  absl::MutexLock lock(&mutex_);
  admission_.BeginDrain();
  changed_.SignalAll();
}

void Scheduler::Impl::Stop(const absl::Status& status) {
  WorkLedger::Outboxes outboxes;
  {
    absl::MutexLock lock(&mutex_);
    admission_.Stop(status);
    for (StepPlanner& planner : planners_) planner.Clear();
    ledger_.FailAll(status, clock_->Now());
    outboxes = Settle();
    changed_.SignalAll();
  }
  Deliver(outboxes);
}

WorkLedger::Outboxes Scheduler::Impl::Settle() {
  admission_.BooksChanged();
  if (metrics_ != nullptr) {
    const ImageTable& images = ledger_.images();
    for (size_t model = 0; model < options_.models().size(); ++model) {
      metrics_->QueueChanged(model, images.waiting(model));
      for (size_t device = 0; device < planners_.size(); ++device) {
        metrics_->RunningChanged(device, model, images.held(device, model).total());
      }
    }
  }
  return ledger_.TakeOutboxes();
}

void Scheduler::Impl::Deliver(const WorkLedger::Outboxes& outboxes) {
  if (outboxes.empty()) return;
  for (const auto& [id, outbox] : outboxes) outbox->Deliver();
  absl::MutexLock lock(&mutex_);
  ledger_.Forget(outboxes);
}

Scheduler::Scheduler(SchedulerOptions options, const Clock* clock, Metrics* metrics)
    : impl_(std::make_unique<Impl>(std::move(options), clock, metrics)) {}

Scheduler::~Scheduler() = default;

absl::StatusOr<Admission> Scheduler::Submit(Work work) { return impl_->Submit(std::move(work)); }

absl::StatusOr<Admission> Scheduler::Price(const Work& work) const { return impl_->Price(work); }

absl::Status Scheduler::CheckOpen() const { return impl_->CheckOpen(); }

void Scheduler::OpenToClients() { impl_->OpenToClients(); }

void Scheduler::Cancel(WorkId id) { impl_->Cancel(id); }

std::optional<PlannedStep> Scheduler::NextStep(size_t device) { return impl_->NextStep(device); }

std::optional<PlannedStep> Scheduler::AwaitStep(size_t device) { return impl_->AwaitStep(device); }

void Scheduler::Finish(const PlannedStep& step, absl::StatusOr<StepReport> report,
                       absl::Duration took) {
  impl_->Finish(step, std::move(report), took);
}

void Scheduler::BeginDrain() { impl_->BeginDrain(); }

void Scheduler::Stop(const absl::Status& status) { impl_->Stop(status); }

void Scheduler::ObserveDelivery(absl::Duration took) { impl_->ObserveDelivery(took); }

absl::Duration Scheduler::backlog_time() const { return impl_->backlog_time(); }

uint32_t Scheduler::queued_images() const { return impl_->waiting(); }

uint32_t Scheduler::running_images() const { return impl_->held(); }

size_t Scheduler::waiting_clients() const { return impl_->waiting_clients(); }

}  // namespace hmar
