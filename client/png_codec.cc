#include "client/png_codec.h"

#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/picture_header.h"
#include "model/status_macros.h"

namespace hmar {
namespace {

// What libpng's callbacks work on. libpng reports errors by longjmp, which runs no destructors: so
// this lives outside the frame that may jump, and nothing that a callback makes has one.
struct Decoding {
  Picture* picture = nullptr;
  std::optional<uint8_t> background;  // Under transparency; none: it is ignored.
  bool interlaced = false;
  int channels = 0;          // Of a decoded row: 3, or 4 with alpha.
  uint64_t pixels_left = 0;  // Not decoded yet.
  bool ended = false;        // The end chunk was there.
  char error[128] = "";
};

Decoding& DecodingOf(png_structp png) {
  return *static_cast<Decoding*>(png_get_progressive_ptr(png));
}

[[noreturn]] void OnError(png_structp png, png_const_charp message) {
  auto* decoding = static_cast<Decoding*>(png_get_error_ptr(png));
  std::snprintf(decoding->error, sizeof(decoding->error), "%s", message);
  png_longjmp(png, 1);
}

void OnWarning(png_structp, png_const_charp) {}

// All is known but the pixels: they are to become 8-bit RGB or RGBA.
void OnInfo(png_structp png, png_infop info) {
  Decoding& decoding = DecodingOf(png);
  png_set_expand(png);
  png_set_scale_16(png);
  png_set_gray_to_rgb(png);
  if (!decoding.background) png_set_strip_alpha(png);
  png_read_update_info(png, info);
  decoding.interlaced = png_get_interlace_type(png, info) != PNG_INTERLACE_NONE;
  decoding.channels = png_get_channels(png, info);
}

uint8_t Over(uint8_t background, uint8_t sample, uint8_t alpha) {
  return static_cast<uint8_t>((sample * alpha + background * (255 - alpha) + 127) / 255);
}

void PutPixel(const uint8_t* from, const Decoding& decoding, uint8_t* rgb) {
  const uint8_t alpha = decoding.channels == 4 ? from[3] : 255;
  for (int c = 0; c < 3; ++c) rgb[c] = Over(decoding.background.value_or(0), from[c], alpha);
}

// A row of the picture, or, with every 2nd to 8th of its pixels, of one pass of an interlaced one.
void OnRow(png_structp png, png_bytep row, png_uint_32 y, int pass) {
  Decoding& decoding = DecodingOf(png);
  Picture& picture = *decoding.picture;
  uint32_t x = 0;
  uint32_t step = 1;
  uint32_t count = picture.width;
  if (decoding.interlaced) {
    y = PNG_ROW_FROM_PASS_ROW(y, pass);
    x = PNG_PASS_START_COL(pass);
    step = 1U << PNG_PASS_COL_SHIFT(pass);
    count = PNG_PASS_COLS(picture.width, pass);
  }
  if (row == nullptr || y >= picture.height || decoding.pixels_left < count) return;
  uint8_t* rgb = picture.rgb.data() + (size_t{y} * picture.width + x) * 3;
  if (decoding.channels == 3 && step == 1) {
    std::copy_n(row, size_t{3} * count, rgb);
    decoding.pixels_left -= count;
    return;
  }
  for (uint32_t i = 0; i < count; ++i, row += decoding.channels, rgb += size_t{step} * 3) {
    PutPixel(row, decoding, rgb);
  }
  decoding.pixels_left -= count;
}

void OnEnd(png_structp png, png_infop) { DecodingOf(png).ended = true; }

// All that may jump. Its locals are plain, and none changes after setjmp. The progressive reader,
// since the other one inflates the data to its end, however far that is behind the last row.
bool Decode(png_structp png, png_infop info, absl::string_view bytes, Decoding& decoding) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_user_limits(png, decoding.picture->width, decoding.picture->height);
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);  // Nor text or profiles.
  png_set_progressive_read_fn(png, &decoding, OnInfo, OnRow, OnEnd);
  // libpng does not write to them.
  auto* data = reinterpret_cast<png_bytep>(const_cast<char*>(bytes.data()));
  png_process_data(png, info, data, bytes.size());
  return true;
}

}  // namespace

absl::StatusOr<Picture> DecodePngRgb(absl::string_view bytes, const std::string& source,
                                     std::optional<uint8_t> background) {
  const std::optional<PictureSize> size = ReadPictureSize(bytes);
  if (!size || size->kind != PictureKind::kPng) {
    return absl::InvalidArgumentError(absl::StrCat(source, ": not a PNG"));
  }
  HMAR_RETURN_IF_ERROR(CheckPictureSize(*size, source));
  const uint64_t pixels = uint64_t{size->width} * size->height;
  Picture picture{size->width, size->height, std::vector<uint8_t>(3 * pixels)};
  Decoding decoding{.picture = &picture, .background = background, .pixels_left = pixels};
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &decoding, OnError, OnWarning);
  png_infop info = png == nullptr ? nullptr : png_create_info_struct(png);
  const bool decoded = info != nullptr && Decode(png, info, bytes, decoding);
  png_destroy_read_struct(&png, &info, nullptr);
  if (!decoded) {
    return absl::InvalidArgumentError(
        absl::StrCat(source, ": damaged PNG: ", std::string(decoding.error)));
  }
  if (decoding.pixels_left == 0 && decoding.ended) return picture;
  return absl::InvalidArgumentError(
      absl::StrCat(source, ": damaged PNG: it ends early, ", decoding.pixels_left, " pixels and ",
                   decoding.ended ? "no" : "its", " end chunk are missing"));
}

absl::StatusOr<Picture> DecodePng(absl::string_view png, const std::string& source,
                                  uint8_t background) {
  return DecodePngRgb(png, source, background);
}

absl::StatusOr<std::string> EncodePng(const Picture& picture) {
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  image.width = picture.width;
  image.height = picture.height;
  image.format = PNG_FORMAT_RGB;
  png_alloc_size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::string png(bytes, '\0');
  if (!png_image_write_to_memory(&image, png.data(), &bytes, 0, picture.rgb.data(), 0, nullptr)) {
    const std::string message = image.message;
    png_image_free(&image);
    return absl::InternalError(absl::StrCat("cannot encode a PNG: ", message));
  }
  png.resize(bytes);
  return png;
}

}  // namespace hmar
