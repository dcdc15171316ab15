#ifndef HMAR_SERVER_SCHEDULING_PLACEMENT_H_
#define HMAR_SERVER_SCHEDULING_PLACEMENT_H_

// Which device a waiting image is for: the one that will be done with it first, given what every
// device has left to do and what its steps have cost so far.
//
// Nothing is bound by it until an image starts. The first waiting images are placed anew, in the
// order in which they are to start, each time a device plans a step; the device takes those that
// come out as its own and leaves the others to theirs. So an idle device never waits for work that
// it would finish first, and a busy one does not take what an idle or faster one would finish
// sooner. Every placed image belongs to a device that has work or can start at once: none waits for
// a device that sleeps.

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "server/scheduling/cost_model.h"

namespace hmar {

// What one image costs a device, or several that are placed as one.
struct ImageCost {
  size_t model = 0;
  uint64_t rows = 0;    // Of all passes that are left.
  uint32_t passes = 0;  // Most that one image has left.
  uint32_t images = 1;
  double pictures = 0;  // To decode.
  double uploads = 0;   // To tokenize.
};

// The loads of all devices. Thread-compatible.
class Placement {
 public:
  // By device, then by model: what runs there. REQUIRES: at least one device; the same models on
  // each.
  explicit Placement(std::vector<std::vector<ModelLoad>> loads) : loads_(std::move(loads)) {}

  // Adds an image to a device that holds it or, for one that waits, is the only one allowed to.
  void Add(size_t device, const ImageCost& image);

  // Adds an image to the device that will be done with it first and returns that device. Of equal
  // ones: the one with the fewest images, then the first.
  size_t Place(const ImageCost& image);

  // By model.
  const std::vector<ModelLoad>& loads(size_t device) const { return loads_[device]; }
  size_t devices() const { return loads_.size(); }
  // Of all models.
  uint32_t images(size_t device) const;

  // Until the device has done what it has of the model.
  LoadEstimate Estimate(size_t device, size_t model) const {
    return EstimateLoad(loads_[device], model);
  }

 private:
  std::vector<std::vector<ModelLoad>> loads_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULING_PLACEMENT_H_
