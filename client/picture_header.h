#ifndef HMAR_CLIENT_PICTURE_HEADER_H_
#define HMAR_CLIENT_PICTURE_HEADER_H_

// What the first bytes of a picture file say of it, which is to be known before it is decoded: its
// format and how large it is. The rest is for a decoder to judge. All functions are thread-safe.

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace hmar {

enum class PictureKind { kPng, kJpeg, kWebp };

// "PNG", "JPEG", "WebP".
absl::string_view NameOf(PictureKind kind);

struct PictureSize {
  PictureKind kind = PictureKind::kPng;
  uint32_t width = 0;     // Pixels, as stored.
  uint32_t height = 0;    // Pixels, as stored.
  bool animated = false;  // A WebP of several pictures.
};

// Nothing where the bytes start as none of the formats does, or end before they say a size. Looks
// at a JPEG's segments up to the one with its size, of the others at their first 30 bytes.
std::optional<PictureSize> ReadPictureSize(absl::string_view file);

// INVALID_ARGUMENT, with `source`, the size and the limits, of what no decoder here takes: more
// than 32,768 pixels a side or 2^28 in all, or none.
absl::Status CheckPictureSize(const PictureSize& size, const std::string& source);

}  // namespace hmar

#endif  // HMAR_CLIENT_PICTURE_HEADER_H_
