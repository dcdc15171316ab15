#include "client/picture_codec.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "client/jpeg_codec.h"
#include "client/picture_header.h"
#include "client/png_codec.h"
#include "client/webp_codec.h"
#include "model/status_macros.h"

namespace hmar {
namespace {

absl::StatusOr<Picture> DecodeAny(absl::string_view file, const std::string& source,
                                  std::optional<uint8_t> background) {
  const std::optional<PictureSize> size = ReadPictureSize(file);
  if (!size) return absl::InvalidArgumentError(absl::StrCat(source, ": not a PNG, JPEG or WebP"));
  switch (size->kind) {
    case PictureKind::kJpeg:
      return DecodeJpeg(file, source);
    case PictureKind::kWebp:
      return DecodeWebp(file, source, background);
    case PictureKind::kPng:
      break;
  }
  return DecodePngRgb(file, source, background);
}

}  // namespace

absl::StatusOr<Picture> DecodePicture(absl::string_view file, const std::string& source,
                                      uint8_t background) {
  return DecodeAny(file, source, background);
}

absl::StatusOr<MaskPixels> DecodeMask(absl::string_view file, const std::string& source) {
  HMAR_ASSIGN_OR_RETURN(const Picture picture, DecodeAny(file, source, std::nullopt));
  MaskPixels mask{picture.width, picture.height, {}};
  mask.white.reserve(picture.rgb.size() / 3);
  for (size_t i = 0; i < picture.rgb.size(); i += 3) {
    const uint8_t* rgb = &picture.rgb[i];
    const uint32_t luma = (299U * rgb[0] + 587U * rgb[1] + 114U * rgb[2] + 500U) / 1000U;
    mask.white.push_back(luma >= 128 ? 1 : 0);
  }
  return mask;
}

}  // namespace hmar
