#ifndef HMAR_SERVER_SCHEDULING_BATCH_POLICY_H_
#define HMAR_SERVER_SCHEDULING_BATCH_POLICY_H_

// Who takes part in the next step of a device: a pure function of what waits for it and what runs
// on it. (In which order images wait is fair_queue.h's part, which of them are a device's to take
// placement.h's.)
//
// A step belongs to a priority, and within it to the principal with the smallest tag
// (fair_queue.h): it leads. Others join as far as that does not make the step longer than the
// leader's share of the device allows. How long a step takes is the cost model's to say.
// Invariants, for every input:
//  1. Work-conserving. If an image can run or a picture is due, there is a step.
//  2. Budget. A step has at most max_step_rows, the input's and the model's, of rows, and of rows
//     and pictures together, a picture being as many rows as a full step has in its time; unless it
//     has a single image. It has half of that where the leader is alone, but was not a moment ago
//     (company.h): who comes back, as somebody does who sends one image after the other, should not
//     find the longest of steps in its way.
//  3. Turns. Models that have something to do step in cyclic order, one step each.
//  4. Priorities. The one leads whose oldest image was submitted first, each level above another
//     counting as `aging` longer: so a higher priority goes first until somebody of a lower one has
//     waited longer by `aging` a level, and nobody waits for ever. Images of other priorities ride
//     along (they start or go on; else they pause, keeping their slots) while the step takes at
//     most kRideAlong times what it takes without them.
//  5. Shares. Of the leading priority the leader's running images all take part that the budget
//     allows. With n principals that can take part, those of the others do while the step takes at
//     most n times (by weights) what it would take the leader alone, pictures decoded included: a
//     step in which a principal leads costs it no more than its share of the device. They are asked
//     in the order of their tags; once an image is left out, nobody gets more by weight than the
//     leader (of rows and pictures together): who is ahead of others takes what they leave, but not
//     what is too little for them.
//  6. No starvation. A principal's running images go in the order of their last step, oldest first;
//     the leader's first always takes part. Queued images join in the order that the input has them
//     in; one that does not fit lets nobody of its priority pass. A principal whose running images
//     do not all take part gets no new ones: more images in flight never slow those that are.
//  7. Reserve. The last reserved_slots slots go to higher priorities than 0, and to principals that
//     run nothing here.

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "model/engine.h"
#include "server/scheduling/cost_model.h"

namespace hmar {

// How much longer a step may be for what rides along.
inline constexpr double kRideAlong = 1.25;

// A principal with images of one model and priority.
struct FlowState {
  double tag = 0;
  double weight = 1;     // > 0.
  bool company = false;  // Somebody else of its priority or a higher one was here a moment ago.
};

// An image that waits for a slot.
struct QueuedImage {
  ImageId id = 0;
  size_t model = 0;
  uint32_t rows = 0;      // Forward rows of its first pass; 0: its prefix has every scale.
  int priority = 0;       // Higher first.
  size_t flow = 0;        // Its principal: index into PolicyInput::flows.
  uint32_t pictures = 0;  // That its first pass leaves to decode.
};

// An image in flight that has passes left.
struct RunningImage {
  ImageId id = 0;
  size_t model = 0;
  uint32_t rows = 0;       // Forward rows of its next pass.
  uint64_t last_step = 0;  // Number of the step it last took part in; steps are numbered upwards.
  int priority = 0;
  size_t flow = 0;
  uint32_t pictures = 0;  // That its next pass leaves to decode.
};

// What a model can take.
struct ModelState {
  uint32_t free_slots = 0;
  uint32_t pictures_due = 0;  // Images past their last pass whose pictures have not come yet.
  uint32_t max_step_rows = std::numeric_limits<uint32_t>::max();  // The engine's own bound.
  uint32_t reserved_slots = 0;
  const CostModel* cost = nullptr;  // Null or not measured: a step takes as long as it has rows.
};

// The images of one model and priority, those that the input leaves out included.
struct PriorityState {
  size_t model = 0;
  int priority = 0;
  absl::Time oldest;  // When the first of them was submitted.
};

struct PolicyInput {
  absl::Span<const QueuedImage> queued;    // Of a model and priority in the order to start them in.
  absl::Span<const RunningImage> running;  // In any order.
  absl::Span<const FlowState> flows;
  absl::Span<const PriorityState> priorities;  // One for each model and priority of an image.
  absl::Span<const ModelState> models;         // By model index.
  uint32_t max_step_rows = 0;
  absl::Duration aging;              // > 0.
  std::optional<size_t> last_model;  // The model that stepped last.
};

struct StepChoice {
  size_t model = 0;
  std::vector<ImageId> running;   // Those that step.
  std::vector<ImageId> admitted;  // Queued images that join them.
  // Both empty: nothing of the model can run, and the engine is to wait for its pictures.
  size_t leader = 0;  // The flow that leads, unless both are empty.
};

// The model's priorities, the one that leads (if it can) first.
std::vector<int> PriorityOrder(absl::Span<const PriorityState> priorities, size_t model,
                               absl::Duration aging);

// The next step, or nothing: there is no work. REQUIRES: every index within its span, ids unique.
std::optional<StepChoice> ChooseStep(const PolicyInput& input);

// Any function of ChooseStep's kind; a benchmark compares it with another.
using StepPolicy = std::function<std::optional<StepChoice>(const PolicyInput&)>;

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULING_BATCH_POLICY_H_
