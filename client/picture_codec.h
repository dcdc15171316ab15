#ifndef HMAR_CLIENT_PICTURE_CODEC_H_
#define HMAR_CLIENT_PICTURE_CODEC_H_

// Picture files to pixels: PNG (png_codec.h), JPEG and WebP, told apart by their first bytes. They
// are not trusted: a size over the limits is found before anything is decoded, and nothing but
// pixels and orientation is looked at. All functions are thread-safe.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/picture.h"

namespace hmar {

// The file as 8-bit RGB, as DecodePng says of PNGs; a JPEG or WebP upright, as its EXIF orientation
// has it. At most 32,768 pixels a side and 2^28 in all; takes 3 bytes each, and what the decoder
// needs: up to 6 of a progressive JPEG, 5 of a lossless WebP, and 20 KB for each group of a
// lossless WebP's codes, which is 1.3 GB at most. INVALID_ARGUMENT: of none of the formats,
// damaged, cut off, too large, or of a kind that is not read (CMYK, animated).
absl::StatusOr<Picture> DecodePicture(absl::string_view file, const std::string& source,
                                      uint8_t background = 0);

// An edit's mask.
struct MaskPixels {
  uint32_t width = 0;          // Pixels.
  uint32_t height = 0;         // Pixels.
  std::vector<uint8_t> white;  // height * width, row by row: 1 from a luma of 128 on, else 0.
};

// The same files as a mask; transparency is ignored.
absl::StatusOr<MaskPixels> DecodeMask(absl::string_view file, const std::string& source);

}  // namespace hmar

#endif  // HMAR_CLIENT_PICTURE_CODEC_H_
