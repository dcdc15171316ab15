#ifndef HMAR_SERVER_SCHEDULING_SCHEDULER_H_
#define HMAR_SERVER_SCHEDULING_SCHEDULER_H_

// Holds what waits, for all devices, and what runs on each, and says what the next step of a device
// is. A passive object: it has no thread and reads the time from an injected clock. placement.h
// decides which device a waiting image is for, batch_policy.h who takes part in a device's step.

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "model/engine.h"
#include "server/base/clock.h"
#include "server/scheduling/admission.h"
#include "server/scheduling/planned_step.h"
#include "server/scheduling/scheduler_options.h"
#include "server/scheduling/work.h"

namespace hmar {

class Metrics;

// Thread-safe.
class Scheduler {
 public:
  // `clock` and `metrics` (may be null) outlive the scheduler.
  Scheduler(SchedulerOptions options, const Clock* clock, Metrics* metrics);
  ~Scheduler();

  // Takes all of the request's images or none. The listener is held iff the result is OK.
  // RESOURCE_EXHAUSTED: the queue, or the client's part of it, is full (the message names the
  // bound; with the time that what fills it will take); INVALID_ARGUMENT: more images than either
  // could ever hold; DEADLINE_EXCEEDED: it must meet its deadline and by the estimate will not;
  // else as CheckOpen. Never blocks on a step.
  absl::StatusOr<Admission> Submit(Work work);

  // Whether clients' work is taken at all. UNAVAILABLE: not before OpenToClients (reason
  // NOT_READY), nor after BeginDrain (DRAINING) or Stop (its status).
  absl::Status CheckOpen() const;

  // Takes clients' work from now on, if the options said starts_closed.
  void OpenToClients();

  // What Submit would say of this work now, without taking it (id 0).
  absl::StatusOr<Admission> Price(const Work& work) const;

  // Drops a request: its waiting images at once, its running ones before the next step. Its
  // listener hears nothing more after this returns, except a call already under way. Unknown or
  // finished ids are ignored.
  void Cancel(WorkId id);

  // The device's next step, or nothing if it has nothing to do now. Between a NextStep and its
  // Finish no other step of the device is planned.
  std::optional<PlannedStep> NextStep(size_t device = 0);

  // Like NextStep, but blocks until there is one; nothing after Stop, or when draining has ended
  // all work of all devices.
  std::optional<PlannedStep> AwaitStep(size_t device = 0);

  // Takes in what a planned step did, and delivers previews, images and failures to the listeners.
  // `took` is the time of the step. If the report is an error the step is split: halves are tried
  // again as steps of their own, before any other work, so that only the image at fault fails.
  void Finish(const PlannedStep& step, absl::StatusOr<StepReport> report, absl::Duration took);

  // Refuses new work from now on; AwaitStep ends when the last image is done.
  void BeginDrain();

  // Fails everything with `status`, which Submit answers from now on, and ends AwaitStep.
  // Idempotent: the first status stands.
  void Stop(const absl::Status& status);

  // An image that OnImage was called with left for its client so much later. What ends early ends
  // early enough for that.
  void ObserveDelivery(absl::Duration took);

  // Until all that was accepted so far is done, by measured costs; zero before any step. What a
  // refused client may be told to wait. Walks the queue once after each change of it, however many
  // ask in between.
  absl::Duration backlog_time() const;

  uint32_t queued_images() const;
  uint32_t running_images() const;
  // That have images waiting.
  size_t waiting_clients() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULING_SCHEDULER_H_
