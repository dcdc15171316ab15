#ifndef HMAR_CLIENT_EDIT_SHEET_H_
#define HMAR_CLIENT_EDIT_SHEET_H_

// What `hmar edit` shows beside the answers: the upload, and where it was to be edited. The pixels
// that the server resized an upload to stay on the server, so this draws its own, good to look at
// and no more.

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "hmar/v1/image_generation.pb.h"
#include "model/picture.h"

namespace hmar {

// An upload at the size of the pictures made of it.
struct FittedUpload {
  Picture source;
  std::vector<uint8_t> region;  // height * width, row by row: 1 where the request asks to generate.
};

// Decodes an edit's image and mask and scales them, by averages, to width x height as edit.resize
// says: covering, with bars of the contact sheet's grey, or (no resize) to the very size. A pixel
// is in the region if any pixel of the upload that it covers is; bars always are. INVALID_ARGUMENT:
// the image or the mask is no PNG, or they differ in size. REQUIRES: width and height > 0.
absl::StatusOr<FittedUpload> FitUpload(const v1::EditOptions& edit, uint32_t width,
                                       uint32_t height);

// The source with the region in a strong tint; in a faint one what lies outside the region but in a
// token that was generated for it (`generated_tokens`, the last scale's grid: Image's field, which
// may be empty). DATA_LOSS: they make no square grid.
absl::StatusOr<Picture> MarkRegion(const FittedUpload& upload,
                                   const google::protobuf::RepeatedField<bool>& generated_tokens);

}  // namespace hmar

#endif  // HMAR_CLIENT_EDIT_SHEET_H_
