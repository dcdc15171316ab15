#ifndef HMAR_SERVER_SCHEDULING_FAIR_QUEUE_H_
#define HMAR_SERVER_SCHEDULING_FAIR_QUEUE_H_

// The waiting images of one model and one priority, and each principal's share of what runs.
//
// Start-time fair queueing (Goyal, Vin, Cheng: "Start-time Fair Queueing", SIGCOMM 1996) over
// predicted device seconds: a principal's tag is the service that it has had, in seconds by its
// weight, on a clock that they all share. Who has the smallest tag goes first. A principal that
// comes starts at the clock, which is the tag of whoever went first last: nobody saves up a right
// to the device by staying away, nor owes for what it took while nobody else wanted it. This queue
// was chosen among its kin because it stays fair where the service that it shares out has no steady
// rate, as that of a low priority has not.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "model/engine.h"
#include "server/scheduling/backlog.h"
#include "server/scheduling/side_work.h"

namespace hmar {

// One principal's part of a FairQueue. Read by whoever has a pointer; changed by its queue alone.
// It stays where it is as long as it has an image.
struct Flow {
  std::string principal;
  double weight = 1;  // > 0.
  double tag = 0;     // Device seconds by weight.
  uint32_t in_flight = 0;
  uint64_t rows = 0;  // Forward rows that its images have left, those in flight included.
  uint64_t pictures = 0;
  uint64_t uploads = 0;
  ArrivalRate arrivals;
  std::set<std::pair<absl::Time, ImageId>> waiting;  // By when they are due.

  uint32_t images() const { return static_cast<uint32_t>(waiting.size()) + in_flight; }
};

// Every operation but Walk and Ahead takes O(log n) of what the queue holds. Thread-compatible.
class FairQueue {
 public:
  // An image of `principal` waits: behind those of its own that are due earlier, and, of equal
  // ones, that have smaller ids. `rows` is what all its passes have. `weight` is the principal's
  // from now on. `now`: when it came.
  Flow* Push(const std::string& principal, double weight, ImageId id, absl::Time due, uint64_t rows,
             const SideWork& side = {}, absl::Time now = absl::InfinitePast());
  // A waiting image begins to run, whose upload is tokenized now.
  void Start(Flow* flow, ImageId id, absl::Time due, uint32_t uploads = 0);
  // Of an image in flight: so many rows less are left.
  void Advance(Flow* flow, uint64_t rows);
  // An image leaves: it waited, or it was in flight. `flow` may be gone afterwards.
  void RemoveWaiting(Flow* flow, ImageId id, absl::Time due, uint64_t rows_left,
                     const SideWork& side = {});
  void RemoveInFlight(Flow* flow, uint64_t rows_left, uint32_t pictures = 1);

  // The principal has been given `device_seconds`.
  void Charge(Flow* flow, double device_seconds);
  // The principal goes first now: the clock is at its tag.
  void Lead(const Flow& flow);

  // Shows the waiting images in the order in which they should get slots, until `visit` says false:
  // each goes to the principal with the fewest images in flight by its weight, of equal ones to
  // that with the smallest tag. O(log n) an image shown.
  void Walk(absl::FunctionRef<bool(ImageId, Flow*)> visit) const;

  // A time from now on.
  struct Outlook {
    absl::Duration during;                  // Until then,
    absl::Time now = absl::InfinitePast();  // counted from here.
  };

  // What of the others' images will run before a principal's own, which cost `own`: what costs as
  // much by weight, or all they have and will have until then. `principal` may be unknown. The
  // first hundred principals are looked at one by one, what is behind them at once.
  Backlog Ahead(const std::string& principal, double weight, double own, const Prices& prices,
                const Outlook& outlook) const;
  // What the principal has in the queue and in flight.
  Backlog Own(const std::string& principal) const;

  bool empty() const { return images_ == 0; }
  uint32_t waiting() const { return static_cast<uint32_t>(waiting_.size()); }
  // Smallest id that waits. REQUIRES: waiting() > 0.
  ImageId oldest() const { return *waiting_.begin(); }
  // What will have come until then, of all principals.
  Backlog Coming(const Outlook& outlook) const {
    return arrivals_.Within(outlook.during, outlook.now);
  }
  // Of all principals.
  Backlog backlog() const {
    return {static_cast<double>(images_), static_cast<double>(rows_),
            static_cast<double>(pictures_), static_cast<double>(uploads_)};
  }
  // Principals whose tags are kept, those without an image included.
  size_t principals() const { return flows_.size() + idle_.size(); }
  double clock() const { return clock_; }

 private:
  // Images in flight by weight, tag, and its next image: the order of Walk.
  using Rank = std::tuple<double, double, std::pair<absl::Time, ImageId>>;
  static Rank RankOf(const Flow& flow);
  static Backlog Of(const Flow& flow);
  void Index(Flow& flow);
  void Unindex(const Flow& flow);
  double TakeIdleTag(const std::string& principal);
  void Leave(Flow& flow, uint32_t pictures);
  void ForgetTheIdle();

  std::map<std::string, std::unique_ptr<Flow>> flows_;  // Those with images.
  std::map<Rank, Flow*> ranked_;                        // Those with images that wait.
  // Tags of those without images that are ahead of the clock, by principal and by tag.
  std::map<std::string, double> idle_;
  std::set<std::pair<double, std::string>> idle_by_tag_;
  std::set<ImageId> waiting_;
  uint64_t images_ = 0;
  uint64_t rows_ = 0;
  uint64_t pictures_ = 0;
  uint64_t uploads_ = 0;
  ArrivalRate arrivals_;
  double clock_ = 0;
};

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULING_FAIR_QUEUE_H_
