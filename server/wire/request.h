#ifndef HMAR_SERVER_WIRE_REQUEST_H_
#define HMAR_SERVER_WIRE_REQUEST_H_

// A request after validation: everything resolved, nothing left to check, no proto.

#include <cstdint>
#include <optional>
#include <string>

#include "server/scheduling/work.h"
#include "server/uploads/edit_source.h"

namespace hmar {

enum class PictureFormat { kPng, kRgb8, kJpeg, kWebp };

struct OutputChoice {
  PictureFormat format = PictureFormat::kPng;
  int png_compression = 0;  // 0 .. 9
  int quality = 0;          // 1 .. 100 of what is lossy; 0 of what is not.
  bool lossless = false;    // Of a WebP.
  bool return_tokens = false;
  bool receipt_in_png = false;  // As it was asked for: embed_receipt by its older name.
  bool embed_receipt = false;   // Of either, not for kRgb8.

  bool embeds_receipt() const { return embed_receipt || receipt_in_png; }

  // Whether pixels do not come back as they were.
  bool lossy() const {
    return format == PictureFormat::kJpeg || (format == PictureFormat::kWebp && !lossless);
  }
};

// The most bytes that a picture takes encoded, in any format and whatever it shows, but for its
// receipt: what it has unpacked, and what a format needs around that. Encoders keep to it.
constexpr size_t MaxPictureBytes(uint32_t width, uint32_t height) {
  constexpr size_t kContainerBytes = 4096;
  const size_t rgb_bytes = size_t{3} * width * height;
  return rgb_bytes + rgb_bytes / 32 + height + kContainerBytes;
}

// An edit, as far as its call's thread can tell.
struct EditChoice {
  EditUpload upload;
  bool composite = true;
  uint32_t feather = 0;  // Pixels of the model's image; at most its side.
};

// What a receipt says of an edit's upload, whose bytes are long gone when the receipt is written:
// enough to know the files by, and to edit them so again.
struct UploadRecord {
  std::string image_sha256;  // Lower-case hex, of the file's bytes.
  std::string mask_sha256;   // Empty without a mask.
  UploadRegion region;       // A mask without its bytes.
  ResizeMode resize = ResizeMode::kNone;
};

struct ResolvedRequest {
  std::string id;  // At most 128 bytes of printable UTF-8; the client's or one of ours.
  Job job;         // Its keep maps are known once an edit's upload has been read.
  OutputChoice output;
  std::optional<EditChoice> edit;
  bool validate_only = false;
  std::string field_prefix;  // Of what is found wrong later.
};

}  // namespace hmar

#endif  // HMAR_SERVER_WIRE_REQUEST_H_
