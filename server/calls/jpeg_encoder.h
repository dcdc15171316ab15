#ifndef HMAR_SERVER_CALLS_JPEG_ENCODER_H_
#define HMAR_SERVER_CALLS_JPEG_ENCODER_H_

#include <string>

#include "absl/status/statusor.h"
#include "model/picture.h"

namespace hmar {

// From this quality on colours have full resolution, below it half of it in each direction.
inline constexpr int kFullColorQuality = 90;

// As EncodePicture of image_encoder.h: a baseline JPEG with Huffman codes of its own. `quality`:
// libjpeg's, 1 .. 100. Holds 2 to 6 bytes a pixel while it works.
absl::StatusOr<std::string> EncodeJpeg(const Picture& picture, int quality,
                                       const std::string& receipt_json);

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_JPEG_ENCODER_H_
