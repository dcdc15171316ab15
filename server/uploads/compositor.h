#ifndef HMAR_SERVER_UPLOADS_COMPOSITOR_H_
#define HMAR_SERVER_UPLOADS_COMPOSITOR_H_

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "model/picture.h"
#include "server/uploads/edit_source.h"

namespace hmar {

// Puts an edit's source back around what was generated. Outside the region a picture gets the
// source's own bytes. Inside, the generated pixel's share is d / (feather + 1), at most 1, where d
// is the Euclidean distance in pixels to the nearest pixel outside (1 or more): so all of the blend
// lies inside the region, and a feather of 0 is a hard edge. The picture's border is no outside.
// The sum is rounded to nearest, halves up.
//
// A smaller picture (a fast preview) is composited as the full one would look reduced: its pixels
// take the box average of the source's share and the generated share of the pixels they cover. One
// that covers only pixels outside is the average of the source there.
//
// Both calls may throw std::bad_alloc and then have changed nothing. Thread-safe.
class Compositor {
 public:
  // `feather` in pixels of the source; any value. The source is not needed afterwards. REQUIRES: it
  // is square, and its region has one byte a pixel.
  Compositor(const EditSource& source, uint32_t feather);

  // REQUIRES: `picture` is not empty, and no side of it is longer than the source's.
  void Apply(Picture* picture) const;

 private:
  // A pixel of the result is (share * generated + kept) / full_share_.
  struct Layer {
    std::vector<float> share;  // A pixel: 0 .. full_share_.
    std::vector<float> kept;   // A channel of a pixel: the source times the rest of full_share_.
  };

  static Layer FullLayer(const EditSource& source, double full_share);
  const Layer& LayerOf(uint32_t width, uint32_t height) const;
  Layer Reduced(uint32_t width, uint32_t height) const;

  const uint32_t side_;
  const double full_share_;  // feather + 1.
  const Layer full_;

  mutable absl::Mutex mutex_;
  // By width and height; made on first use and never changed then.
  mutable std::map<std::pair<uint32_t, uint32_t>, Layer> reduced_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace hmar

#endif  // HMAR_SERVER_UPLOADS_COMPOSITOR_H_
