#ifndef HMAR_SERVER_SCHEDULING_STEP_DEADLINES_H_
#define HMAR_SERVER_SCHEDULING_STEP_DEADLINES_H_

#include <cstddef>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "server/scheduling/early_end.h"
#include "server/scheduling/planned_step.h"
#include "server/scheduling/pricing.h"
#include "server/scheduling/scheduler_options.h"
#include "server/scheduling/work_ledger.h"

namespace hmar {

// What the deadlines of its images make of a step that is planned. Thread-compatible.
class StepDeadlines {
 public:
  // All outlive it.
  StepDeadlines(const SchedulerOptions* options, size_t device, WorkLedger* ledger,
                const Pricing* pricing)
      : options_(*options), device_(device), ledger_(*ledger), pricing_(*pricing) {}

  // In this order: fails requests that asked for it and will be late (kRefuse), and such as will be
  // however early they end (kDegrade); truncates images that would be late otherwise; and leaves
  // out of the step who could end with it and has the time to do so later, where their pictures
  // would make others late. What was not empty is not empty afterwards.
  void Apply(PlannedStep& step, absl::Time now);

  struct Cost {
    absl::Duration forward, decoding;
    absl::Duration all() const { return forward + decoding; }
  };
  // Of one more pass of each of these images of a model, in one step.
  template <typename Ids>
  Cost CostOf(size_t model, const Ids& ids) const;

 private:
  // An image, and the time until its answer must leave.
  using Pressed = std::vector<std::pair<ImageRecord*, absl::Duration>>;

  // Those of the step's images that this is to become of, the one with the least time first; the
  // time counts from `from`.
  Pressed Find(const PlannedStep& step, OnDeadline on_deadline, absl::Time from) const;
  void FailTheLate(PlannedStep& step, absl::Time now);
  std::vector<std::pair<absl::Duration, WorkId>> Late(const PlannedStep& step,
                                                      absl::Time now) const;
  void EndEarly(PlannedStep& step, absl::Time now);
  void Postpone(PlannedStep& step, absl::Time now) const;
  StepForecast Forecast(const PlannedStep& step) const;

  const SchedulerOptions& options_;
  const size_t device_;
  WorkLedger& ledger_;
  const Pricing& pricing_;
};

template <typename Ids>
StepDeadlines::Cost StepDeadlines::CostOf(size_t model, const Ids& ids) const {
  uint64_t rows = 0;
  uint32_t pictures = 0;
  for (const ImageId id : ids) {
    const ImageRecord& image = *ledger_.images().Find(id);
    rows += image.next_rows();
    pictures += image.next_pictures();
  }
  return {pricing_.ForwardTime(device_, model, rows),
          pricing_.DecodingTime(device_, model, pictures)};
}

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULING_STEP_DEADLINES_H_
