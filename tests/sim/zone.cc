#include "tests/sim/zone.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace hmar::sim {

// One try of a call, at one replica.
class Zone::Listener final : public WorkListener {
 public:
  Listener(Zone* zone, Member* member, const Call& call)
      : zone_(*zone), member_(*member), call_(call) {}

  void OnPreview(uint32_t, uint32_t, Picture) override {}

  void OnImage(uint32_t, FinishedImage image) override {
    zone_.OnImage(call_, image);
    if (++images_done_ < zone_.calls_.images(call_.kind)) return;
    zone_.CountCalls(member_, -1);
    zone_.OnDone(call_);
  }

  void OnFailed(const absl::Status& status) override {
    zone_.CountCalls(member_, -1);
    zone_.OnFailed(call_, images_done_, status);
  }

 private:
  Zone& zone_;
  Member& member_;  // It stays as long as it has open calls.
  const Call call_;
  uint32_t images_done_ = 0;
};

Zone::Zone(const FleetOptions* options, const CallMaker* calls, const RatePath* path, double share,
           uint32_t replicas, uint64_t seed)
    : options_(*options),
      calls_(*calls),
      times_(path, share, seed),
      planner_(options->kinds, seed + 1, 0),
      balancer_(options->balancing, seed + 2),
      random_(seed + 3),
      way_(absl::Seconds(options->profile.answer_seconds)),
      outcomes_(options->kinds.size()) {
  for (uint32_t i = 0; i < replicas; ++i) MakeReady(AddMember());
  const uint32_t open_calls = options->traffic.open_calls;
  for (uint32_t i = 0; i < open_calls; ++i) Plan(clock_.Now(), What::kArrival);
  if (open_calls == 0) Plan(absl::UnixEpoch() + times_.Next(), What::kArrival);
}

Zone::~Zone() = default;

void Zone::Plan(absl::Time time, What what, uint64_t id, uint64_t life) {
  events_.push({time, planned_++, what, id, life});
}

void Zone::RunUntil(absl::Time until) {
  while (!events_.empty() && events_.top().time <= until) {
    const Event event = events_.top();
    events_.pop();
    clock_.MoveTo(event.time);
    Happen(event);
  }
  clock_.MoveTo(until);
}

void Zone::Happen(const Event& event) {
  if (event.what == What::kArrival) return Arrive();
  if (event.what == What::kTry) {
    const auto call = tries_.extract(event.id);
    return Try(call.mapped());
  }
  Member* const member = Find(event.id, event.life);
  if (member == nullptr) return;  // It failed or is gone since this was planned.
  if (event.what == What::kReady) return MakeReady(*member);
  if (event.what == What::kFailure) return Fail(*member);
  member->replica->EndStep();
  StepOn(*member);
}

Call Zone::NextCall() {
  const load::PlannedCall planned = planner_.Next();
  Call call;
  call.kind = planned.kind;
  call.seed = planned.seed;
  call.due = clock_.Now();
  call.counted = call.due >= absl::UnixEpoch() + options_.warm_up;
  return call;
}

void Zone::Arrive() {
  if (!arriving_) return;
  if (options_.traffic.open_calls == 0) Plan(absl::UnixEpoch() + times_.Next(), What::kArrival);
  const Call call = NextCall();
  ++open_calls_;
  ++view_.calls;
  if (call.counted) ++outcomes_[call.kind].calls;
  Try(call);
}

void Zone::Try(Call call) {
  ++call.tries;
  if (call.counted) ++outcomes_[call.kind].tries;
  if (ready_.empty()) return Retry(call);
  Member& member = *ready_[balancer_.Pick(open_)];
  Work work = calls_.Make(call);
  work.listener = std::make_shared<Listener>(this, &member, call);
  CountCalls(member, 1);
  const absl::StatusOr<Admission> admission = member.replica->Submit(std::move(work));
  if (admission.ok()) return StepOn(member);
  CountCalls(member, -1);
  OnFailed(call, 0, admission.status());
}

// Another replica, after a while.
void Zone::Retry(const Call& call) {
  if (call.tries >= options_.tries) return EndCall(call, End::kLost);
  const uint64_t id = planned_;
  tries_.emplace(id, call);
  Plan(clock_.Now() + options_.retry_delay * (1 << (call.tries - 1)), What::kTry, id);
}

void Zone::OnImage(const Call& call, const FinishedImage& image) {
  view_.queued_seconds += absl::ToDoubleSeconds(image.queued);
  ++view_.images;
  if (!call.counted) return;
  ++outcomes_[call.kind].images;
  if (image.degraded) ++outcomes_[call.kind].degraded_images;
}

void Zone::OnDone(const Call& call) {
  const bool late = clock_.Now() + way_ > calls_.Deadline(call);
  if (late && call.counted) outcomes_[call.kind].wasted_images += calls_.images(call.kind);
  EndCall(call, late ? End::kExpired : End::kDone);
}

void Zone::OnFailed(const Call& call, uint32_t images_done, const absl::Status& status) {
  if (call.counted) outcomes_[call.kind].wasted_images += images_done;
  if (absl::IsUnavailable(status)) return Retry(call);
  if (absl::IsResourceExhausted(status)) return EndCall(call, End::kRefused);
  if (absl::IsDeadlineExceeded(status)) return EndCall(call, End::kExpired);
  // The mix and the model make no bad requests, and this engine fails none.
  std::fprintf(stderr, "hmar-sim: %s\n", status.ToString().c_str());
  std::abort();
}

void Zone::EndCall(const Call& call, End end) {
  --open_calls_;
  const absl::Time at = clock_.Now() + way_;
  const double latency = absl::ToDoubleSeconds(at - call.due);
  if (end == End::kDone) view_.latencies.push_back(static_cast<float>(latency));
  if (call.counted) outcomes_[call.kind].Count(end, latency);
  if (options_.traffic.open_calls > 0) Plan(at, What::kArrival);
}

}  // namespace hmar::sim
