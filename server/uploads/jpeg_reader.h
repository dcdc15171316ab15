#ifndef HMAR_SERVER_UPLOADS_JPEG_READER_H_
#define HMAR_SERVER_UPLOADS_JPEG_READER_H_

// Uploaded JPEGs to rows of pixels; for picture_reader.h, which says what all readers have in
// common. Of what is beside the pixels only the orientation is looked at.

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/uploads/cancel_check.h"
#include "server/uploads/exif.h"
#include "server/uploads/row_sink.h"
#include "server/uploads/upload_limits.h"

namespace hmar {

// What a JPEG says before its first scan.
struct JpegHeader {
  uint32_t width = 0;   // Pixels as stored, 1 .. max_side_pixels.
  uint32_t height = 0;  // Likewise.
  int components = 0;   // 1 grey, 3 colour.
  Orientation orientation = Orientation::kUpright;
  // What has to be kept of the picture between its scans, in bytes; 0 where one scan has all of it.
  size_t coefficient_bytes = 0;
};

// Passes over a picture that are decoded at most. Encoders make about ten; each costs the time of
// the whole picture, however few bytes it has.
inline constexpr int kMaxJpegScans = 100;

// Walks the segments up to the first scan. INVALID_ARGUMENT, too: what is not read at all, with its
// name: arithmetic coding, lossless and hierarchical JPEGs, 12 bits, CMYK. Linear in the number of
// segments; no allocation.
absl::StatusOr<JpegHeader> ReadJpegHeader(absl::string_view jpeg, const UploadLimits& limits);

// All rows, as stored from top to bottom: grey or RGB. Samples are taken as they are, without any
// colour profile. Needs `coefficient_bytes` and a few rows of memory. A JPEG must be whole, to its
// EOI marker; what follows that is ignored. `cancelled` is asked before each row, and of several
// scans at each row of blocks. REQUIRES: `header` is ReadJpegHeader's, and `sink` has the upright
// size.
absl::Status ReadJpegRows(absl::string_view jpeg, const JpegHeader& header, CancelCheck cancelled,
                          RowSink* sink);

}  // namespace hmar

#endif  // HMAR_SERVER_UPLOADS_JPEG_READER_H_
