#ifndef HMAR_SERVER_CALLS_WEBP_ENCODER_H_
#define HMAR_SERVER_CALLS_WEBP_ENCODER_H_

#include <string>

#include "absl/status/statusor.h"
#include "model/picture.h"

namespace hmar {

// As EncodePicture of image_encoder.h. `quality`: libwebp's, 1 .. 100, of a lossy one. At most
// 16,383 pixels a side.
absl::StatusOr<std::string> EncodeWebp(const Picture& picture, bool lossless, int quality,
                                       const std::string& receipt_json);

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_WEBP_ENCODER_H_
