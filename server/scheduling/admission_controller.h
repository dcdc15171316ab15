#ifndef HMAR_SERVER_SCHEDULING_ADMISSION_CONTROLLER_H_
#define HMAR_SERVER_SCHEDULING_ADMISSION_CONTROLLER_H_

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "model/sampling_plan.h"
#include "server/base/clock.h"
#include "server/operations/metrics.h"
#include "server/scheduling/admission.h"
#include "server/scheduling/image_table.h"
#include "server/scheduling/pricing.h"
#include "server/scheduling/scheduler_options.h"
#include "server/scheduling/work.h"

namespace hmar {

// Whether work is taken now, and if not why: the server is not open to it, the queue or its
// client's part of it is full, or its deadline cannot be met. Changes nothing in the books. Used
// under the scheduler's lock: thread-compatible.
class AdmissionController {
 public:
  // All outlive it; `metrics` may be null.
  AdmissionController(const SchedulerOptions* options, const ImageTable* images,
                      const Pricing* pricing, const Clock* clock, Metrics* metrics)
      : options_(*options),
        images_(*images),
        pricing_(*pricing),
        clock_(*clock),
        metrics_(metrics),
        open_(!options->starts_closed) {}

  void OpenToClients() { open_ = true; }
  void BeginDrain() { draining_ = true; }
  // Everything is refused with `status` from now on; the first one stands.
  void Stop(const absl::Status& status) { stopped_.Update(status); }
  bool draining() const { return draining_; }
  bool stopped() const { return !stopped_.ok(); }

  // Whether work is taken at all; a probe's also before the server is open to clients. UNAVAILABLE:
  // NOT_READY, DRAINING, or the status of Stop.
  absl::Status CheckTaking(bool probe) const;

  // What the work can be told if it is taken now (id 0). Errors: as Scheduler::Submit. `passes`: of
  // each image.
  absl::StatusOr<Admission> Quote(const Work& work, const std::vector<Pass>& passes) const;

  // Counts the refusal of a client's work, unless it was a fault of the request.
  void CountRefusal(const absl::Status& status) const;

  // Until all that was taken is done. Worked out once after each BooksChanged: refusals come in any
  // number.
  absl::Duration BacklogTime() const;
  void BooksChanged() { backlog_time_.reset(); }

 private:
  absl::Status CheckRoom(const Work& work) const;

  const SchedulerOptions& options_;
  const ImageTable& images_;
  const Pricing& pricing_;
  const Clock& clock_;
  Metrics* const metrics_;
  bool open_;  // To clients.
  bool draining_ = false;
  absl::Status stopped_;  // OK until Stop.
  mutable std::optional<absl::Duration> backlog_time_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULING_ADMISSION_CONTROLLER_H_
