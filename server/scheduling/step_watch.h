#ifndef HMAR_SERVER_SCHEDULING_STEP_WATCH_H_
#define HMAR_SERVER_SCHEDULING_STEP_WATCH_H_

#include <cstddef>
#include <optional>
#include <vector>

#include "absl/time/time.h"

namespace hmar {

struct StepWatchOptions {
  absl::Duration floor = absl::Seconds(30);     // No step hangs before this.
  absl::Duration unknown = absl::Seconds(120);  // Limit of what nobody can predict, if larger.
};

// A step that has gone on for longer than its limit.
struct OverdueStep {
  size_t device = 0;
  absl::Duration under_way;
  absl::Duration limit;
};

// Since when each device is busy with its step, and whether that is too long. A step may take
// kFactor times what was predicted: prices are means over steps of the past, and a device may
// share its power or its bus; but never less than the floor. Knows no clock: times are the
// caller's, of one clock that is never set back. Thread-compatible.
class StepWatch {
 public:
  static constexpr int kFactor = 10;

  StepWatch(const StepWatchOptions& options, size_t devices) : options_(options), steps_(devices) {}

  // The device begins something that should take `expected`; zero: nobody knows. Takes the place of
  // what it was doing.
  void Begin(size_t device, absl::Duration expected, absl::Time now);
  // The device has reported.
  void End(size_t device) { steps_[device].reset(); }

  // What began before `now` begins now: the process did not run for a while, and neither did they.
  void BeginAnew(absl::Time now);

  // The step that is longest over its limit; nothing: none is.
  std::optional<OverdueStep> Overdue(absl::Time now) const;

  // When the next of them will be overdue; InfiniteFuture: no device is busy.
  absl::Time NextDeadline() const;

  // How long the device has been at what it does; zero: it does nothing.
  absl::Duration UnderWay(size_t device, absl::Time now) const;

 private:
  struct Step {
    absl::Time begun;
    absl::Duration limit;
    absl::Time deadline() const { return begun + limit; }
  };

  const StepWatchOptions options_;
  std::vector<std::optional<Step>> steps_;  // By device.
};

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULING_STEP_WATCH_H_
