#ifndef HMAR_SERVER_SCHEDULING_BACKLOG_H_
#define HMAR_SERVER_SCHEDULING_BACKLOG_H_

#include <cmath>

#include "absl/time/time.h"

namespace hmar {

// Images and what they have left. Not whole numbers where it is somebody's share of others' images.
struct Backlog {
  double images = 0;
  double rows = 0;      // Forward rows.
  double pictures = 0;  // To decode.
  double uploads = 0;   // To tokenize.

  // So many times more of this: of each number.
  void Add(const Backlog& more, double times = 1) {
    images += times * more.images;
    rows += times * more.rows;
    pictures += times * more.pictures;
    uploads += times * more.uploads;
  }
};

// What a backlog costs, in whatever unit.
struct Prices {
  double row = 1;
  double picture = 0;
  double upload = 0;

  double Of(const Backlog& backlog) const {
    return row * backlog.rows + picture * backlog.pictures + upload * backlog.uploads;
  }
};

// What came lately in a second: a mean in which what came 10 s ago counts a third.
// Thread-compatible.
class ArrivalRate {
 public:
  void Add(const Backlog& arrived, absl::Time now) {
    Backlog rate;
    rate.Add(at_last_, Left(now));
    rate.Add(arrived, 1 / kMemorySeconds);
    at_last_ = rate;
    last_ = now;
  }

  // What will come within `during`, if as much comes as did.
  Backlog Within(absl::Duration during, absl::Time now) const {
    Backlog coming;
    coming.Add(at_last_, Left(now) * absl::ToDoubleSeconds(during));
    return coming;
  }

 private:
  static constexpr double kMemorySeconds = 10;

  double Left(absl::Time now) const {
    return now <= last_ ? 1 : std::exp(-absl::ToDoubleSeconds(now - last_) / kMemorySeconds);
  }

  Backlog at_last_;  // In a second.
  absl::Time last_ = absl::InfinitePast();
};

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULING_BACKLOG_H_
