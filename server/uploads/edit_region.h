#ifndef HMAR_SERVER_UPLOADS_EDIT_REGION_H_
#define HMAR_SERVER_UPLOADS_EDIT_REGION_H_

// Where an edit generates: from boxes and masks in an upload's pixels to one byte a pixel of the
// model's square. A pixel of the square is in the region if any pixel of the upload that it covers,
// wholly or in part, is; kContain's bars always are. Pure and thread-safe.

#include <cstdint>
#include <vector>

#include "server/uploads/picture_mask.h"
#include "server/uploads/resize.h"

namespace hmar {

// side * side bytes, row by row: 1 is generated, 0 is kept.
using Region = std::vector<uint8_t>;

// Nothing but the bars, if there are any.
Region BarsRegion(const Fit& fit, uint32_t side);

// What is inside `box`. REQUIRES: `fit` is FitInto's for the picture that holds `box`.
Region BoxRegion(const PixelBox& box, const Fit& fit, uint32_t side);

// What is outside `box`: a pixel is kept only if all that it covers is inside. REQUIRES: likewise.
Region KeepBoxRegion(const PixelBox& box, const Fit& fit, uint32_t side);

// What is white. REQUIRES: `fit` is FitInto's for a picture of the mask's size.
Region MaskRegion(const PictureMask& mask, const Fit& fit, uint32_t side);

}  // namespace hmar

#endif  // HMAR_SERVER_UPLOADS_EDIT_REGION_H_
