#include "server/scheduling/placement.h"

#include <algorithm>
#include <tuple>

namespace hmar {

void Placement::Add(size_t device, const ImageCost& image) {
  ModelLoad& load = loads_[device][image.model];
  load.images += image.images;
  load.rows += image.rows;
  load.passes = std::max(load.passes, image.passes);
  load.pictures += image.pictures;
  load.uploads += image.uploads;
}

size_t Placement::Place(const ImageCost& image) {
  size_t best = 0;
  std::tuple<absl::Duration, uint32_t> best_rank(absl::InfiniteDuration(), 0);
  for (size_t device = 0; device < loads_.size() && loads_.size() > 1; ++device) {
    const ModelLoad before = loads_[device][image.model];
    Add(device, image);
    const std::tuple<absl::Duration, uint32_t> rank(Estimate(device, image.model).time,
                                                    images(device));
    loads_[device][image.model] = before;
    if (rank < best_rank) {
      best = device;
      best_rank = rank;
    }
  }
  Add(best, image);
  return best;
}

uint32_t Placement::images(size_t device) const {
  uint32_t images = 0;
  for (const ModelLoad& load : loads_[device]) images += load.images;
  return images;
}

}  // namespace hmar
