#ifndef HMAR_SERVER_SCHEDULING_BATCH_POLICY_H_
#define HMAR_SERVER_SCHEDULING_BATCH_POLICY_H_

// Who takes part in the next step of a device: a pure function of what waits for it and what runs
// on it. (Which waiting images are a device's to take is placement.h's part.)
//
// The order is first come, first served. Invariants, for every input:
//  1. Work-conserving. If an image can run or a picture is due, there is a step. No running image
//  of
//     the model that steps was left out that would still have fitted the budget; a queued one was
//     left out only for want of a slot or of budget, or because something before it was.
//  2. Budget. The rows of a step are at most max_step_rows, the input's and the model's, unless it
//     has a single image.
//  3. Turns. Models that have something to do step in cyclic order, one step each.
//  4. No starvation. Running images go in the order of their last step, oldest first, and the first
//     always takes part: what the budget left out comes first next time, and with n images running
//     none waits longer than n - 1 steps of its model. Queued images join in the order of their
//     submission and only when every running image of the model takes part, so that more images in
//     flight never slow those that are.
// The fields marked "later" are what an order by priority, deadline and client needs; first come
// does not look at them.

#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "model/engine.h"

namespace hmar {

// An image that waits for a slot.
struct QueuedImage {
  ImageId id = 0;
  size_t model = 0;
  uint32_t rows = 0;        // Forward rows of its first pass; 0: its prefix has every scale.
  absl::Time enqueued;      // Later.
  int priority = 0;         // Later. Higher first.
  absl::Time deadline;      // Later.
  std::string_view client;  // Later. Who asks.
};

// An image in flight that has passes left.
struct RunningImage {
  ImageId id = 0;
  size_t model = 0;
  uint32_t rows = 0;       // Forward rows of its next pass.
  uint64_t last_step = 0;  // Number of the step it last took part in; steps are numbered upwards.
};

// What a model can take.
struct ModelSlots {
  uint32_t free_slots = 0;
  uint32_t pictures_due = 0;  // Images past their last pass whose pictures have not come yet.
  uint32_t max_step_rows = std::numeric_limits<uint32_t>::max();  // The engine's own bound.
};

struct PolicyInput {
  absl::Span<const QueuedImage> queued;    // In the order of submission.
  absl::Span<const RunningImage> running;  // In the order of admission.
  absl::Span<const ModelSlots> models;     // By model index.
  uint32_t max_step_rows = 0;
  absl::Time now;                    // Later.
  std::optional<size_t> last_model;  // The model that stepped last.
};

struct StepChoice {
  size_t model = 0;
  std::vector<ImageId> running;   // Those that step, oldest step first.
  std::vector<ImageId> admitted;  // Queued images that join them.
  // Both empty: nothing of the model can run, and the engine is to wait for its pictures.
};

// The next step, or nothing: there is no work. REQUIRES: every `model` < models.size(), ids unique.
std::optional<StepChoice> ChooseStep(const PolicyInput& input);

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULING_BATCH_POLICY_H_
