#include "tests/fuzz/picture_fuzz.h"

#include <cstddef>
#include <cstdint>

#include "server/uploads/picture_reader.h"
#include "tests/fuzz/require.h"

namespace hmar {

void RequirePictureOrError(absl::string_view file) {
  const UploadLimits limits{1 << 16, 1 << 14, 1 << 12};
  const auto header = ReadPictureHeader(file, limits);
  const auto picture = ReadPicture(file, limits);
  const auto mask = ReadMask(file, limits);
  Require(picture.status() == mask.status(), "picture and mask are read or refused together");
  if (!header.ok()) Require(header.status() == picture.status(), "the header's error is the first");
  if (!picture.ok()) {
    Require(picture.status().code() == absl::StatusCode::kInvalidArgument,
            "what is refused is the client's fault");
    Require(!picture.status().message().empty(), "a refusal has its reason");
    return;
  }
  Require(header.ok(), "a picture has a header");
  const size_t pixels = size_t{header->width} * header->height;
  Require(pixels > 0 && pixels <= limits.max_pixels, "the limit holds");
  Require(header->picture_bytes >= 3 * pixels && header->mask_bytes >= pixels,
          "the pixels are counted");
  Require(picture->width == header->width && picture->height == header->height,
          "the picture has the header's size");
  Require(mask->width == header->width && mask->height == header->height,
          "the mask has the header's size");
  Require(picture->rgb.size() == 3 * pixels && mask->white.size() == pixels, "no pixel is missing");
  for (const uint8_t white : mask->white) Require(white <= 1, "a mask is 0 or 1");
  const auto again = ReadPicture(file, limits);
  Require(again.ok() && again->rgb == picture->rgb, "the same bytes are the same picture");
}

}  // namespace hmar
