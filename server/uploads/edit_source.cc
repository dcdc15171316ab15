#include "server/uploads/edit_source.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

constexpr char kImage[] = "edit.image";
constexpr char kMask[] = "edit.mask";

Reason ReasonFor(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kResourceExhausted:
      return Reason::kOutOfMemory;
    case absl::StatusCode::kCancelled:
      return Reason::kCancelled;
    default:
      return Reason::kImageInvalid;
  }
}

Violation ViolationOf(const char* field, const absl::Status& error) {
  return {ReasonFor(error.code()), field, absl::StrCat(error.message())};
}

std::string SizeText(const PictureHeader& header) {
  return absl::StrCat(header.width, " x ", header.height, " pixels");
}

// The checks of one upload, which add what they find to a list.
class Checks {
 public:
  Checks(const EditUpload& upload, uint32_t side, const UploadLimits& limits)
      : upload_(upload), side_(side), limits_(limits) {}

  std::vector<Violation> Run() && {
    CheckImage();
    std::visit([this](const auto& region) { CheckRegion(region); }, upload_.region);
    return std::move(violations_);
  }

 private:
  void Add(Reason reason, const char* field, std::string description) {
    violations_.push_back({reason, field, std::move(description)});
  }

  std::optional<PictureHeader> Header(const std::string& file, const char* field) {
    const absl::StatusOr<PictureHeader> header = ReadPictureHeader(file, limits_);
    if (header.ok()) return *header;
    violations_.push_back(ViolationOf(field, header.status()));
    return std::nullopt;
  }

  void CheckImage() {
    if (upload_.image.empty()) {
      Add(Reason::kFieldMissing, kImage, "missing; a PNG, JPEG or WebP of what to edit");
      return;
    }
    image_ = Header(upload_.image, kImage);
    if (!image_.has_value() || upload_.resize != ResizeMode::kNone) return;
    if (image_->width != side_ || image_->height != side_) {
      Add(Reason::kImageSizeMismatch, kImage,
          absl::StrCat(SizeText(*image_), "; without resize it must have the model's ", side_,
                       " x ", side_));
    }
  }

  void CheckRegion(std::monostate) {
    if (upload_.resize == ResizeMode::kContain) return;
    Add(Reason::kFieldMissing, "edit.region",
        "missing; give box, mask or keep_box (only RESIZE_CONTAIN goes without)");
  }

  void CheckRegion(const GenerateBox& region) { CheckBox(region.box, "edit.box"); }
  void CheckRegion(const KeepBox& region) { CheckBox(region.box, "edit.keep_box"); }

  void CheckBox(const PixelBox& box, const char* field) {
    const std::string text =
        absl::StrCat("x ", box.x0, " to ", box.x1, ", y ", box.y0, " to ", box.y1);
    if (box.x0 >= box.x1 || box.y0 >= box.y1) {
      Add(Reason::kFieldOutOfRange, field,
          absl::StrCat(text, " is empty; x0 < x1 and y0 < y1 must hold"));
    } else if (image_.has_value() && (box.x1 > image_->width || box.y1 > image_->height)) {
      Add(Reason::kFieldOutOfRange, field,
          absl::StrCat(text, " is not inside the image of ", SizeText(*image_)));
    }
  }

  void CheckRegion(const GenerateMask& region) {
    const std::optional<PictureHeader> mask = Header(region.file, kMask);
    if (!mask.has_value() || !image_.has_value()) return;
    if (mask->width != image_->width || mask->height != image_->height) {
      Add(Reason::kImageSizeMismatch, kMask,
          absl::StrCat(SizeText(*mask), "; it must have the image's ", image_->width, " x ",
                       image_->height));
    }
  }

  const EditUpload& upload_;
  const uint32_t side_;
  const UploadLimits& limits_;
  std::optional<PictureHeader> image_;  // Once known to be good.
  std::vector<Violation> violations_;
};

// The region in the square. Only a mask can fail. REQUIRES: CheckEditUpload found nothing.
absl::StatusOr<Region> ReadRegion(const UploadRegion& region, const Fit& fit, uint32_t side,
                                  const UploadLimits& limits, CancelCheck cancelled) {
  if (const auto* inside = std::get_if<GenerateBox>(&region)) {
    return BoxRegion(inside->box, fit, side);
  }
  if (const auto* outside = std::get_if<KeepBox>(&region)) {
    return KeepBoxRegion(outside->box, fit, side);
  }
  if (const auto* white = std::get_if<GenerateMask>(&region)) {
    const absl::StatusOr<PictureMask> mask = white->transparent
                                                 ? ReadTransparency(white->file, limits, cancelled)
                                                 : ReadMask(white->file, limits, cancelled);
    if (!mask.ok()) return mask.status();
    return MaskRegion(*mask, fit, side);
  }
  return BarsRegion(fit, side);
}

}  // namespace

std::vector<Violation> CheckEditUpload(const EditUpload& upload, uint32_t side,
                                       const UploadLimits& limits) {
  return Checks(upload, side, limits).Run();
}

std::variant<EditSource, Violation> ReadEditSource(const EditUpload& upload, uint32_t side,
                                                   const UploadLimits& limits,
                                                   CancelCheck cancelled) {
  std::vector<Violation> violations = CheckEditUpload(upload, side, limits);
  if (!violations.empty()) return std::move(violations.front());
  absl::StatusOr<Picture> uploaded = ReadPicture(upload.image, limits, cancelled);
  if (!uploaded.ok()) return ViolationOf(kImage, uploaded.status());
  const Fit fit = FitInto(uploaded->width, uploaded->height, side, upload.resize);
  // Moved, so that the full-size picture is gone before the mask comes.
  absl::StatusOr<Picture> picture = Resize(*std::move(uploaded), fit, side, cancelled);
  if (!picture.ok()) return ViolationOf(kImage, picture.status());
  absl::StatusOr<Region> region = ReadRegion(upload.region, fit, side, limits, cancelled);
  if (!region.ok()) return ViolationOf(kMask, region.status());
  return EditSource{*std::move(picture), *std::move(region)};
}

size_t DecodedBytes(const EditUpload& upload, const UploadLimits& limits) {
  const absl::StatusOr<PictureHeader> image = ReadPictureHeader(upload.image, limits);
  if (!image.ok()) return 0;
  const auto* region = std::get_if<GenerateMask>(&upload.region);
  if (region == nullptr) return image->picture_bytes;
  const absl::StatusOr<PictureHeader> mask = ReadPictureHeader(region->file, limits);
  return mask.ok() ? std::max(image->picture_bytes, mask->mask_bytes) : 0;
}

size_t EncodedBytes(const EditUpload& upload) {
  const auto* mask = std::get_if<GenerateMask>(&upload.region);
  return upload.image.size() + (mask == nullptr ? 0 : mask->file.size());
}

}  // namespace hmar
