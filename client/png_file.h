#ifndef HMAR_CLIENT_PNG_FILE_H_
#define HMAR_CLIENT_PNG_FILE_H_

// Files, and PNGs in them.

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/picture.h"

namespace hmar {

// The whole file. NOT_FOUND when it cannot be opened; the message names it.
absl::StatusOr<std::string> ReadFile(const std::string& path);

// Replaces the file. UNKNOWN when it cannot be written; the message names it and the system's
// reason.
absl::Status WriteFile(const std::string& path, absl::string_view bytes);

// A PNG of any depth and colour type as 8-bit RGB, transparency over black; at most 16,384 pixels a
// side. `source` names it in errors. INVALID_ARGUMENT: not a PNG, damaged or too large.
absl::StatusOr<Picture> DecodePng(absl::string_view png, const std::string& source);

// REQUIRES: a picture of at least one pixel. INTERNAL: libpng failed.
absl::StatusOr<std::string> EncodePng(const Picture& picture);

}  // namespace hmar

#endif  // HMAR_CLIENT_PNG_FILE_H_
