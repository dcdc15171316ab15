#ifndef HMAR_SERVER_UPLOADS_PICTURE_READER_H_
#define HMAR_SERVER_UPLOADS_PICTURE_READER_H_

// Uploaded pictures to plain pixels: PNG, JPEG and WebP, told apart by their first bytes. What a
// client sent is not trusted: size and kind are held against the limits before anything is decoded,
// and what that will take is known then, too.
//
// All errors are INVALID_ARGUMENT and say what is wrong, with the value and the limit, but not
// which field of the request it was; RESOURCE_EXHAUSTED where there is no memory for the pixels;
// CANCELLED where a check said so. All functions are thread-safe. They throw nothing.

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/picture.h"
#include "server/uploads/cancel_check.h"
#include "server/uploads/picture_mask.h"
#include "server/uploads/upload_limits.h"

namespace hmar {

enum class FileFormat { kPng, kJpeg, kWebp };

// What is known of a picture before it is decoded.
struct PictureHeader {
  FileFormat format = FileFormat::kPng;
  uint32_t width = 0;   // Pixels when upright, 1 .. max_side_pixels.
  uint32_t height = 0;  // Likewise.
  // What ReadPicture and ReadMask hold at most, in bytes, but for a few rows: 3 a pixel, or 1 of a
  // mask, and what the decoder keeps of the whole picture.
  size_t picture_bytes = 0;
  size_t mask_bytes = 0;
};

// Reads what comes before the pixels: no decoding, no allocation, linear in the number of chunks or
// segments.
absl::StatusOr<PictureHeader> ReadPictureHeader(absl::string_view file, const UploadLimits& limits);

// The whole picture as 8-bit RGB, upright: a JPEG or WebP is turned as its EXIF orientation says; a
// PNG has none that is looked at. Alpha and transparent colours are composited over white. Samples
// are taken as they are, without any gamma or colour profile, so an opaque 8-bit RGB picture of a
// lossless format comes back byte for byte. A file must be whole; what follows its end is ignored.
// `cancelled` is asked before each row, and otherwise as often as the decoder allows.
absl::StatusOr<Picture> ReadPicture(absl::string_view file, const UploadLimits& limits,
                                    CancelCheck cancelled = NeverCancelled);

// The same files as a mask: a pixel is white from 128 on of 255. Of grey the value itself counts
// (scaled to 8 bits), of colour 0.299 R + 0.587 G + 0.114 B, rounded to nearest; alpha and
// transparent colours are ignored.
absl::StatusOr<PictureMask> ReadMask(absl::string_view file, const UploadLimits& limits,
                                     CancelCheck cancelled = NeverCancelled);

// The pixels that are wholly transparent, as if they were white: what OpenAI's masks say. A PNG
// with an alpha channel or a transparent colour; no other file has transparency for us.
absl::StatusOr<PictureMask> ReadTransparency(absl::string_view file, const UploadLimits& limits,
                                             CancelCheck cancelled = NeverCancelled);

}  // namespace hmar

#endif  // HMAR_SERVER_UPLOADS_PICTURE_READER_H_
