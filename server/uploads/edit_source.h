#ifndef HMAR_SERVER_UPLOADS_EDIT_SOURCE_H_
#define HMAR_SERVER_UPLOADS_EDIT_SOURCE_H_

// From what a request uploads for an edit to the picture and the region that the model works on.
// Two steps: CheckEditUpload takes microseconds and runs before a request is accepted;
// ReadEditSource decodes, up to seconds for the largest upload. Pure and thread-safe.

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "model/picture.h"
#include "server/base/violation.h"
#include "server/uploads/cancel_check.h"
#include "server/uploads/edit_region.h"
#include "server/uploads/picture_reader.h"
#include "server/uploads/resize.h"

namespace hmar {

struct GenerateBox {
  PixelBox box;  // Generated: what is inside.
};
struct KeepBox {
  PixelBox box;  // Generated: what is outside.
};
struct GenerateMask {
  std::string file;          // Generated: what is white. A picture of the image's size.
  bool transparent = false;  // Instead: what is wholly transparent (ReadTransparency).
};

// In the upload's pixels, upright and before any resize. std::monostate: no region given, which
// only kContain allows: its bars are the region (a square upload has none, and nothing is
// generated).
using UploadRegion = std::variant<std::monostate, GenerateBox, KeepBox, GenerateMask>;

struct EditUpload {
  std::string image;  // A PNG, JPEG or WebP.
  UploadRegion region;
  ResizeMode resize = ResizeMode::kNone;
};

// What the model edits. Plain data.
struct EditSource {
  Picture picture;  // side x side; without a resize the upload's own pixels, upright.
  Region region;    // side * side. May be all 0 (nothing is generated) or all 1.
};

// What is wrong with an upload is a Violation whose field is edit.image, edit.mask, edit.box,
// edit.keep_box or, if no region was given, edit.region. The reason is FIELD_MISSING,
// FIELD_OUT_OF_RANGE, IMAGE_INVALID, IMAGE_SIZE_MISMATCH, or from ReadEditSource OUT_OF_MEMORY,
// which is no fault of the client, or CANCELLED.

// All that can be told from the files' headers: both within the limits and of equal size, the
// size the model's (`side`) or a resize, the box not empty and inside the image, a region present.
// Empty: nothing is wrong so far. A box or mask is not held against an image that is itself wrong.
std::vector<Violation> CheckEditUpload(const EditUpload& upload, uint32_t side,
                                       const UploadLimits& limits);

// Decodes and resizes to side x side. Checks everything that CheckEditUpload does, and the files'
// data. One full-size decode is in memory at a time: at most DecodedBytes() beyond `upload` itself
// and a few rows. `cancelled` is asked at every row, or as picture_reader.h says.
std::variant<EditSource, Violation> ReadEditSource(const EditUpload& upload, uint32_t side,
                                                   const UploadLimits& limits,
                                                   CancelCheck cancelled = NeverCancelled);

// What ReadEditSource holds of the upload decoded, at most, in bytes: the larger of image and mask,
// which are never held together. Known from their headers, so at once. 0 if these are wrong.
size_t DecodedBytes(const EditUpload& upload, const UploadLimits& limits);

// What the upload's files have as they are, in bytes.
size_t EncodedBytes(const EditUpload& upload);

}  // namespace hmar

#endif  // HMAR_SERVER_UPLOADS_EDIT_SOURCE_H_
