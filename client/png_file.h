#ifndef HMAR_CLIENT_PNG_FILE_H_
#define HMAR_CLIENT_PNG_FILE_H_

// Files, and PNGs in them.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/picture.h"

namespace hmar {

// The whole file, or pipe. NOT_FOUND: it cannot be read; INVALID_ARGUMENT: it is larger than
// `max_bytes`, told without reading more than that. The message names the file and the reason, or
// its size and the limit.
absl::StatusOr<std::string> ReadFile(const std::string& path,
                                     uint64_t max_bytes = uint64_t{1} << 30);

// Replaces the file. UNKNOWN when it cannot be written; the message names it and the system's
// reason.
absl::Status WriteFile(const std::string& path, absl::string_view bytes);

// A PNG of any depth and colour type as 8-bit RGB, transparency over the grey level `background`;
// at most 32,768 pixels a side and 2^28 in all. `source` names it in errors. INVALID_ARGUMENT: not
// a PNG, damaged or too large.
absl::StatusOr<Picture> DecodePng(absl::string_view png, const std::string& source,
                                  uint8_t background = 0);

// An edit's mask.
struct MaskPixels {
  uint32_t width = 0;          // Pixels.
  uint32_t height = 0;         // Pixels.
  std::vector<uint8_t> white;  // height * width, row by row: 1 from a luma of 128 on, else 0.
};

// The same PNGs as a mask; transparency is ignored.
absl::StatusOr<MaskPixels> DecodePngMask(absl::string_view png, const std::string& source);

// REQUIRES: a picture of at least one pixel. INTERNAL: libpng failed.
absl::StatusOr<std::string> EncodePng(const Picture& picture);

}  // namespace hmar

#endif  // HMAR_CLIENT_PNG_FILE_H_
