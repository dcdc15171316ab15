#ifndef HMAR_CLIENT_JPEG_CODEC_H_
#define HMAR_CLIENT_JPEG_CODEC_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/picture.h"

namespace hmar {

// As DecodePicture of picture_codec.h, of a JPEG. One of more than 100 scans is refused: each takes
// the time of the whole picture.
absl::StatusOr<Picture> DecodeJpeg(absl::string_view jpeg, const std::string& source);

}  // namespace hmar

#endif  // HMAR_CLIENT_JPEG_CODEC_H_
