#include "server/uploads/upload_limits.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace hmar {

absl::Status CheckUploadBytes(absl::string_view file, const UploadLimits& limits) {
  if (file.size() <= limits.max_bytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(file.size(), " bytes; at most ", limits.max_bytes));
}

absl::Status CheckUploadSize(uint32_t width, uint32_t height, const UploadLimits& limits) {
  const std::string size = absl::StrCat(width, " x ", height, " pixels");
  if (width == 0 || height == 0) {
    return absl::InvalidArgumentError(absl::StrCat(size, "; at least 1 x 1"));
  }
  if (width > limits.max_side_pixels || height > limits.max_side_pixels) {
    return absl::InvalidArgumentError(
        absl::StrCat(size, "; at most ", limits.max_side_pixels, " a side"));
  }
  if (const uint64_t pixels = uint64_t{width} * height; pixels > limits.max_pixels) {
    return absl::InvalidArgumentError(
        absl::StrCat(size, ", ", pixels, " in all; at most ", limits.max_pixels));
  }
  return absl::OkStatus();
}

}  // namespace hmar
