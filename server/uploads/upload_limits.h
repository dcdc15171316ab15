#ifndef HMAR_SERVER_UPLOADS_UPLOAD_LIMITS_H_
#define HMAR_SERVER_UPLOADS_UPLOAD_LIMITS_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace hmar {

// What an uploaded picture may be, whatever its format.
struct UploadLimits {
  size_t max_bytes = size_t{16} << 20;
  uint64_t max_pixels = 64'000'000;  // width * height.
  uint32_t max_side_pixels = 32'768;
};

// The two checks of every reader. INVALID_ARGUMENT, with the value and the limit. Thread-safe.
absl::Status CheckUploadBytes(absl::string_view file, const UploadLimits& limits);
absl::Status CheckUploadSize(uint32_t width, uint32_t height, const UploadLimits& limits);

}  // namespace hmar

#endif  // HMAR_SERVER_UPLOADS_UPLOAD_LIMITS_H_
