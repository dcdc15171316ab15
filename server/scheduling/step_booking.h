#ifndef HMAR_SERVER_SCHEDULING_STEP_BOOKING_H_
#define HMAR_SERVER_SCHEDULING_STEP_BOOKING_H_

#include <vector>

#include "absl/time/time.h"
#include "model/engine.h"
#include "server/operations/metrics.h"
#include "server/scheduling/planned_step.h"
#include "server/scheduling/pricing.h"
#include "server/scheduling/work_ledger.h"

namespace hmar {

// Takes the report of a step into the books. Its passes are of the step's images; pictures,
// previews and failures may be of any image that the device's engine holds or held: an engine that
// works ahead of its device reports them one or more steps later, also after an image's last pass.
// Thread-compatible.
class StepBooking {
 public:
  // All outlive it; `metrics` may be null.
  StepBooking(WorkLedger* ledger, Pricing* pricing, Metrics* metrics)
      : ledger_(*ledger), pricing_(*pricing), metrics_(metrics) {}

  void Book(const PlannedStep& step, StepReport report, absl::Duration took, absl::Time now);

 private:
  void BookUploads(const PlannedStep& step);
  void Measure(const PlannedStep& step, const StepReport& report, absl::Duration took);
  void BookPasses(const PlannedStep& step, const std::vector<PassReport>& passes,
                  absl::Duration took, absl::Time now);

  WorkLedger& ledger_;
  Pricing& pricing_;
  Metrics* const metrics_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULING_STEP_BOOKING_H_
