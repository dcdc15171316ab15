#ifndef HMAR_SERVER_UPLOADS_PNG_READER_H_
#define HMAR_SERVER_UPLOADS_PNG_READER_H_

// Uploaded PNGs to rows of pixels; for picture_reader.h, which says what all readers have in
// common. Nothing but pixels is inflated or kept: no text, no profile, no unknown chunk.

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/uploads/cancel_check.h"
#include "server/uploads/row_sink.h"
#include "server/uploads/upload_limits.h"

namespace hmar {

// A PNG's IHDR chunk.
struct PngHeader {
  uint32_t width = 0;   // Pixels, 1 .. max_side_pixels.
  uint32_t height = 0;  // Likewise.
  int bit_depth = 0;    // Of a channel, or of a palette's index.
  int color_type = 0;   // 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA.
  bool interlaced = false;
};

// Reads signature and IHDR, with its checksum, and nothing else: constant time, no allocation.
absl::StatusOr<PngHeader> ReadPngHeader(absl::string_view png, const UploadLimits& limits);

// All rows, row by row, or pass by pass of an interlaced picture. 16-bit samples are scaled to 8;
// samples are taken as they are, without any gamma or colour profile. Needs a few rows of memory. A
// PNG must be whole, to its IEND chunk; what follows that is ignored, and so is what IDAT holds
// behind the last row: no more than a row of it is inflated. `cancelled` is asked before each row
// is taken. REQUIRES: `header` is ReadPngHeader's, and `sink` has its size.
absl::Status ReadPngRows(absl::string_view png, const PngHeader& header, CancelCheck cancelled,
                         RowSink* sink);

}  // namespace hmar

#endif  // HMAR_SERVER_UPLOADS_PNG_READER_H_
