#include "client/orientation.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"

namespace hmar {
namespace {

constexpr uint32_t kOrientationTag = 0x0112;

// A number of a TIFF, in its own byte order; 0 beyond its end.
uint32_t Number(absl::string_view tiff, size_t at, size_t bytes) {
  if (at > tiff.size() || tiff.size() - at < bytes) return 0;
  const bool little = tiff[0] == 'I';
  uint32_t value = 0;
  for (size_t i = 0; i < bytes; ++i) {
    value = value << 8 | static_cast<uint8_t>(tiff[at + (little ? bytes - 1 - i : i)]);
  }
  return value;
}

}  // namespace

int ReadOrientation(absl::string_view exif) {
  const absl::string_view tiff = absl::StripPrefix(exif, absl::string_view("Exif\0\0", 6));
  if (!absl::StartsWith(tiff, "II") && !absl::StartsWith(tiff, "MM")) return 1;
  const size_t directory = Number(tiff, 4, 4);
  const uint32_t entries = Number(tiff, directory, 2);
  for (uint32_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + size_t{12} * i;
    if (Number(tiff, entry, 2) != kOrientationTag) continue;
    const uint32_t value = Number(tiff, entry + 8, 2);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

Picture TurnUpright(Picture stored, int orientation) {
  if (orientation == 1) return stored;
  const bool turned = orientation >= 5;  // Rows have become columns.
  const bool from_right =
      orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
  const bool from_bottom =
      orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
  Picture upright{turned ? stored.height : stored.width, turned ? stored.width : stored.height,
                  std::vector<uint8_t>(stored.rgb.size())};
  uint8_t* to = upright.rgb.data();
  for (uint32_t y = 0; y < upright.height; ++y) {
    for (uint32_t x = 0; x < upright.width; ++x, to += 3) {
      const uint32_t along = from_right ? upright.width - 1 - x : x;
      const uint32_t down = from_bottom ? upright.height - 1 - y : y;
      const size_t from =
          turned ? size_t{along} * stored.width + down : size_t{down} * stored.width + along;
      std::copy_n(&stored.rgb[3 * from], 3, to);
    }
  }
  return upright;
}

}  // namespace hmar
