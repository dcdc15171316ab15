#ifndef HMAR_SERVER_SCHEDULING_STEP_PLANNER_H_
#define HMAR_SERVER_SCHEDULING_STEP_PLANNER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "model/engine.h"
#include "server/operations/metrics.h"
#include "server/scheduling/batch_policy.h"
#include "server/scheduling/company.h"
#include "server/scheduling/picture_tokens.h"
#include "server/scheduling/planned_step.h"
#include "server/scheduling/pricing.h"
#include "server/scheduling/scheduler_options.h"
#include "server/scheduling/step_deadlines.h"
#include "server/scheduling/work_ledger.h"

namespace hmar {

// Turns the books into the steps of one device: first the parts of a step that failed, then what
// batch_policy.h chooses of the device's running images and the waiting ones that placement.h gives
// it. Thread-compatible.
class StepPlanner {
 public:
  // `options`, `ledger`, `picture_tokens`, `pricing` and `metrics` (may be null) outlive it.
  StepPlanner(const SchedulerOptions* options, size_t device, WorkLedger* ledger,
              PictureTokens* picture_tokens, const Pricing* pricing, Metrics* metrics)
      : options_(*options),
        device_(device),
        ledger_(*ledger),
        picture_tokens_(*picture_tokens),
        pricing_(*pricing),
        metrics_(metrics),
        deadlines_(options, device, ledger, pricing),
        company_(options->models().size()) {}

  // The next step, with its new images marked as running; nothing: there is nothing to do. As long
  // as the books hold an image there is a step of some device: it waits for a free slot, or it
  // runs, or its picture is due, or an image that holds its slot does one of the latter two.
  std::optional<PlannedStep> Plan(absl::Time now);

  // The step failed as a whole: its halves go before all other work. REQUIRES: it has two ids or
  // more.
  void Halve(const PlannedStep& step);

  // Forgets the halves that are still to run.
  void Clear() { retries_.clear(); }

 private:
  // A part of a step that failed, to be run on its own.
  struct Retry {
    size_t model;
    std::vector<ImageId> ids;
  };

  using Pictures = std::set<std::pair<size_t, std::string>>;  // Models and digests.

  // What ChooseStep is asked about, and which principals its indices mean.
  struct Situation {
    std::vector<QueuedImage> queued;
    std::vector<RunningImage> running;
    // A principal's images of one model and priority.
    struct Party {
      Flow* flow;
      size_t model;
      int priority;
    };
    std::vector<FlowState> flows;
    std::vector<Party> parties;  // By the same index.
    std::map<const Flow*, size_t> index_of;
    std::vector<PriorityState> priorities;
    std::vector<ModelState> models;

    size_t Index(const ImageRecord& image);
  };

  void TakeRetry(PlannedStep& step);
  void TakeChoice(PlannedStep& step, absl::Time now);
  Situation Look() const;
  ModelState StateOf(size_t model) const;
  void LookAtRunning(Situation& situation) const;
  void LookAtPriorities(Situation& situation) const;
  void NoteCompany(Situation& situation, absl::Time now);
  // The waiting images that are this device's to take now: at most as many of a priority as the
  // model has slots, with at most kMaxPicturesOfStep pictures to encode.
  void LookAtWaiting(Situation& situation) const;
  // Those of one model and priority. `placement`: null where there is one device.
  void LookAtQueue(const FairQueue& queue, size_t model, Placement* placement,
                   Pictures& to_tokenize, Situation& situation) const;
  // How far into a priority's queue the device looks.
  size_t Reach(size_t model) const;
  // Whether the step may have the image, given the pictures that it is to encode already; adds its.
  bool MayTokenize(const ImageRecord& image, Pictures& to_tokenize) const;
  // Puts the clock of the leader's queue to its tag.
  void Lead(const PlannedStep& step, const Flow& leader);
  PlannedStep::NewImage Start(ImageId id, absl::Time now);
  // The tokens of an edit's picture, if they are known; null also for what is no edit.
  std::shared_ptr<const TokenPyramid> GivenTokens(const Work& work) const;
  void CountUploads(const PlannedStep& step) const;

  const SchedulerOptions& options_;
  const size_t device_;
  WorkLedger& ledger_;
  PictureTokens& picture_tokens_;
  const Pricing& pricing_;
  Metrics* const metrics_;
  StepDeadlines deadlines_;
  std::vector<Company> company_;  // By model.
  std::deque<Retry> retries_;
  std::optional<size_t> last_model_;
  uint64_t steps_planned_ = 0;
};

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULING_STEP_PLANNER_H_
