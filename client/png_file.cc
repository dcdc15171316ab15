#include "client/png_file.h"

#include <png.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model/status_macros.h"

namespace hmar {
namespace {

constexpr uint32_t kMaxSidePixels = 32768;
constexpr uint64_t kMaxPixels = uint64_t{1} << 28;

// libpng's state for one picture, freed on every path.
struct PngImage {
  PngImage() { image.version = PNG_IMAGE_VERSION; }
  ~PngImage() { png_image_free(&image); }
  PngImage(const PngImage&) = delete;
  PngImage& operator=(const PngImage&) = delete;

  png_image image = {};
};

// Header and limits.
absl::Status BeginRead(absl::string_view png, const std::string& source, png_image& image) {
  if (!png_image_begin_read_from_memory(&image, png.data(), png.size())) {
    return absl::InvalidArgumentError(absl::StrCat(source, ": not a PNG: ", image.message));
  }
  const bool fits = image.width <= kMaxSidePixels && image.height <= kMaxSidePixels &&
                    uint64_t{image.width} * image.height <= kMaxPixels;
  if (fits) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(source, ": ", image.width, " x ", image.height,
                                                 " pixels; at most ", kMaxSidePixels,
                                                 " a side and ", kMaxPixels, " in all"));
}

absl::StatusOr<std::vector<uint8_t>> FinishRead(const std::string& source, uint32_t format,
                                                const png_color* background, png_image& image) {
  image.format = format;
  std::vector<uint8_t> pixels(PNG_IMAGE_SIZE(image));
  if (png_image_finish_read(&image, background, pixels.data(), 0, nullptr)) return pixels;
  return absl::InvalidArgumentError(absl::StrCat(source, ": damaged PNG: ", image.message));
}

absl::Status TooLarge(const std::string& path, const std::string& bytes, uint64_t max_bytes) {
  return absl::InvalidArgumentError(
      absl::StrCat("'", path, "' has ", bytes, " bytes; at most ", max_bytes));
}

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path, uint64_t max_bytes) {
  std::error_code no_size;  // Of what is no plain file: a pipe, say.
  const uint64_t size = std::filesystem::file_size(path, no_size);
  if (!no_size && size > max_bytes) return TooLarge(path, absl::StrCat(size), max_bytes);
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string bytes;
  std::vector<char> chunk(1 << 16);
  do {
    file.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    bytes.append(chunk.data(), file.gcount());
    if (bytes.size() > max_bytes)
      return TooLarge(path, absl::StrCat("more than ", max_bytes), max_bytes);
  } while (file);
  if (file.is_open() && !file.bad()) return bytes;
  return absl::NotFoundError(absl::StrCat("cannot read '", path, "': ", std::strerror(errno)));
}

absl::Status WriteFile(const std::string& path, absl::string_view bytes) {
  errno = 0;
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (file) return absl::OkStatus();
  return absl::UnknownError(absl::StrCat("cannot write '", path, "': ", std::strerror(errno)));
}

absl::StatusOr<Picture> DecodePng(absl::string_view png, const std::string& source,
                                  uint8_t background) {
  PngImage reader;
  HMAR_RETURN_IF_ERROR(BeginRead(png, source, reader.image));
  Picture picture{reader.image.width, reader.image.height, {}};
  const png_color grey = {background, background, background};
  HMAR_ASSIGN_OR_RETURN(picture.rgb, FinishRead(source, PNG_FORMAT_RGB, &grey, reader.image));
  return picture;
}

absl::StatusOr<MaskPixels> DecodePngMask(absl::string_view png, const std::string& source) {
  PngImage reader;
  HMAR_RETURN_IF_ERROR(BeginRead(png, source, reader.image));
  MaskPixels mask{reader.image.width, reader.image.height, {}};
  // Not libpng's own grey: that is weighted in linear light, the server's is of the bytes.
  HMAR_ASSIGN_OR_RETURN(const std::vector<uint8_t> rgba,
                        FinishRead(source, PNG_FORMAT_RGBA, nullptr, reader.image));
  mask.white.reserve(rgba.size() / 4);
  for (size_t i = 0; i < rgba.size(); i += 4) {
    const uint32_t luma = (299 * rgba[i] + 587 * rgba[i + 1] + 114 * rgba[i + 2] + 500) / 1000;
    mask.white.push_back(luma >= 128 ? 1 : 0);
  }
  return mask;
}

absl::StatusOr<std::string> EncodePng(const Picture& picture) {
  PngImage writer;
  png_image& image = writer.image;
  image.width = picture.width;
  image.height = picture.height;
  image.format = PNG_FORMAT_RGB;
  png_alloc_size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::string png(bytes, '\0');
  if (!png_image_write_to_memory(&image, png.data(), &bytes, 0, picture.rgb.data(), 0, nullptr)) {
    return absl::InternalError(absl::StrCat("cannot encode a PNG: ", image.message));
  }
  png.resize(bytes);
  return png;
}

}  // namespace hmar
