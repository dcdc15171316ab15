#ifndef HMAR_SERVER_SCHEDULER_H_
#define HMAR_SERVER_SCHEDULER_H_

// Holds what waits, for all devices, and what runs on each, and says what the next step of a device
// is. A passive object: it has no thread and reads the time from an injected clock. placement.h
// decides which device a waiting image is for, batch_policy.h who takes part in a device's step.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "model/engine.h"
#include "server/clock.h"
#include "server/work.h"

namespace hmar {

class Metrics;

// Names a submitted request. Never reused.
using WorkId = uint64_t;

struct SchedulerOptions {
  // Images that may wait, over all models. A larger queue only adds latency.
  uint32_t max_queued_images = 1024;
  // Token budget of a step, in forward rows; an image larger than it runs alone.
  uint32_t max_step_rows = 4096;
  // What the tokens of uploaded pictures may take, over all models.
  size_t upload_cache_bytes = size_t{32} << 20;
  // By device, then by model: at least one device, the same models on each. max_images (> 0) bounds
  // a model's running images there, max_step_rows its steps.
  std::vector<std::vector<EngineInfo>> devices;

  // What the models are, whatever the device.
  const std::vector<EngineInfo>& models() const { return devices.front(); }
  // Token budget of a model's steps on a device.
  uint32_t StepRows(size_t device, size_t model) const {
    const uint32_t engines_own = devices[device][model].max_step_rows;
    return engines_own == 0 ? max_step_rows : std::min(max_step_rows, engines_own);
  }
};

// What an accepted request can be told. Estimates are zero before any step of its model.
struct Admission {
  WorkId id = 0;
  // Images queued or running before this request's first, on the device that would take that now.
  uint32_t images_ahead = 0;
  // Until its last image, from the measured cost of a row and of a step.
  absl::Duration estimated_time;
  // Its own share of that.
  double estimated_device_seconds = 0;
};

// Most pictures that one step encodes: an edit that comes later waits, so that a burst of uploads
// holds up the images that run by little more than a step.
inline constexpr size_t kMaxUploadsOfStep = 4;

// One step for a device's engine loop: do these in order on the model's engine, then call Finish.
// An image that the engine does not take goes into the report's failures.
struct PlannedStep {
  size_t device = 0;
  size_t model = 0;
  struct NewImage {
    ImageId id = 0;
    ImageTask task;
    // Not null: an edit's picture whose tokens are not known. Before the image is admitted, encode
    // the picture, once for all images of its digest, and set task.given.
    std::shared_ptr<const Upload> upload;
  };
  // Images of dropped requests that still hold slots: (model, id). Cancel them before all else.
  std::vector<std::pair<size_t, ImageId>> cancelled;
  // Admit these. They are in `ids` as well.
  std::vector<NewImage> admitted;
  // Step these. Empty: no step, unless await_pictures.
  std::vector<ImageId> ids;
  // Nothing of the model can run, but pictures are due: Step with no ids, which waits for one.
  bool await_pictures = false;

  // For the loop to fill: the pictures that it encoded, whatever became of the step.
  struct EncodedUpload {
    std::string digest;
    std::shared_ptr<const TokenPyramid> tokens;
  };
  std::vector<EncodedUpload> encoded;
};

// Thread-safe.
class Scheduler {
 public:
  // `clock` and `metrics` (may be null) outlive the scheduler.
  Scheduler(SchedulerOptions options, const Clock* clock, Metrics* metrics);
  ~Scheduler();

  // Takes all of the request's images or none. The listener is held iff the result is OK.
  // RESOURCE_EXHAUSTED: the queue is full (message names the bound); UNAVAILABLE: after BeginDrain
  // or Stop. Never blocks on a step.
  absl::StatusOr<Admission> Submit(Work work);

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

  // Until all that was accepted so far is done, by measured costs; zero before any step. What a
  // refused client may be told to wait.
  absl::Duration backlog_time() const;

  uint32_t queued_images() const;
  uint32_t running_images() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULER_H_
