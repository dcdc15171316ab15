#include "client/picture_header.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

// The signature; the header chunk's length, always 13; its type.
constexpr absl::string_view kPngStart("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16);
constexpr uint32_t kMaxSidePixels = 32768;
constexpr uint64_t kMaxPixels = uint64_t{1} << 28;
constexpr size_t kPngSizeEnd = 24;
constexpr size_t kWebpSizeEnd = 30;

uint32_t BigEndian(absl::string_view bytes) {
  uint32_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<uint8_t>(byte);
  return value;
}

uint32_t LittleEndian(absl::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = bytes.size(); i > 0; --i) value = value << 8 | static_cast<uint8_t>(bytes[i - 1]);
  return value;
}

std::optional<PictureSize> ReadPng(absl::string_view file) {
  if (file.size() < kPngSizeEnd || !absl::StartsWith(file, kPngStart)) return std::nullopt;
  return PictureSize{PictureKind::kPng, BigEndian(file.substr(16, 4)),
                     BigEndian(file.substr(20, 4))};
}

// SOF0 to SOF15 but for what shares their numbers: DHT, JPG and DAC.
bool HasSize(uint8_t marker) {
  return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

std::optional<PictureSize> ReadJpeg(absl::string_view file) {
  for (size_t at = 2; at + 4 <= file.size();) {
    const auto marker = static_cast<uint8_t>(file[at + 1]);
    if (file[at] != '\xFF') return std::nullopt;
    if (marker == 0xFF) {  // A fill byte.
      ++at;
      continue;
    }
    const size_t length = BigEndian(file.substr(at + 2, 2));
    if (length < 2 || at + 2 + length > file.size()) return std::nullopt;
    if (HasSize(marker) && length >= 7) {
      return PictureSize{PictureKind::kJpeg, BigEndian(file.substr(at + 7, 2)),
                         BigEndian(file.substr(at + 5, 2))};
    }
    at += 2 + length;
  }
  return std::nullopt;
}

std::optional<PictureSize> ReadWebp(absl::string_view file) {
  if (file.size() < kWebpSizeEnd) return std::nullopt;
  const absl::string_view chunk = file.substr(12, 4), data = file.substr(20);
  if (chunk == "VP8X") {
    return PictureSize{PictureKind::kWebp, LittleEndian(data.substr(4, 3)) + 1,
                       LittleEndian(data.substr(7, 3)) + 1, (data[0] & 2) != 0};
  }
  constexpr uint32_t kSizeMask = (1 << 14) - 1;
  if (chunk == "VP8L") {
    const uint32_t bits = LittleEndian(data.substr(1, 4));
    return PictureSize{PictureKind::kWebp, (bits & kSizeMask) + 1, (bits >> 14 & kSizeMask) + 1};
  }
  if (chunk != "VP8 ") return std::nullopt;
  return PictureSize{PictureKind::kWebp, LittleEndian(data.substr(6, 2)) & kSizeMask,
                     LittleEndian(data.substr(8, 2)) & kSizeMask};
}

}  // namespace

absl::string_view NameOf(PictureKind kind) {
  switch (kind) {
    case PictureKind::kJpeg:
      return "JPEG";
    case PictureKind::kWebp:
      return "WebP";
    case PictureKind::kPng:
      break;
  }
  return "PNG";
}

std::optional<PictureSize> ReadPictureSize(absl::string_view file) {
  if (absl::StartsWith(file, "\xFF\xD8\xFF")) return ReadJpeg(file);
  if (absl::StartsWith(file, "RIFF") && file.size() >= 12 && file.substr(8, 4) == "WEBP") {
    return ReadWebp(file);
  }
  return ReadPng(file);
}

absl::Status CheckPictureSize(const PictureSize& size, const std::string& source) {
  const bool fits = size.width >= 1 && size.height >= 1 && size.width <= kMaxSidePixels &&
                    size.height <= kMaxSidePixels &&
                    uint64_t{size.width} * size.height <= kMaxPixels;
  if (fits) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(source, ": ", size.width, " x ", size.height,
                                                 " pixels; 1 to ", kMaxSidePixels, " a side and ",
                                                 kMaxPixels, " in all"));
}

}  // namespace hmar
