#include "server/scheduler.h"

#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "model/sampling_plan.h"
#include "model/status_macros.h"
#include "server/metrics.h"
#include "server/pricing.h"
#include "server/step_planner.h"
#include "server/work_ledger.h"

namespace hmar {

class Scheduler::Impl {
 public:
  Impl(SchedulerOptions options, const Clock* clock, Metrics* metrics);

  absl::StatusOr<Admission> Submit(Work work);
  absl::StatusOr<Admission> Price(const Work& work) const;
  void Cancel(WorkId id);
  std::optional<PlannedStep> NextStep();
  std::optional<PlannedStep> AwaitStep();
  void Finish(const PlannedStep& step, absl::StatusOr<StepReport> report, absl::Duration took);
  void BeginDrain();
  void Stop(const absl::Status& status);
  absl::Duration backlog_time() const;
  ImageTable::Counts counts() const;

 private:
  std::vector<Pass> PassesOf(const Work& work) const;
  absl::Status CheckRoom(const Work& work) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  std::optional<PlannedStep> Plan() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Ended() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void Absorb(const PlannedStep& step, StepReport report, absl::Duration took)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void BookPasses(const PlannedStep& step, const std::vector<PassReport>& passes,
                  absl::Duration took) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Split(const PlannedStep& step, const absl::Status& status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Every change ends with these two: the first under the lock, the second with its result after
  // it.
  WorkLedger::Outboxes Settle() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Deliver(const WorkLedger::Outboxes& outboxes) ABSL_LOCKS_EXCLUDED(mutex_);

  const SchedulerOptions options_;
  const Clock* const clock_;
  Metrics* const metrics_;  // May be null.

  mutable absl::Mutex mutex_;
  absl::CondVar changed_;  // Something that AwaitStep may be waiting for.
  WorkLedger ledger_ ABSL_GUARDED_BY(mutex_);
  Pricing pricing_ ABSL_GUARDED_BY(mutex_);
  StepPlanner planner_ ABSL_GUARDED_BY(mutex_);
  bool step_under_way_ ABSL_GUARDED_BY(mutex_) = false;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

Scheduler::Impl::Impl(SchedulerOptions options, const Clock* clock, Metrics* metrics)
    : options_(std::move(options)),
      clock_(clock),
      metrics_(metrics),
      ledger_(options_.models.size(), metrics),
      pricing_(&options_),
      planner_(&options_, &ledger_, metrics) {}

std::vector<Pass> Scheduler::Impl::PassesOf(const Work& work) const {
  const ImageTask& task = work.prototype;
  return PlanPasses(options_.models[work.model].config, task.sampling, task.class_id.has_value(),
                    static_cast<int>(task.prefix.size()));
}

absl::Status Scheduler::Impl::CheckRoom(const Work& work) const {
  if (stopped_ || draining_) return absl::UnavailableError("the server is shutting down");
  const uint32_t waiting = ledger_.images().total().waiting;
  if (waiting + uint64_t{work.images} > options_.max_queued_images) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the queue is full: ", waiting, " images wait and the request has ",
                     work.images, "; the limit is ", options_.max_queued_images));
  }
  return absl::OkStatus();
}

absl::StatusOr<Admission> Scheduler::Impl::Submit(Work work) {
  std::vector<Pass> passes = PassesOf(work);
  absl::MutexLock lock(&mutex_);
  if (absl::Status room = CheckRoom(work); !room.ok()) {
    if (metrics_ != nullptr) {
      metrics_->AdmissionRejected(absl::IsUnavailable(room) ? RejectReason::kDraining
                                                            : RejectReason::kQueueFull);
    }
    return room;
  }
  Admission admission = pricing_.Quote(ledger_.images(), work.model, work.images, passes);
  admission.id = ledger_.Open(std::move(work), std::move(passes), clock_->Now());
  Settle();
  changed_.SignalAll();
  return admission;
}

absl::StatusOr<Admission> Scheduler::Impl::Price(const Work& work) const {
  const std::vector<Pass> passes = PassesOf(work);
  absl::MutexLock lock(&mutex_);
  HMAR_RETURN_IF_ERROR(CheckRoom(work));
  return pricing_.Quote(ledger_.images(), work.model, work.images, passes);
}

absl::Duration Scheduler::Impl::backlog_time() const {
  absl::MutexLock lock(&mutex_);
  return pricing_.BacklogTime(ledger_.images());
}

ImageTable::Counts Scheduler::Impl::counts() const {
  absl::MutexLock lock(&mutex_);
  return ledger_.images().total();
}

void Scheduler::Impl::Cancel(WorkId id) {
  std::shared_ptr<ListenerOutbox> outbox;
  {
    absl::MutexLock lock(&mutex_);
    outbox = ledger_.Cancel(id, clock_->Now());
    Settle();
    changed_.SignalAll();
  }
  if (outbox != nullptr) outbox->Close();
}

std::optional<PlannedStep> Scheduler::Impl::NextStep() {
  std::optional<PlannedStep> step;
  WorkLedger::Outboxes outboxes;
  {
    absl::MutexLock lock(&mutex_);
    step = Plan();
    outboxes = Settle();
  }
  Deliver(outboxes);
  return step;
}

std::optional<PlannedStep> Scheduler::Impl::AwaitStep() {
  std::optional<PlannedStep> step;
  bool ended = false;
  while (!step && !ended) {
    WorkLedger::Outboxes outboxes;
    {
      absl::MutexLock lock(&mutex_);
      step = Plan();
      ended = Ended();
      outboxes = Settle();
      if (!step && !ended && outboxes.empty()) changed_.Wait(&mutex_);
    }
    Deliver(outboxes);
  }
  return step;
}

std::optional<PlannedStep> Scheduler::Impl::Plan() {
  if (stopped_ || step_under_way_) return std::nullopt;
  const absl::Time now = clock_->Now();
  ledger_.Expire(now);
  std::optional<PlannedStep> step = planner_.Plan(now);
  step_under_way_ = step.has_value();
  return step;
}

bool Scheduler::Impl::Ended() const {
  return stopped_ || (draining_ && !step_under_way_ && ledger_.images().size() == 0);
}

void Scheduler::Impl::Finish(const PlannedStep& step, absl::StatusOr<StepReport> report,
                             absl::Duration took) {
  WorkLedger::Outboxes outboxes;
  {
    absl::MutexLock lock(&mutex_);
    step_under_way_ = false;
    if (report.ok()) {
      Absorb(step, *std::move(report), took);
    } else {
      Split(step, report.status());
    }
    outboxes = Settle();
    changed_.SignalAll();
  }
  Deliver(outboxes);
}

void Scheduler::Impl::Absorb(const PlannedStep& step, StepReport report, absl::Duration took) {
  BookPasses(step, report.passes, took);
  const absl::Time now = clock_->Now();
  for (PreviewReport& preview : report.previews) ledger_.BookPreview(std::move(preview));
  for (ImageReport& image : report.images) ledger_.BookPicture(std::move(image), now);
  for (const FailureReport& failure : report.failures) ledger_.BookFailure(failure, now);
}

void Scheduler::Impl::BookPasses(const PlannedStep& step, const std::vector<PassReport>& passes,
                                 absl::Duration took) {
  uint64_t rows = 0;
  for (const PassReport& pass : passes) rows += pass.rows;
  if (rows > 0) pricing_.Observe(step.model, rows, took);
  for (const PassReport& pass : passes) {
    const double share = rows == 0 ? 0 : static_cast<double>(pass.rows) / rows;
    const double seconds = share * absl::ToDoubleSeconds(took);
    ledger_.BookPass(pass, seconds, static_cast<uint32_t>(passes.size()));
    if (metrics_ != nullptr && pass.rows > 0) metrics_->ScaleRan(step.model, pass.scale, seconds);
  }
  for (ImageId id : step.ids) {
    ImageRecord* image = ledger_.images().Find(id);
    if (image != nullptr && image->next_pass >= image->passes->size()) {
      ledger_.images().SetState(*image, ImageState::kDecoding);
    }
  }
}

void Scheduler::Impl::Split(const PlannedStep& step, const absl::Status& status) {
  if (stopped_) return;
  if (step.await_pictures) {
    ledger_.FailImages(ledger_.images().InState(step.model, ImageState::kDecoding), status,
                       clock_->Now());
  } else if (step.ids.size() > 1) {
    planner_.Halve(step);
  } else {
    ledger_.FailImages(step.ids, status, clock_->Now());
  }
}

void Scheduler::Impl::BeginDrain() {
  absl::MutexLock lock(&mutex_);
  draining_ = true;
  changed_.SignalAll();
}

void Scheduler::Impl::Stop(const absl::Status& status) {
  WorkLedger::Outboxes outboxes;
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    planner_.Clear();
    ledger_.FailAll(status, clock_->Now());
    outboxes = Settle();
    changed_.SignalAll();
  }
  Deliver(outboxes);
}

WorkLedger::Outboxes Scheduler::Impl::Settle() {
  if (metrics_ != nullptr) {
    for (size_t m = 0; m < options_.models.size(); ++m) {
      const ImageTable::Counts& counts = ledger_.images().counts(m);
      metrics_->QueueChanged(m, counts.waiting, counts.running + counts.decoding);
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

void Scheduler::Cancel(WorkId id) { impl_->Cancel(id); }

std::optional<PlannedStep> Scheduler::NextStep() { return impl_->NextStep(); }

std::optional<PlannedStep> Scheduler::AwaitStep() { return impl_->AwaitStep(); }

void Scheduler::Finish(const PlannedStep& step, absl::StatusOr<StepReport> report,
                       absl::Duration took) {
  impl_->Finish(step, std::move(report), took);
}

void Scheduler::BeginDrain() { impl_->BeginDrain(); }

void Scheduler::Stop(const absl::Status& status) { impl_->Stop(status); }

absl::Duration Scheduler::backlog_time() const { return impl_->backlog_time(); }

uint32_t Scheduler::queued_images() const { return impl_->counts().waiting; }

uint32_t Scheduler::running_images() const {
  const ImageTable::Counts counts = impl_->counts();
  return counts.running + counts.decoding;
}

}  // namespace hmar
