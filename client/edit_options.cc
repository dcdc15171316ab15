#include "client/edit_options.h"

#include <utility>

namespace hmar {
namespace {

void Set(const EditBox& from, v1::EditOptions::Box& to) {
  to.set_x0(from.x0);
  to.set_y0(from.y0);
  to.set_x1(from.x1);
  to.set_y1(from.y1);
}

v1::EditOptions OfImage(std::string image_png) {
  v1::EditOptions edit;
  edit.set_image(std::move(image_png));
  return edit;
}

}  // namespace

v1::EditOptions RegenerateBox(std::string image_png, const EditBox& box) {
  v1::EditOptions edit = OfImage(std::move(image_png));
  Set(box, *edit.mutable_box());
  return edit;
}

v1::EditOptions RegenerateMask(std::string image_png, std::string mask_png) {
  v1::EditOptions edit = OfImage(std::move(image_png));
  edit.set_mask(std::move(mask_png));
  return edit;
}

v1::EditOptions KeepOnlyBox(std::string image_png, const EditBox& box) {
  v1::EditOptions edit = OfImage(std::move(image_png));
  Set(box, *edit.mutable_keep_box());
  return edit;
}

v1::EditOptions FillBars(std::string image_png) {
  v1::EditOptions edit = OfImage(std::move(image_png));
  edit.set_resize(v1::EditOptions::RESIZE_CONTAIN);
  return edit;
}

}  // namespace hmar
