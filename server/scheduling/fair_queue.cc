#include "server/scheduling/fair_queue.h"

#include <algorithm>
#include <queue>

namespace hmar {
namespace {

constexpr size_t kLookedAtOneByOne = 100;  // Principals, in Ahead.

// Without a bound a client with many addresses would leave as many tags behind.
constexpr size_t kMaxIdle = 4096;

}  // namespace

FairQueue::Rank FairQueue::RankOf(const Flow& flow) {
  return {flow.in_flight / flow.weight, flow.tag, *flow.waiting.begin()};
}

void FairQueue::Index(Flow& flow) {
  if (!flow.waiting.empty()) ranked_.emplace(RankOf(flow), &flow);
}

void FairQueue::Unindex(const Flow& flow) {
  if (!flow.waiting.empty()) ranked_.erase(RankOf(flow));
}

Flow* FairQueue::Push(const std::string& principal, double weight, ImageId id, absl::Time due,
                      uint64_t rows, const SideWork& side, absl::Time now) {
  std::unique_ptr<Flow>& flow = flows_[principal];
  if (flow == nullptr) {
    flow = std::make_unique<Flow>();
    flow->principal = principal;
    flow->tag = std::max(clock_, TakeIdleTag(principal));
  }
  Unindex(*flow);
  flow->weight = weight;
  flow->waiting.emplace(due, id);
  flow->rows += rows;
  flow->pictures += side.pictures;
  flow->uploads += side.uploads;
  Index(*flow);
  waiting_.insert(id);
  ++images_;
  rows_ += rows;
  pictures_ += side.pictures;
  uploads_ += side.uploads;
  const Backlog arrived{1, static_cast<double>(rows), static_cast<double>(side.pictures),
                        static_cast<double>(side.uploads)};
  flow->arrivals.Add(arrived, now);
  arrivals_.Add(arrived, now);
  return flow.get();
}

double FairQueue::TakeIdleTag(const std::string& principal) {
  auto found = idle_.find(principal);
  if (found == idle_.end()) return 0;
  const double tag = found->second;
  idle_by_tag_.erase({tag, principal});
  idle_.erase(found);
  return tag;
}

void FairQueue::Start(Flow* flow, ImageId id, absl::Time due, uint32_t uploads) {
  Unindex(*flow);
  flow->waiting.erase({due, id});
  ++flow->in_flight;
  Index(*flow);
  waiting_.erase(id);
  flow->uploads -= uploads;
  uploads_ -= uploads;
}

void FairQueue::Advance(Flow* flow, uint64_t rows) {
  flow->rows -= rows;
  rows_ -= rows;
}

void FairQueue::RemoveWaiting(Flow* flow, ImageId id, absl::Time due, uint64_t rows_left,
                              const SideWork& side) {
  Unindex(*flow);
  flow->waiting.erase({due, id});
  Index(*flow);
  waiting_.erase(id);
  flow->uploads -= side.uploads;
  uploads_ -= side.uploads;
  Advance(flow, rows_left);
  Leave(*flow, side.pictures);
}

void FairQueue::RemoveInFlight(Flow* flow, uint64_t rows_left, uint32_t pictures) {
  Unindex(*flow);
  --flow->in_flight;
  Index(*flow);
  Advance(flow, rows_left);
  Leave(*flow, pictures);
}

void FairQueue::Leave(Flow& flow, uint32_t pictures) {
  --images_;
  flow.pictures -= pictures;
  pictures_ -= pictures;
  if (flow.images() > 0) return;
  idle_.emplace(flow.principal, flow.tag);
  idle_by_tag_.emplace(flow.tag, flow.principal);
  flows_.erase(std::string(flow.principal));
  // Nobody is left to be fair to: a new day.
  if (images_ == 0) clock_ = std::max(clock_, idle_by_tag_.rbegin()->first);
  ForgetTheIdle();
}

// An idle principal whose tag the clock has passed would start at the clock anyway.
void FairQueue::ForgetTheIdle() {
  while (!idle_.empty() && (idle_by_tag_.begin()->first <= clock_ || idle_.size() > kMaxIdle)) {
    idle_.erase(idle_by_tag_.begin()->second);
    idle_by_tag_.erase(idle_by_tag_.begin());
  }
}

void FairQueue::Charge(Flow* flow, double device_seconds) {
  Unindex(*flow);
  flow->tag += device_seconds / flow->weight;
  Index(*flow);
}

void FairQueue::Lead(const Flow& flow) {
  clock_ = std::max(clock_, flow.tag);
  ForgetTheIdle();
}

void FairQueue::Walk(absl::FunctionRef<bool(ImageId, Flow*)> visit) const {
  // A principal that was given slots already, in this walk: the rank that it would have then.
  struct Turn {
    Rank rank;
    Flow* flow;
    std::set<std::pair<absl::Time, ImageId>>::const_iterator next;
    uint32_t given;
    bool operator<(const Turn& other) const { return rank > other.rank; }  // The smallest on top.
  };
  std::priority_queue<Turn> again;
  auto fresh = ranked_.begin();
  while (fresh != ranked_.end() || !again.empty()) {
    Turn turn;
    if (again.empty() || (fresh != ranked_.end() && fresh->first < again.top().rank)) {
      turn = {fresh->first, fresh->second, fresh->second->waiting.begin(), 0};
      ++fresh;
    } else {
      turn = again.top();
      again.pop();
    }
    if (!visit(turn.next->second, turn.flow)) return;
    ++turn.given;
    if (++turn.next == turn.flow->waiting.end()) continue;
    std::get<0>(turn.rank) = (turn.flow->in_flight + turn.given) / turn.flow->weight;
    std::get<2>(turn.rank) = *turn.next;
    again.push(std::move(turn));
  }
}

Backlog FairQueue::Own(const std::string& principal) const {
  auto found = flows_.find(principal);
  return found == flows_.end() ? Backlog() : Of(*found->second);
}

Backlog FairQueue::Of(const Flow& flow) {
  return {static_cast<double>(flow.images()), static_cast<double>(flow.rows),
          static_cast<double>(flow.pictures), static_cast<double>(flow.uploads)};
}

Backlog FairQueue::Ahead(const std::string& principal, double weight, double own,
                         const Prices& prices, const Outlook& outlook) const {
  Backlog ahead;
  Backlog seen;
  size_t looked_at = 0;
  for (const auto& [name, flow] : flows_) {
    if (looked_at == kLookedAtOneByOne) break;
    ++looked_at;
    seen.Add(Of(*flow));
    Backlog theirs = Of(*flow);
    theirs.Add(flow->arrivals.Within(outlook.during, outlook.now));
    const double cost = prices.Of(theirs);
    if (name == principal || cost == 0) continue;
    ahead.Add(theirs, std::min(1.0, own * flow->weight / weight / cost));
  }
  // Those that were not looked at: as much of theirs as of those that were.
  Backlog unseen = backlog();
  unseen.Add(seen, -1);
  if (seen.rows > 0 && unseen.rows > 0) ahead.Add(unseen, ahead.rows / seen.rows);
  return ahead;
}

}  // namespace hmar
