#ifndef HMAR_CLIENT_EDIT_OPTIONS_H_
#define HMAR_CLIENT_EDIT_OPTIONS_H_

// The usual edits as GenerateRequest.edit wants them. Pictures and masks are files (PNG, JPEG,
// WebP) and travel byte for byte. What is finer (feather, composite) is set on the result:
//
//   v1::GenerateRequest request;
//   *request.mutable_edit() = RegenerateBox(file, {.x0 = 8, .y0 = 8, .x1 = 24, .y1 = 24});
//   request.mutable_edit()->set_feather(2);
//   request.set_class_name("cat");  // A class edit; without a class the hole is filled to match.

#include <cstdint>
#include <string>

#include "hmar/v1/image_generation.pb.h"

namespace hmar {

// Pixels of the uploaded picture, upright and before any resize; half open: x0 <= x < x1, y0 <= y <
// y1.
struct EditBox {
  uint32_t x0 = 0;
  uint32_t y0 = 0;
  uint32_t x1 = 0;
  uint32_t y1 = 0;

  friend bool operator==(const EditBox&, const EditBox&) = default;
};

// Inpainting: what is inside the box is made anew.
v1::EditOptions RegenerateBox(std::string image, const EditBox& box);

// Inpainting: what is white in the mask, a picture of the image's size, is made anew.
v1::EditOptions RegenerateMask(std::string image, std::string mask);

// Outpainting: all but the box is made anew.
v1::EditOptions KeepOnlyBox(std::string image, const EditBox& box);

// Outpainting: the whole picture, scaled to fit the model's square; the bars beside it are made.
v1::EditOptions FillBars(std::string image);

}  // namespace hmar

#endif  // HMAR_CLIENT_EDIT_OPTIONS_H_
