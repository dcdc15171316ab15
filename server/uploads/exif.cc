#include "server/uploads/exif.h"

#include "absl/strings/match.h"
#include "absl/strings/strip.h"

namespace hmar {
namespace {

constexpr absl::string_view kMarker("Exif\0\0", 6);
constexpr size_t kEntryBytes = 12;
constexpr uint32_t kOrientationTag = 0x0112;
constexpr uint32_t kShortType = 3;

// A TIFF's numbers, in its own byte order. Beyond its end there are zeros.
class Tiff {
 public:
  explicit Tiff(absl::string_view bytes) : bytes_(bytes), little_(absl::StartsWith(bytes, "II")) {}

  bool HasHeader() const {
    return (little_ || absl::StartsWith(bytes_, "MM")) && Number(2, 2) == 42;
  }

  uint32_t Number(size_t at, size_t count) const {
    if (at > bytes_.size() || bytes_.size() - at < count) return 0;
    uint32_t value = 0;
    for (size_t i = 0; i < count; ++i) {
      value = value << 8 | static_cast<uint8_t>(bytes_[at + (little_ ? count - 1 - i : i)]);
    }
    return value;
  }

 private:
  const absl::string_view bytes_;
  const bool little_;
};

}  // namespace

Orientation OrientationOf(absl::string_view exif) {
  const Tiff tiff(absl::StripPrefix(exif, kMarker));
  if (!tiff.HasHeader()) return Orientation::kUpright;
  const size_t directory = tiff.Number(4, 4);
  const uint32_t entries = tiff.Number(directory, 2);
  for (uint32_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + kEntryBytes * i;
    if (tiff.Number(entry, 2) != kOrientationTag) continue;
    const uint32_t value = tiff.Number(entry + 8, 2);
    const bool known = tiff.Number(entry + 2, 2) == kShortType && tiff.Number(entry + 4, 4) == 1 &&
                       value >= 1 && value <= 8;
    return known ? static_cast<Orientation>(value) : Orientation::kUpright;
  }
  return Orientation::kUpright;
}

RowPath PathOfRow(Orientation orientation, uint32_t y, uint32_t width, uint32_t height) {
  const ptrdiff_t w = width, h = height;
  const ptrdiff_t row = y, from_bottom = h - 1 - row;
  switch (orientation) {
    case Orientation::kUpright:
      return {row * w, 1};
    case Orientation::kMirrored:
      return {row * w + w - 1, -1};
    case Orientation::kUpsideDown:
      return {from_bottom * w + w - 1, -1};
    case Orientation::kFlipped:
      return {from_bottom * w, 1};
    case Orientation::kTransposed:  // Pixel (x, y) goes to (y, x) of a picture h wide.
      return {row, h};
    case Orientation::kTurnClockwise:
      return {from_bottom, h};
    case Orientation::kTransversed:
      return {(w - 1) * h + from_bottom, -h};
    case Orientation::kTurnAnticlockwise:
      return {(w - 1) * h + row, -h};
  }
  return {row * w, 1};
}

}  // namespace hmar
