#ifndef HMAR_CLIENT_WEBP_CODEC_H_
#define HMAR_CLIENT_WEBP_CODEC_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/picture.h"

namespace hmar {

// As DecodePicture of picture_codec.h, of a WebP. Transparency is ignored where there is no
// `background`.
absl::StatusOr<Picture> DecodeWebp(absl::string_view webp, const std::string& source,
                                   std::optional<uint8_t> background);

}  // namespace hmar

#endif  // HMAR_CLIENT_WEBP_CODEC_H_
