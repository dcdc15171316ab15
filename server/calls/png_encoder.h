#ifndef HMAR_SERVER_CALLS_PNG_ENCODER_H_
#define HMAR_SERVER_CALLS_PNG_ENCODER_H_

#include <string>

#include "absl/status/statusor.h"
#include "model/picture.h"

namespace hmar {

// The keyword of the PNG text chunk (iTXt, uncompressed UTF-8) that holds a receipt as JSON.
inline constexpr char kReceiptKeyword[] = "hmar-receipt";

// As EncodePicture of image_encoder.h. `compression`: zlib level, 0 .. 9.
absl::StatusOr<std::string> EncodePng(const Picture& picture, int compression,
                                      const std::string& receipt_json);

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_PNG_ENCODER_H_
