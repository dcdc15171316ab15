#ifndef HMAR_SERVER_BASE_QUOTA_H_
#define HMAR_SERVER_BASE_QUOTA_H_

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/holding_time.h"

namespace hmar {

// What a bound had no room for.
struct Shortage {
  bool of_principal = false;  // The principal's part was full; else the whole.
  size_t held = 0;            // Of that bound.
  size_t limit = 0;
  absl::Duration wait;  // Until there will be room, as measured.
};

// A bound on what many holders keep together, and on each principal's part of that: bytes, calls.
// Whoever takes something has a ticket, which gives it back when it is destroyed. Thread-safe;
// outlives its tickets.
class Quota {
 public:
  struct Limits {
    size_t total = 0;
    size_t per_principal = 0;  // More than the total: as the total.
  };

  // `clock` outlives the quota. `guess`: how long something is held, until that has been measured.
  Quota(const Limits& limits, const Clock* clock, absl::Duration guess);

  class Ticket;

  // Takes `amount` for *ticket, or nothing: what was short.
  std::optional<Shortage> Take(const std::string& principal, size_t amount, Ticket* ticket);

  // Takes `amount` whether there is room or not: for what is there already and has to be counted.
  Ticket TakeAnyway(const std::string& principal, size_t amount);

  // What Take would say now.
  std::optional<Shortage> ShortOf(const std::string& principal, size_t amount) const;

  // What one principal may ever have: more than that is refused however long it waits.
  size_t most_of_one() const { return std::min(limits_.total, limits_.per_principal); }

  size_t held() const;

 private:
  using Parts = std::map<std::string, size_t>;  // By principal; none is zero.

  std::optional<Shortage> Check(const std::string& principal, size_t amount) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Ticket Hold(const std::string& principal, size_t amount) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Return(Parts::iterator part, size_t amount);
  void Change(size_t held) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Limits limits_;
  const Clock& clock_;
  mutable absl::Mutex mutex_;
  size_t held_ ABSL_GUARDED_BY(mutex_) = 0;
  Parts parts_ ABSL_GUARDED_BY(mutex_);
  HoldingTime holding_ ABSL_GUARDED_BY(mutex_);
};

// What a holder has taken. Thread-compatible.
class Quota::Ticket {
 public:
  Ticket() = default;  // Holds nothing.
  Ticket(Ticket&& other) noexcept;
  Ticket& operator=(Ticket&& other) noexcept;
  ~Ticket() { ShrinkTo(0); }

  // Gives all but `amount` back.
  void ShrinkTo(size_t amount);

 private:
  friend class Quota;
  Ticket(Quota* quota, Parts::iterator part, size_t amount)
      : quota_(quota), part_(part), amount_(amount) {}

  Quota* quota_ = nullptr;
  Parts::iterator part_;  // Valid while amount_ > 0.
  size_t amount_ = 0;
};

}  // namespace hmar

#endif  // HMAR_SERVER_BASE_QUOTA_H_
