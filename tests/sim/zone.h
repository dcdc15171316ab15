#ifndef HMAR_TESTS_SIM_ZONE_H_
#define HMAR_TESTS_SIM_ZONE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <tuple>
#include <vector>

#include "absl/time/time.h"
#include "client/load/mix.h"
#include "tests/sim/balancer.h"
#include "tests/sim/call_maker.h"
#include "tests/sim/fleet_options.h"
#include "tests/sim/outcome.h"
#include "tests/sim/replica.h"
#include "tests/sim/traffic.h"
#include "tests/sim/virtual_clock.h"

namespace hmar::sim {

// What a zone is at a moment, and what it did since the last look.
struct ZoneView {
  uint32_t ready = 0, starting = 0, draining = 0;
  uint32_t waiting = 0;          // Images in the queues,
  uint32_t running = 0;          // and those that hold slots.
  double queued_seconds = 0;     // Sum over the images that ended, of their time in the queue,
  uint64_t images = 0;           // and how many.
  uint64_t calls = 0;            // That came.
  std::vector<float> latencies;  // Seconds, of the calls done.
  double replica_seconds = 0;    // That replicas were there, ready or not.
  DeviceUse use;
};

// A balancer, its replicas and their share of the calls, event by event. Thread-compatible; zones
// share nothing that changes.
class Zone {
 public:
  // `options`, `calls` and `path` outlive it. `share`: of the path's calls. Starts with `replicas`
  // that are ready.
  Zone(const FleetOptions* options, const CallMaker* calls, const RatePath* path, double share,
       uint32_t replicas, uint64_t seed);
  ~Zone();
  Zone(const Zone&) = delete;
  Zone& operator=(const Zone&) = delete;

  // All that happens up to and with then.
  void RunUntil(absl::Time until);

  // Starts or drains replicas until so many are there: the newest go first, and what is not ready
  // yet before all.
  void Scale(uint32_t replicas);

  // No calls come from now on.
  void EndArrivals() { arriving_ = false; }
  // Of the calls that came, those that have not ended.
  uint64_t open_calls() const { return open_calls_; }

  ZoneView TakeView();
  const std::vector<KindOutcome>& outcomes() const { return outcomes_; }

 private:
  class Listener;
  friend class Listener;

  // A place for a replica, from the decision to have one until it is gone.
  struct Member {
    uint64_t id = 0;    // Rises with its age.
    uint64_t life = 0;  // Counts its failures: what was to happen to an earlier life does not.
    std::unique_ptr<Replica> replica;  // Null: starting.
    bool draining = false;
    std::optional<size_t> place;  // In ready_; nothing: it gets no calls.
    uint32_t open_calls = 0;
    absl::Time since;  // replica_seconds have been counted up to then.
  };

  enum class What { kArrival, kStepEnd, kReady, kFailure, kTry };
  struct Event {
    absl::Time time;
    uint64_t order = 0;  // Of equal times the one that was planned first.
    What what = What::kArrival;
    uint64_t id = 0;  // The member's; of kTry, of what is in tries_.
    uint64_t life = 0;
    bool operator<(const Event& other) const {  // The first one on top of a heap.
      return std::tie(time, order) > std::tie(other.time, other.order);
    }
  };

  void Plan(absl::Time time, What what, uint64_t id = 0, uint64_t life = 0);
  void Happen(const Event& event);

  // Calls.
  void Arrive();
  Call NextCall();
  void Try(Call call);
  void Retry(const Call& call);
  void OnImage(const Call& call, const FinishedImage& image);
  void OnDone(const Call& call);
  void OnFailed(const Call& call, uint32_t images_done, const absl::Status& status);
  void EndCall(const Call& call, End end);

  // Replicas.
  Member& AddMember();
  void MakeReady(Member& member);
  void StepOn(Member& member);
  void Fail(Member& member);
  void DrainOrRemove(Member& member);
  void Remove(uint64_t id);
  void ListReady();
  void CountCalls(Member& member, int more);
  void CountTime(Member& member);
  Member* Find(uint64_t id, uint64_t life);

  const FleetOptions& options_;
  const CallMaker& calls_;
  ArrivalTimes times_;
  load::Planner planner_;
  Balancer balancer_;
  load::Random random_;
  const absl::Duration way_;  // Of an answer to its client.
  VirtualClock clock_;
  std::priority_queue<Event> events_;
  uint64_t planned_ = 0;
  bool arriving_ = true;
  uint64_t open_calls_ = 0;
  std::map<uint64_t, Call> tries_;  // To come.
  std::map<uint64_t, Member> members_;
  uint64_t next_member_ = 1;
  std::vector<Member*> ready_;         // What the balancer sees, in the order of their ids,
  std::vector<uint32_t> open_;         // and their open calls.
  std::vector<KindOutcome> outcomes_;  // By kind.
  ZoneView view_;
};

}  // namespace hmar::sim

#endif  // HMAR_TESTS_SIM_ZONE_H_
