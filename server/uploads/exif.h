#ifndef HMAR_SERVER_UPLOADS_EXIF_H_
#define HMAR_SERVER_UPLOADS_EXIF_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace hmar {

// How a camera was held: what has to be done to a stored picture for it to be upright, by the
// numbers of EXIF's tag 0x0112.
enum class Orientation : uint8_t {
  kUpright = 1,
  kMirrored = 2,           // Left and right change places.
  kUpsideDown = 3,         // A half turn.
  kFlipped = 4,            // Top and bottom change places.
  kTransposed = 5,         // Rows become columns.
  kTurnClockwise = 6,      // A quarter turn.
  kTransversed = 7,        // Rows become columns, from the far corner.
  kTurnAnticlockwise = 8,  // A quarter turn.
};

// Whether width and height change places.
inline bool SwapsSides(Orientation orientation) { return orientation >= Orientation::kTransposed; }

// Reads the orientation out of EXIF data: a TIFF header and its first directory, with or without
// "Exif\0\0" before it. Upright where there is none, or none that makes sense: a picture is not
// refused for its metadata. Looks at no more than one directory; no allocation. Thread-safe.
Orientation OrientationOf(absl::string_view exif);

// Where a stored row goes in the upright picture: its pixel i is pixel first + i * step there,
// counted row by row.
struct RowPath {
  ptrdiff_t first = 0;
  ptrdiff_t step = 1;
};

// The path of row y of a stored picture of width x height pixels. Pure.
RowPath PathOfRow(Orientation orientation, uint32_t y, uint32_t width, uint32_t height);

}  // namespace hmar

#endif  // HMAR_SERVER_UPLOADS_EXIF_H_
