#ifndef HMAR_SERVER_SCHEDULING_PLANNED_STEP_H_
#define HMAR_SERVER_SCHEDULING_PLANNED_STEP_H_

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "model/engine.h"
#include "server/scheduling/work.h"

namespace hmar {

// Most pictures that one step encodes: an edit that comes later waits, so that a burst of uploads
// holds up the images that run by little more than a step.
inline constexpr size_t kMaxPicturesOfStep = 4;

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
    std::shared_ptr<const EditPicture> picture;
  };
  // Images of dropped requests that still hold slots: (model, id). Cancel them before all else.
  std::vector<std::pair<size_t, ImageId>> cancelled;
  // Admit these. They are in `ids` as well, but for those that are to wait.
  std::vector<NewImage> admitted;
  // Then truncate these to so many scales. They are held; those that are to wait are not in `ids`.
  std::vector<std::pair<ImageId, uint32_t>> truncated;
  // Step these. Empty: no step, unless await_pictures.
  std::vector<ImageId> ids;
  // Nothing of the model can run, but pictures are due: Step with no ids, which waits for one.
  bool await_pictures = false;
  // What the step should take, by the cost of those before it; zero: nobody knows yet.
  absl::Duration expected;

  // For the loop to fill: the pictures that it encoded, whatever became of the step.
  struct TokenizedPicture {
    std::string digest;
    std::shared_ptr<const TokenPyramid> tokens;
  };
  std::vector<TokenizedPicture> tokenized;
  absl::Duration tokenizing;  // What that took.
};

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULING_PLANNED_STEP_H_
