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

v1::EditOptions OfImage(std::string image) {
  v1::EditOptions edit;
  edit.set_image(std::move(image));
  return edit;
}

}  // namespace

v1::EditOptions RegenerateBox(std::string image, const EditBox& box) {
  v1::EditOptions edit = OfImage(std::move(image));
  Set(box, *edit.mutable_box());
  return edit;
}

v1::EditOptions RegenerateMask(std::string image, std::string mask) {
  v1::EditOptions edit = OfImage(std::move(image));
  edit.set_mask(std::move(mask));
  return edit;
}

v1::EditOptions KeepOnlyBox(std::string image, const EditBox& box) {
  v1::EditOptions edit = OfImage(std::move(image));
  Set(box, *edit.mutable_keep_box());
  return edit;
}

v1::EditOptions FillBars(std::string image) {
  v1::EditOptions edit = OfImage(std::move(image));
  edit.set_resize(v1::EditOptions::RESIZE_CONTAIN);
  return edit;
}

}  // namespace hmar
