#include "server/wire/edit_validation.h"

#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

PixelBox ToBox(const v1::EditOptions::Box& box) { return {box.x0(), box.y0(), box.x1(), box.y1()}; }

UploadRegion ToRegion(const v1::EditOptions& given) {
  switch (given.region_case()) {
    case v1::EditOptions::kBox:
      return GenerateBox{ToBox(given.box())};
    case v1::EditOptions::kKeepBox:
      return KeepBox{ToBox(given.keep_box())};
    case v1::EditOptions::kMask:
      return GenerateMask{given.mask()};
    case v1::EditOptions::REGION_NOT_SET:
      break;
  }
  return std::monostate();
}

std::optional<ResizeMode> ToResizeMode(v1::EditOptions::Resize resize) {
  switch (resize) {
    case v1::EditOptions::RESIZE_UNSPECIFIED:
      return ResizeMode::kNone;
    case v1::EditOptions::RESIZE_COVER:
      return ResizeMode::kCover;
    case v1::EditOptions::RESIZE_CONTAIN:
      return ResizeMode::kContain;
    default:
      return std::nullopt;
  }
}

}  // namespace

EditChoice ResolveEdit(const v1::EditOptions& given, const ModelConfig& config,
                       const UploadLimits& limits, Violations* violations) {
  EditChoice choice;
  choice.composite = !given.has_composite() || given.composite();
  choice.feather = given.feather();
  const auto side = static_cast<uint32_t>(config.image_size);
  if (given.feather() > side) {
    violations->Add(
        Reason::kFieldOutOfRange, "edit.feather",
        absl::StrCat(given.feather(), " pixels; at most ", side, ", the model's image size"));
  }
  const std::optional<ResizeMode> resize = ToResizeMode(given.resize());
  if (!resize.has_value()) {
    violations->AddUnknownEnum("edit.resize", given.resize());
    return choice;
  }
  choice.upload = {given.image(), ToRegion(given), *resize};
  for (const Violation& violation : CheckEditUpload(choice.upload, side, limits)) {
    violations->Add(violation.reason, violation.field, violation.description);
  }
  return choice;
}

}  // namespace hmar
