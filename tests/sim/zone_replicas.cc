// The replicas of a zone: how they come, step, fail and go.

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "tests/sim/zone.h"

namespace hmar::sim {

Zone::Member& Zone::AddMember() {
  const uint64_t id = next_member_++;
  Member& member = members_[id];
  member.id = id;
  member.since = clock_.Now();
  return member;
}

Zone::Member* Zone::Find(uint64_t id, uint64_t life) {
  const auto found = members_.find(id);
  return found == members_.end() || found->second.life != life ? nullptr : &found->second;
}

void Zone::MakeReady(Member& member) {
  member.replica =
      std::make_unique<Replica>(options_.server, &options_.profile, &clock_, random_.Next());
  ListReady();
  if (options_.mean_life == absl::ZeroDuration()) return;
  const double life = DrawExponential(absl::ToDoubleSeconds(options_.mean_life), random_);
  Plan(clock_.Now() + absl::Seconds(life), What::kFailure, member.id, member.life);
}

// Begins the next step, or lets go of a replica that has drained.
void Zone::StepOn(Member& member) {
  if (const std::optional<absl::Duration> time = member.replica->BeginStep()) {
    return Plan(clock_.Now() + *time, What::kStepEnd, member.id, member.life);
  }
  if (member.draining && member.replica->idle()) Remove(member.id);
}

void Zone::Fail(Member& member) {
  view_.use.Add(member.replica->TakeUse());
  ++member.life;
  const std::unique_ptr<Replica> dead = std::exchange(member.replica, nullptr);
  ListReady();  // Before its calls look for another one.
  dead->Kill(absl::UnavailableError("the replica failed"));
  if (member.draining) return Remove(member.id);
  const absl::Duration start_up = absl::Seconds(options_.profile.start_up_seconds);
  Plan(clock_.Now() + options_.scheduling_lag + start_up, What::kReady, member.id, member.life);
}

void Zone::Scale(uint32_t replicas) {
  std::vector<Member*> there;  // The first to go at the back.
  for (auto& [id, member] : members_) {
    if (!member.draining) there.push_back(&member);
  }
  std::stable_partition(there.begin(), there.end(),
                        [](const Member* member) { return member->replica != nullptr; });
  for (; there.size() > replicas; there.pop_back()) DrainOrRemove(*there.back());
  const absl::Duration start_up = absl::Seconds(options_.profile.start_up_seconds);
  for (size_t i = there.size(); i < replicas; ++i) {
    const Member& member = AddMember();
    Plan(clock_.Now() + options_.scheduling_lag + start_up, What::kReady, member.id, member.life);
  }
}

void Zone::DrainOrRemove(Member& member) {
  if (member.replica == nullptr) return Remove(member.id);
  member.draining = true;
  member.replica->Drain();
  ListReady();
  if (member.replica->idle()) Remove(member.id);
}

void Zone::Remove(uint64_t id) {
  Member& member = members_.at(id);
  CountTime(member);
  if (member.replica != nullptr) view_.use.Add(member.replica->TakeUse());
  members_.erase(id);
}

void Zone::ListReady() {
  ready_.clear();
  open_.clear();
  for (auto& [id, member] : members_) {
    member.place.reset();
    if (member.replica == nullptr || member.draining) continue;
    member.place = ready_.size();
    ready_.push_back(&member);
    open_.push_back(member.open_calls);
  }
}

void Zone::CountCalls(Member& member, int more) {
  member.open_calls += static_cast<uint32_t>(more);
  if (member.place) open_[*member.place] = member.open_calls;
}

void Zone::CountTime(Member& member) {
  view_.replica_seconds += absl::ToDoubleSeconds(clock_.Now() - member.since);
  member.since = clock_.Now();
}

ZoneView Zone::TakeView() {
  for (auto& [id, member] : members_) {
    CountTime(member);
    if (member.draining) {
      ++view_.draining;
    } else {
      ++(member.replica == nullptr ? view_.starting : view_.ready);
    }
    if (member.replica == nullptr) continue;
    view_.waiting += member.replica->waiting();
    view_.running += member.replica->running();
    view_.use.Add(member.replica->TakeUse());
  }
  return std::exchange(view_, {});
}

}  // namespace hmar::sim
