#ifndef HMAR_SERVER_SCHEDULING_COMPANY_H_
#define HMAR_SERVER_SCHEDULING_COMPANY_H_

#include <functional>
#include <map>
#include <string>

#include "absl/time/time.h"

namespace hmar {

// Who had images of a model lately: whether a principal that is alone now has others to reckon
// with. Remembers two principals a priority. Thread-compatible.
class Company {
 public:
  // How long who has left counts: somebody who sends one image after the other is back sooner.
  static constexpr absl::Duration kLately = absl::Seconds(1);

  // The principal has images of this priority now.
  void See(int priority, const std::string& principal, absl::Time now) {
    Level& level = levels_[priority];
    if (principal != level.principal) {
      level.others_seen = level.seen;
      level.principal = principal;
    }
    level.seen = now;
  }

  // Whether somebody else had images of this priority or a higher one lately. REQUIRES: the
  // principal is the last that was seen of this priority, or beside it in the same look.
  bool Had(int priority, const std::string& principal, absl::Time now) const {
    for (const auto& [level_priority, level] : levels_) {
      if (level_priority < priority) break;
      const bool same = level_priority == priority && level.principal == principal;
      if (now - (same ? level.others_seen : level.seen) <= kLately) return true;
    }
    return false;
  }

 private:
  struct Level {
    std::string principal;  // The last one,
    absl::Time seen = absl::InfinitePast();
    absl::Time others_seen = absl::InfinitePast();  // and the one before it.
  };
  std::map<int, Level, std::greater<>> levels_;  // By priority, the highest first.
};

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULING_COMPANY_H_
