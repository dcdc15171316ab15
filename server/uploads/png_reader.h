#ifndef HMAR_SERVER_UPLOADS_PNG_READER_H_
#define HMAR_SERVER_UPLOADS_PNG_READER_H_

// Uploaded PNGs to plain pixels. What a client sent is not trusted: size and kind are held against
// the limits before anything is decoded, and no byte of a chunk that does not describe pixels
// (text, profiles, unknown ones) is inflated or kept.
//
// All errors are INVALID_ARGUMENT and say what is wrong, with the value and the limit, but not
// which field of the request it was; RESOURCE_EXHAUSTED where there is no memory for the pixels;
// CANCELLED where a check said so. All functions are thread-safe.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/picture.h"
#include "server/uploads/cancel_check.h"

namespace hmar {

// What an uploaded PNG may be.
struct UploadLimits {
  size_t max_bytes = size_t{16} << 20;
  uint64_t max_pixels = 64'000'000;  // width * height.
  uint32_t max_side_pixels = 32'768;
};

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

// The whole picture as 8-bit RGB. 16-bit samples are scaled to 8; alpha and transparent colours are
// composited over white. Samples are taken as they are, without any gamma or colour profile, so an
// opaque 8-bit RGB picture comes back byte for byte. Needs 3 bytes a pixel and a few rows, for
// interlaced pictures too. A PNG must be whole, to its IEND chunk; what follows that is ignored,
// and so is what IDAT holds behind the last row: no more than a row of it is inflated. `cancelled`
// is asked before each row is taken.
absl::StatusOr<Picture> ReadPng(absl::string_view png, const UploadLimits& limits,
                                CancelCheck cancelled = NeverCancelled);

// A mask: which pixels are white.
struct PngMask {
  uint32_t width = 0;
  uint32_t height = 0;
  std::vector<uint8_t> white;  // height * width, row by row: 1 or 0.
};

// The same PNGs as a mask: a pixel is white from 128 on of 255. Of grey the value itself counts
// (scaled to 8 bits), of colour 0.299 R + 0.587 G + 0.114 B, rounded to nearest; alpha and
// transparent colours are ignored. Needs 1 byte a pixel and a few rows.
absl::StatusOr<PngMask> ReadPngMask(absl::string_view png, const UploadLimits& limits,
                                    CancelCheck cancelled = NeverCancelled);

}  // namespace hmar

#endif  // HMAR_SERVER_UPLOADS_PNG_READER_H_
