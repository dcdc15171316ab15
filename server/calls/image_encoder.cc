#include "server/calls/image_encoder.h"

#include "server/calls/jpeg_encoder.h"
#include "server/calls/png_encoder.h"
#include "server/calls/webp_encoder.h"

namespace hmar {

absl::StatusOr<std::string> EncodePicture(const Picture& picture, const OutputChoice& output,
                                          const std::string& receipt_json) {
  switch (output.format) {
    case PictureFormat::kRgb8:
      return std::string(picture.rgb.begin(), picture.rgb.end());
    case PictureFormat::kJpeg:
      return EncodeJpeg(picture, output.quality, receipt_json);
    case PictureFormat::kWebp:
      return EncodeWebp(picture, output.lossless, output.quality, receipt_json);
    case PictureFormat::kPng:
      break;
  }
  return EncodePng(picture, output.png_compression, receipt_json);
}

}  // namespace hmar
