#ifndef HMAR_SERVER_CALLS_IMAGE_ENCODER_H_
#define HMAR_SERVER_CALLS_IMAGE_ENCODER_H_

#include <string>

#include "absl/status/statusor.h"
#include "model/picture.h"

namespace hmar {

// The keyword of the PNG text chunk (iTXt, uncompressed UTF-8) that holds a receipt as JSON.
inline constexpr char kReceiptKeyword[] = "hmar-receipt";

struct PngOptions {
  int compression = 0;       // zlib level, 0 .. 9.
  std::string receipt_json;  // Empty: no text chunk.
};

// `picture` as an 8-bit RGB PNG: the same picture and options give the same bytes. INTERNAL: libpng
// refused (an empty or oversized picture, no memory). REQUIRES: rgb has width * height * 3 bytes.
// Thread-safe.
absl::StatusOr<std::string> EncodePng(const Picture& picture, const PngOptions& options);

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_IMAGE_ENCODER_H_
