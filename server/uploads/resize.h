#ifndef HMAR_SERVER_UPLOADS_RESIZE_H_
#define HMAR_SERVER_UPLOADS_RESIZE_H_

// How a picture of any size gets into a model's square. Pure and thread-safe.

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "model/picture.h"
#include "server/uploads/cancel_check.h"

namespace hmar {

enum class ResizeMode {
  kNone,     // It must have the square's size.
  kCover,    // Scaled to cover the square, the middle of it.
  kContain,  // Scaled to fit inside the square, in the middle; bars at two sides.
};

// Pixels, half open: x0 <= x < x1, y0 <= y < y1.
struct PixelBox {
  uint32_t x0 = 0;
  uint32_t y0 = 0;
  uint32_t x1 = 0;
  uint32_t y1 = 0;

  uint32_t width() const { return x1 - x0; }
  uint32_t height() const { return y1 - y0; }
  friend bool operator==(const PixelBox&, const PixelBox&) = default;
};

// `source`, a box of the picture, lands on `target`, a box of the square.
struct Fit {
  PixelBox source;
  PixelBox target;
};

// The fit of a picture of width x height pixels into a square of `side`. kCover: the source is the
// picture's middle square (the odd pixel goes to the right or the bottom), the target all of the
// square. kContain: the source is the whole picture; the target's longer side is `side`, the other
// in proportion, rounded, at least 1. A picture of side x side is kept as it is by every mode.
// REQUIRES: width, height, side > 0; kNone: width == height == side.
Fit FitInto(uint32_t width, uint32_t height, uint32_t side, ResizeMode mode);

// The square that `fit` makes of `picture`, which is freed on return: resampled with a Catmull-Rom
// filter, antialiased where it gets smaller, on the bytes as they are (no gamma). kContain's bars
// repeat the outermost pixels of the picture: what the encoder and a feather see there goes on
// smoothly. A picture that needs no scaling keeps its bytes. RESOURCE_EXHAUSTED: no memory.
// CANCELLED: `cancelled`, asked at each row of the square, said so. REQUIRES: fit is FitInto's for
// this picture and side.
absl::StatusOr<Picture> Resize(Picture picture, const Fit& fit, uint32_t side,
                               CancelCheck cancelled = NeverCancelled);

// Pixels first .. last - 1 along one axis; never empty.
struct PixelSpan {
  uint32_t first = 0;
  uint32_t last = 0;
};

// For each of `target_pixels` pixels that `source_pixels` pixels are scaled to: the source pixels
// it covers, wholly or in part. Spans rise, and together they cover all of the source.
std::vector<PixelSpan> CoveredPixels(uint32_t source_pixels, uint32_t target_pixels);

}  // namespace hmar

#endif  // HMAR_SERVER_UPLOADS_RESIZE_H_
