#include "client/png_header.h"

#include "absl/strings/match.h"

namespace hmar {
namespace {

// The signature; the header chunk's length, always 13; its type.
constexpr absl::string_view kStart("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16);
constexpr size_t kSizeEnd = 24;

uint32_t BigEndian(absl::string_view bytes) {
  uint32_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<uint8_t>(byte);
  return value;
}

}  // namespace

std::optional<PngSize> ReadPngSize(absl::string_view png) {
  if (png.size() < kSizeEnd || !absl::StartsWith(png, kStart)) return std::nullopt;
  return PngSize{BigEndian(png.substr(16, 4)), BigEndian(png.substr(20, 4))};
}

}  // namespace hmar
