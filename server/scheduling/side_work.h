#ifndef HMAR_SERVER_SCHEDULING_SIDE_WORK_H_
#define HMAR_SERVER_SCHEDULING_SIDE_WORK_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "model/sampling_plan.h"
#include "server/scheduling/work.h"

namespace hmar {

// What an image takes of a device beside its forward rows.
struct SideWork {
  uint32_t pictures = 1;  // To decode: FULL previews and its own. Counted until it leaves.
  uint32_t uploads = 0;   // To tokenize, before it starts.
};

// Of image `index` of the work. The first of an edit has the upload tokenized for all of them; that
// its tokens may be known from another request is nothing to count on.
inline SideWork SideWorkOf(const Work& work, uint32_t index) {
  SideWork side;
  const ImageTask& task = work.job.prototype;
  if (task.preview_mode == PreviewMode::kFull) {
    const auto& scales = task.preview_scales;
    side.pictures += static_cast<uint32_t>(std::count(scales.begin(), scales.end(), true));
  }
  if (work.picture != nullptr && task.given == nullptr && index == 0) side.uploads = 1;
  return side;
}

// Whether a pass leaves the decoder a FULL preview, given by scale which are wanted (null: none).
// Scales without a pass of their own are not counted.
inline bool LeavesFullPreview(const Pass& pass, const std::vector<bool>* full_previews) {
  return pass.settles_scale && full_previews != nullptr && (*full_previews)[pass.scale];
}

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULING_SIDE_WORK_H_
