#include "client/webp_codec.h"

#include <webp/decode.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/orientation.h"
#include "client/picture_header.h"

namespace hmar {
namespace {

constexpr size_t kRiffBytes = 12, kChunkBytes = 8;

const uint8_t* Data(absl::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

// The orientation of the first EXIF chunk.
int OrientationIn(absl::string_view webp) {
  for (size_t at = kRiffBytes; at + kChunkBytes <= webp.size();) {
    size_t length = 0;
    for (size_t i = 4; i > 0; --i) length = length << 8 | Data(webp)[at + 3 + i];
    const absl::string_view data = webp.substr(at + kChunkBytes, length);
    if (webp.substr(at, 4) == "EXIF") return ReadOrientation(data);
    at += kChunkBytes + data.size() + data.size() % 2;
  }
  return 1;
}

// RGBA to RGB, over `background`.
std::vector<uint8_t> Composited(const std::vector<uint8_t>& rgba, uint8_t background) {
  std::vector<uint8_t> rgb;
  rgb.reserve(rgba.size() / 4 * 3);
  for (size_t i = 0; i < rgba.size(); i += 4) {
    const int alpha = rgba[i + 3];
    for (size_t c = i; c < i + 3; ++c) {
      rgb.push_back(
          static_cast<uint8_t>((rgba[c] * alpha + background * (255 - alpha) + 127) / 255));
    }
  }
  return rgb;
}

}  // namespace

absl::StatusOr<Picture> DecodeWebp(absl::string_view webp, const std::string& source,
                                   std::optional<uint8_t> background) {
  const std::optional<PictureSize> size = ReadPictureSize(webp);
  if (!size || size->kind != PictureKind::kWebp) {
    return absl::InvalidArgumentError(absl::StrCat(source, ": not a WebP"));
  }
  if (absl::Status fits = CheckPictureSize(*size, source); !fits.ok()) return fits;
  WebPBitstreamFeatures features = {};
  const bool known = WebPGetFeatures(Data(webp), webp.size(), &features) == VP8_STATUS_OK &&
                     features.has_animation == 0;
  const bool alpha = features.has_alpha != 0 && background.has_value();
  const size_t stride = size_t{size->width} * (alpha ? 4 : 3);
  std::vector<uint8_t> pixels(stride * size->height);
  const auto decode = alpha ? WebPDecodeRGBAInto : WebPDecodeRGBInto;
  if (!known || decode(Data(webp), webp.size(), pixels.data(), pixels.size(),
                       static_cast<int>(stride)) == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        source, features.has_animation != 0 ? ": an animated WebP" : ": damaged WebP"));
  }
  if (alpha) pixels = Composited(pixels, *background);
  return TurnUpright({size->width, size->height, std::move(pixels)}, OrientationIn(webp));
}

}  // namespace hmar
