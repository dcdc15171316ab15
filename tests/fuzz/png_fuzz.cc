// Any bytes as an upload: the PNG reader answers with a whole picture or with an error, the same
// each time.

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "server/uploads/png_reader.h"
#include "tests/fuzz/require.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using hmar::Require;
  const absl::string_view png(reinterpret_cast<const char*>(data), size);
  const hmar::UploadLimits limits{1 << 16, 1 << 14, 1 << 12};
  const auto header = hmar::ReadPngHeader(png, limits);
  const auto picture = hmar::ReadPng(png, limits);
  const auto mask = hmar::ReadPngMask(png, limits);
  Require(picture.status() == mask.status(), "picture and mask are read or refused together");
  if (!header.ok()) Require(header.status() == picture.status(), "the header's error is the first");
  if (!picture.ok()) {
    Require(picture.status().code() == absl::StatusCode::kInvalidArgument,
            "what is refused is the client's fault");
    Require(!picture.status().message().empty(), "a refusal has its reason");
    return 0;
  }
  Require(header.ok(), "a picture has a header");
  const size_t pixels = size_t{header->width} * header->height;
  Require(pixels > 0 && pixels <= limits.max_pixels, "the limit holds");
  Require(picture->width == header->width && picture->height == header->height,
          "the picture has the header's size");
  Require(mask->width == header->width && mask->height == header->height,
          "the mask has the header's size");
  Require(picture->rgb.size() == 3 * pixels && mask->white.size() == pixels, "no pixel is missing");
  for (const uint8_t white : mask->white) Require(white <= 1, "a mask is 0 or 1");
  const auto again = hmar::ReadPng(png, limits);
  Require(again.ok() && again->rgb == picture->rgb, "the same bytes are the same picture");
  return 0;
}
