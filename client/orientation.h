#ifndef HMAR_CLIENT_ORIENTATION_H_
#define HMAR_CLIENT_ORIENTATION_H_

// How a camera was held, as EXIF says by a number from 1 (upright) to 8. Pure functions.

#include "absl/strings/string_view.h"
#include "model/picture.h"

namespace hmar {

// The number in EXIF data, with or without "Exif\0\0" before it; 1 where there is none.
int ReadOrientation(absl::string_view exif);

// The stored picture as it should be seen. REQUIRES: a number of ReadOrientation's.
Picture TurnUpright(Picture stored, int orientation);

}  // namespace hmar

#endif  // HMAR_CLIENT_ORIENTATION_H_
