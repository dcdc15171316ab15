#ifndef HMAR_SERVER_CALLS_IMAGE_ENCODER_H_
#define HMAR_SERVER_CALLS_IMAGE_ENCODER_H_

#include <string>

#include "absl/status/statusor.h"
#include "model/picture.h"
#include "server/wire/request.h"

namespace hmar {

// `picture` as `output` says, 8-bit RGB, with `receipt_json` (empty: none) in its metadata: PNG, in
// a text chunk; JPEG and WebP, in XMP (receipt_xmp.h); RGB8, nowhere. The same picture and options
// give the same bytes: encoders run on this thread alone, by fixed methods.
//
// But for the receipt no picture takes more than MaxPictureBytes (wire/request.h). A JPEG or
// lossy WebP that would, of noise at the highest qualities, is encoded at a lower one that does
// not.
//
// INTERNAL: the encoder refused (an empty or oversized picture, no memory). REQUIRES: rgb has width
// * height * 3 bytes. Thread-safe.
absl::StatusOr<std::string> EncodePicture(const Picture& picture, const OutputChoice& output,
                                          const std::string& receipt_json);

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_IMAGE_ENCODER_H_
