#ifndef HMAR_CLIENT_PNG_CODEC_H_
#define HMAR_CLIENT_PNG_CODEC_H_

// PNGs to pixels and back. PNGs are not trusted: a size over the limits is found before anything is
// decoded, nothing but pixels is inflated or kept (no text, no profile), and nothing is inflated
// behind the last row. All functions are thread-safe.

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/picture.h"

namespace hmar {

// A PNG of any depth and colour type as 8-bit RGB, transparency over the grey level `background`;
// samples as they are, without gamma or colour profile. At most 32,768 pixels a side and 2^28 in
// all; takes 3 bytes each. `source` names it in errors. INVALID_ARGUMENT: not a PNG, damaged, cut
// off or too large.
absl::StatusOr<Picture> DecodePng(absl::string_view png, const std::string& source,
                                  uint8_t background = 0);

// The same with transparency ignored where there is no `background`.
absl::StatusOr<Picture> DecodePngRgb(absl::string_view png, const std::string& source,
                                     std::optional<uint8_t> background);

// REQUIRES: a picture of at least one pixel. INTERNAL: libpng failed.
absl::StatusOr<std::string> EncodePng(const Picture& picture);

}  // namespace hmar

#endif  // HMAR_CLIENT_PNG_CODEC_H_
