#include "client/png_file.h"

#include <png.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <vector>

#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

constexpr uint32_t kMaxSidePixels = 16384;

// libpng's state for one picture, freed on every path.
struct PngImage {
  PngImage() { image.version = PNG_IMAGE_VERSION; }
  ~PngImage() { png_image_free(&image); }
  PngImage(const PngImage&) = delete;
  PngImage& operator=(const PngImage&) = delete;

  png_image image = {};
};

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes;
  std::vector<char> chunk(1 << 16);
  do {
    file.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    bytes.append(chunk.data(), file.gcount());
  } while (file);
  if (file.is_open() && !file.bad()) return bytes;
  return absl::NotFoundError(absl::StrCat("cannot read '", path, "'"));
}

absl::Status WriteFile(const std::string& path, absl::string_view bytes) {
  errno = 0;
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (file) return absl::OkStatus();
  return absl::UnknownError(absl::StrCat("cannot write '", path, "': ", std::strerror(errno)));
}

absl::StatusOr<Picture> DecodePng(absl::string_view png, const std::string& source) {
  PngImage reader;
  png_image& image = reader.image;
  if (!png_image_begin_read_from_memory(&image, png.data(), png.size())) {
    return absl::InvalidArgumentError(absl::StrCat(source, ": not a PNG: ", image.message));
  }
  if (image.width > kMaxSidePixels || image.height > kMaxSidePixels) {
    return absl::InvalidArgumentError(absl::StrCat(source, ": ", image.width, " x ", image.height,
                                                   " pixels; at most ", kMaxSidePixels, " a side"));
  }
  image.format = PNG_FORMAT_RGB;
  Picture picture{image.width, image.height, {}};
  picture.rgb.resize(PNG_IMAGE_SIZE(image));
  const png_color black = {0, 0, 0};
  if (!png_image_finish_read(&image, &black, picture.rgb.data(), 0, nullptr)) {
    return absl::InvalidArgumentError(absl::StrCat(source, ": damaged PNG: ", image.message));
  }
  return picture;
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
