#include "client/load/load_run.h"

#include <utility>

namespace hmar::load {
namespace {

std::vector<std::string> NamesOf(const std::vector<Kind>& kinds) {
  std::vector<std::string> names;
  names.reserve(kinds.size());
  for (const Kind& kind : kinds) names.push_back(kind.name);
  return names;
}

}  // namespace

void StopSignal::Stop() {
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
  if (on_stop_) on_stop_();
}

bool StopSignal::stopped() const {
  absl::MutexLock lock(&mutex_);
  return stopped_;
}

void StopSignal::OnStop(std::function<void()> on_stop) {
  absl::MutexLock lock(&mutex_);
  on_stop_ = std::move(on_stop);
  if (stopped_ && on_stop_) on_stop_();
}

LoadRun::LoadRun(const LoadShape& shape, const LoadParts& parts)
    : shape_(shape), parts_(parts), recorder_(NamesOf(parts.kinds), shape.warm_up, shape.slo_ms) {}

RunReport LoadRun::Execute(Seen& seen) {
  parts_.stop.OnStop([this] { OnStop(); });
  Send();
  const absl::Duration sending_end = SendingEnd();
  {
    absl::MutexLock lock(&mutex_);
    while (!open_.empty()) news_.Wait(&mutex_);
  }
  parts_.stop.OnStop(nullptr);
  DropEnded();
  absl::MutexLock lock(&mutex_);
  seen.Add(seen_);
  RunReport run = recorder_.Finish(sending_end);
  run.rate = shape_.rate;
  if (!shape_.rate) run.concurrency = shape_.concurrency;
  return run;
}

// A load that lasts a time stands until that is over, whenever its last call was due.
absl::Duration LoadRun::SendingEnd() const {
  absl::MutexLock lock(&mutex_);
  if (shape_.duration && !stopped_) return shape_.warm_up + *shape_.duration;
  return clock_.Elapsed();
}

void LoadRun::Send() {
  Schedule schedule(shape_.arrivals, shape_.rate.value_or(1), shape_.seed);
  Planner planner(parts_.kinds, shape_.seed, shape_.distinct_seeds);
  for (uint64_t counted = 0;;) {
    if (!shape_.rate && !WaitForSlot()) return;
    const absl::Duration due = shape_.rate ? schedule.Next() : clock_.Elapsed();
    if (IsOver(due, counted) || !WaitUntil(due)) return;
    DropEnded();
    const PlannedCall planned = planner.Next();
    if (due >= shape_.warm_up) ++counted;
    if (!shape_.rate || HasRoom()) {
      StartCall(planned, due);
    } else {
      absl::MutexLock lock(&mutex_);
      recorder_.NotSent(planned.kind, due);
    }
  }
}

bool LoadRun::IsOver(absl::Duration due, uint64_t counted) const {
  if (shape_.duration && due >= shape_.warm_up + *shape_.duration) return true;
  return shape_.requests && counted >= *shape_.requests;
}

// False: stopped.
bool LoadRun::WaitUntil(absl::Duration due) {
  absl::MutexLock lock(&mutex_);
  while (!stopped_) {
    const absl::Duration wait = due - clock_.Elapsed();
    if (wait <= absl::ZeroDuration()) return true;
    news_.WaitWithTimeout(&mutex_, wait);
  }
  return false;
}

// False: stopped, or the load's time is over.
bool LoadRun::WaitForSlot() {
  absl::MutexLock lock(&mutex_);
  while (!stopped_ && open_.size() >= shape_.concurrency) {
    if (!shape_.duration) {
      news_.Wait(&mutex_);
    } else {
      const absl::Duration left = shape_.warm_up + *shape_.duration - clock_.Elapsed();
      if (left <= absl::ZeroDuration()) return false;
      news_.WaitWithTimeout(&mutex_, left);
    }
  }
  return !stopped_;
}

bool LoadRun::HasRoom() const {
  absl::MutexLock lock(&mutex_);
  return open_.size() < shape_.max_outstanding;
}

void LoadRun::StartCall(const PlannedCall& planned, absl::Duration due) {
  const CallContext context{clock_, timers_, parts_.memory, shape_.timeout,
                            parts_.keys[planned.kind]};
  const auto call = std::make_shared<Call>(
      context, parts_.kinds[planned.kind], planned,
      parts_.makers[planned.kind].Request(planned.seed), parts_.channels.ForwardedFor(planned.kind),
      due, [this](std::shared_ptr<Call> ended, const CallResult& result) {
        OnCallDone(std::move(ended), result);
      });
  const Channels::Lease lease = parts_.channels.Acquire(planned.kind);
  bool stopped = false;
  {
    absl::MutexLock lock(&mutex_);
    open_.emplace(call, lease);
    stopped = stopped_;
  }
  call->Start(lease.channel);
  if (stopped) call->Cancel(CallEnd::kInterrupted);
}

void LoadRun::OnCallDone(std::shared_ptr<Call> call, const CallResult& result) {
  absl::MutexLock lock(&mutex_);
  const auto place = open_.find(call);
  parts_.channels.Release(place->second);
  open_.erase(place);
  recorder_.Add(result);
  seen_.Add(result);
  ended_.push_back(std::move(call));  // The last of this thread's: see Call::Done.
  news_.SignalAll();
}

// Destroys calls that have ended, on this thread.
void LoadRun::DropEnded() {
  std::vector<std::shared_ptr<Call>> ended;
  absl::MutexLock lock(&mutex_);
  ended.swap(ended_);
}

void LoadRun::OnStop() {
  std::vector<std::shared_ptr<Call>> open;
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    for (const auto& [call, lease] : open_) open.push_back(call);
    news_.SignalAll();
  }
  // Without the lock: gRPC may tell of a call's end inside of its cancellation.
  for (const auto& call : open) call->Cancel(CallEnd::kInterrupted);
  timers_.Hurry();
}

}  // namespace hmar::load
