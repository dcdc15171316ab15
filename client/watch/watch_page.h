#ifndef HMAR_CLIENT_WATCH_WATCH_PAGE_H_
#define HMAR_CLIENT_WATCH_WATCH_PAGE_H_

// What `hmar watch` shows. Pure: the same looks give the same text. All of it is printable.

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/watch/server_counts.h"

namespace hmar {

struct WatchState {
  std::string address;       // Of the metrics.
  CountWindow window = {};   // Empty: no look has succeeded yet.
  std::string failure = {};  // Of the latest look; empty: it succeeded.
  absl::Time seen = {};      // When one last succeeded.
};

// A screen: lines of plain text, the most telling ones first.
std::vector<std::string> WatchPage(const WatchState& state, absl::Time now);

// The same in one line, for a pipe.
std::string WatchLine(const WatchState& state, absl::Time now, absl::TimeZone zone);

}  // namespace hmar

#endif  // HMAR_CLIENT_WATCH_WATCH_PAGE_H_
