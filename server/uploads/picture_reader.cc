#include "server/uploads/picture_reader.h"

#include <new>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "model/status_macros.h"
#include "server/uploads/jpeg_reader.h"
#include "server/uploads/png_reader.h"
#include "server/uploads/row_sink.h"
#include "server/uploads/webp_reader.h"

namespace hmar {
namespace {

constexpr size_t kPictureBytes = 3;  // A pixel.

// A file's own header, and what it means to who knows no formats.
struct Opened {
  std::variant<PngHeader, JpegHeader, WebpHeader> header;
  PictureHeader picture;
};

PictureHeader Stored(FileFormat format, uint32_t width, uint32_t height, Orientation orientation) {
  if (SwapsSides(orientation)) std::swap(width, height);
  const size_t pixels = size_t{width} * height;
  return {format, width, height, kPictureBytes * pixels, pixels};
}

absl::StatusOr<Opened> OpenPng(absl::string_view file, const UploadLimits& limits) {
  HMAR_ASSIGN_OR_RETURN(const PngHeader png, ReadPngHeader(file, limits));
  return Opened{png, Stored(FileFormat::kPng, png.width, png.height, Orientation::kUpright)};
}

absl::StatusOr<Opened> OpenJpeg(absl::string_view file, const UploadLimits& limits) {
  HMAR_ASSIGN_OR_RETURN(const JpegHeader jpeg, ReadJpegHeader(file, limits));
  Opened opened{jpeg, Stored(FileFormat::kJpeg, jpeg.width, jpeg.height, jpeg.orientation)};
  opened.picture.picture_bytes += jpeg.coefficient_bytes;
  opened.picture.mask_bytes += jpeg.coefficient_bytes;
  return opened;
}

absl::StatusOr<Opened> OpenWebp(absl::string_view file, const UploadLimits& limits) {
  HMAR_ASSIGN_OR_RETURN(const WebpHeader webp, ReadWebpHeader(file, limits));
  Opened opened{webp, Stored(FileFormat::kWebp, webp.width, webp.height, webp.orientation)};
  opened.picture.picture_bytes += WebpBytes(webp, /*sink_takes_all=*/true, /*wants_alpha=*/true);
  opened.picture.mask_bytes += WebpBytes(webp, /*sink_takes_all=*/false, /*wants_alpha=*/false);
  return opened;
}

absl::StatusOr<Opened> Open(absl::string_view file, const UploadLimits& limits) {
  HMAR_RETURN_IF_ERROR(CheckUploadBytes(file, limits));
  if (absl::StartsWith(file, "\x89PNG")) return OpenPng(file, limits);
  if (absl::StartsWith(file, "\xFF\xD8\xFF")) return OpenJpeg(file, limits);
  if (BeginsAsWebp(file)) return OpenWebp(file, limits);
  return absl::InvalidArgumentError(
      absl::StrCat("not a PNG, JPEG or WebP: ", file.size(), " bytes that begin as none of these"));
}

absl::Status ReadRows(absl::string_view file, const Opened& opened, CancelCheck cancelled,
                      RowSink* sink) {
  if (const auto* png = std::get_if<PngHeader>(&opened.header)) {
    return ReadPngRows(file, *png, cancelled, sink);
  }
  if (const auto* jpeg = std::get_if<JpegHeader>(&opened.header)) {
    return ReadJpegRows(file, *jpeg, cancelled, sink);
  }
  return ReadWebpRows(std::get<WebpHeader>(opened.header), cancelled, sink);
}

absl::Status NoMemory(const PictureHeader& header) {
  return absl::ResourceExhaustedError(
      absl::StrCat("no memory for ", header.width, " x ", header.height, " pixels"));
}

}  // namespace

absl::StatusOr<PictureHeader> ReadPictureHeader(absl::string_view file,
                                                const UploadLimits& limits) {
  HMAR_ASSIGN_OR_RETURN(const Opened opened, Open(file, limits));
  return opened.picture;
}

absl::StatusOr<Picture> ReadPicture(absl::string_view file, const UploadLimits& limits,
                                    CancelCheck cancelled) {
  HMAR_ASSIGN_OR_RETURN(const Opened opened, Open(file, limits));
  const auto& [width, height] = std::pair(opened.picture.width, opened.picture.height);
  try {
    Picture picture{width, height, std::vector<uint8_t>(size_t{width} * height * kPictureBytes)};
    PictureSink sink(&picture);
    HMAR_RETURN_IF_ERROR(ReadRows(file, opened, cancelled, &sink));
    return picture;
  } catch (const std::bad_alloc&) {
    return NoMemory(opened.picture);
  }
}

absl::StatusOr<PictureMask> ReadMask(absl::string_view file, const UploadLimits& limits,
                                     CancelCheck cancelled) {
  HMAR_ASSIGN_OR_RETURN(const Opened opened, Open(file, limits));
  const auto& [width, height] = std::pair(opened.picture.width, opened.picture.height);
  try {
    PictureMask mask{width, height, std::vector<uint8_t>(size_t{width} * height)};
    MaskSink sink(&mask);
    HMAR_RETURN_IF_ERROR(ReadRows(file, opened, cancelled, &sink));
    return mask;
  } catch (const std::bad_alloc&) {
    return NoMemory(opened.picture);
  }
}

absl::StatusOr<PictureMask> ReadTransparency(absl::string_view file, const UploadLimits& limits,
                                             CancelCheck cancelled) {
  HMAR_ASSIGN_OR_RETURN(const Opened opened, Open(file, limits));
  if (opened.picture.format != FileFormat::kPng) {
    return absl::InvalidArgumentError("not a PNG, which a mask of what is transparent must be");
  }
  const auto& [width, height] = std::pair(opened.picture.width, opened.picture.height);
  try {
    PictureMask mask{width, height, std::vector<uint8_t>(size_t{width} * height)};
    TransparencySink sink(&mask);
    HMAR_RETURN_IF_ERROR(ReadRows(file, opened, cancelled, &sink));
    if (sink.has_alpha()) return mask;
    return absl::InvalidArgumentError(
        "the PNG has no transparency, which is what its mask is made of");
  } catch (const std::bad_alloc&) {
    return NoMemory(opened.picture);
  }
}

}  // namespace hmar
