#include "client/edit_sheet.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "client/contact_sheet.h"
#include "client/picture_codec.h"
#include "model/status_macros.h"

namespace hmar {
namespace {

constexpr std::array<uint32_t, 3> kTint = {255, 0, 200};  // Rare in photographs.
constexpr uint32_t kRegionTintPercent = 60;
constexpr uint32_t kTokenTintPercent = 25;

struct Rectangle {
  uint64_t left = 0;
  uint64_t top = 0;
  uint64_t width = 0;
  uint64_t height = 0;

  bool Contains(uint64_t x, uint64_t y) const {
    return x >= left && x - left < width && y >= top && y - top < height;
  }
};

// The largest size of the proportions width : height that fits into the space, in its middle.
Rectangle LargestInside(const Rectangle& space, uint64_t width, uint64_t height) {
  const bool full_height = width * space.height <= height * space.width;
  const auto in_proportion = [](uint64_t side, uint64_t part, uint64_t whole) {
    return std::max<uint64_t>((side * part + whole / 2) / whole, 1);
  };
  Rectangle inside = space;
  if (full_height) {
    inside.width = in_proportion(space.height, width, height);
  } else {
    inside.height = in_proportion(space.width, height, width);
  }
  inside.left += (space.width - inside.width) / 2;
  inside.top += (space.height - inside.height) / 2;
  return inside;
}

// Where the request asks to generate, in the upload's pixels.
class UploadRegion {
 public:
  static absl::StatusOr<UploadRegion> Make(const v1::EditOptions& edit, const Picture& image) {
    UploadRegion region;
    if (edit.has_box()) region.box_ = edit.box();
    if (edit.has_keep_box()) region.keep_box_ = edit.keep_box();
    if (!edit.has_mask()) return region;
    HMAR_ASSIGN_OR_RETURN(region.mask_, DecodeMask(edit.mask(), "the mask"));
    if (region.mask_->width == image.width && region.mask_->height == image.height) return region;
    return absl::InvalidArgumentError(absl::StrCat("the mask has ", region.mask_->width, " x ",
                                                   region.mask_->height, " pixels, the image ",
                                                   image.width, " x ", image.height));
  }

  bool Contains(uint64_t x, uint64_t y) const {
    if (mask_) return mask_->white[y * mask_->width + x] != 0;
    if (box_) return IsInside(*box_, x, y);
    return keep_box_ && !IsInside(*keep_box_, x, y);
  }

 private:
  static bool IsInside(const v1::EditOptions::Box& box, uint64_t x, uint64_t y) {
    return box.x0() <= x && x < box.x1() && box.y0() <= y && y < box.y1();
  }

  std::optional<MaskPixels> mask_;
  std::optional<v1::EditOptions::Box> box_;
  std::optional<v1::EditOptions::Box> keep_box_;
};

// One pixel of the fitted upload: the pixels [x0, x1) x [y0, y1) of the upload that it covers.
struct Footprint {
  uint64_t x0, y0, x1, y1;
};

Footprint FootprintOf(uint64_t x, uint64_t y, const Rectangle& source, const Rectangle& target) {
  const auto first = [](uint64_t i, uint64_t from, uint64_t to) { return i * from / to; };
  const auto last = [](uint64_t i, uint64_t from, uint64_t to) {
    return ((i + 1) * from + to - 1) / to;
  };
  x -= target.left;
  y -= target.top;
  return {source.left + first(x, source.width, target.width),
          source.top + first(y, source.height, target.height),
          source.left + last(x, source.width, target.width),
          source.top + last(y, source.height, target.height)};
}

void AverageInto(uint8_t* pixel, const Picture& image, const Footprint& area) {
  std::array<uint64_t, 3> sums = {};
  for (uint64_t y = area.y0; y < area.y1; ++y) {
    const uint8_t* from = &image.rgb[(y * image.width + area.x0) * 3];
    for (uint64_t x = area.x0; x < area.x1; ++x) {
      for (uint64_t& sum : sums) sum += *from++;
    }
  }
  // A footprint has a pixel at least, which the analyzer does not see.
  const uint64_t count = std::max<uint64_t>(1, (area.x1 - area.x0) * (area.y1 - area.y0));
  for (const uint64_t sum : sums) *pixel++ = static_cast<uint8_t>((sum + count / 2) / count);
}

bool TouchesRegion(const UploadRegion& region, const Footprint& area) {
  for (uint64_t y = area.y0; y < area.y1; ++y) {
    for (uint64_t x = area.x0; x < area.x1; ++x) {
      if (region.Contains(x, y)) return true;
    }
  }
  return false;
}

void Tint(uint8_t* pixel, uint32_t percent) {
  for (size_t channel = 0; channel < 3; ++channel) {
    pixel[channel] = static_cast<uint8_t>(
        (pixel[channel] * (100 - percent) + kTint[channel] * percent + 50) / 100);
  }
}

}  // namespace

absl::StatusOr<FittedUpload> FitUpload(const v1::EditOptions& edit, uint32_t width,
                                       uint32_t height) {
  // Transparency over white, as the server sees it.
  HMAR_ASSIGN_OR_RETURN(const Picture image, DecodePicture(edit.image(), "the image", 255));
  HMAR_ASSIGN_OR_RETURN(const UploadRegion region, UploadRegion::Make(edit, image));
  Rectangle source{0, 0, image.width, image.height};
  Rectangle target{0, 0, width, height};
  if (edit.resize() == v1::EditOptions::RESIZE_COVER) source = LargestInside(source, width, height);
  if (edit.resize() == v1::EditOptions::RESIZE_CONTAIN) {
    target = LargestInside(target, image.width, image.height);
  }
  FittedUpload fitted{.source = {width, height, {}}, .region = {}};
  const size_t pixels = size_t{width} * height;
  fitted.source.rgb.assign(pixels * 3, ContactSheetOptions{}.background);
  fitted.region.assign(pixels, 1);
  for (uint32_t y = 0; y < height; ++y) {
    for (uint32_t x = 0; x < width; ++x) {
      if (!target.Contains(x, y)) continue;  // A bar.
      const Footprint area = FootprintOf(x, y, source, target);
      const size_t pixel = size_t{y} * width + x;
      AverageInto(&fitted.source.rgb[pixel * 3], image, area);
      fitted.region[pixel] = TouchesRegion(region, area) ? 1 : 0;
    }
  }
  return fitted;
}

absl::StatusOr<Picture> MarkRegion(const FittedUpload& upload,
                                   const google::protobuf::RepeatedField<bool>& generated_tokens) {
  const auto grid = static_cast<uint64_t>(std::lround(std::sqrt(generated_tokens.size())));
  if (grid * grid != static_cast<uint64_t>(generated_tokens.size())) {
    return absl::DataLossError(
        absl::StrCat("generated_tokens: ", generated_tokens.size(), " tokens make no square"));
  }
  Picture marked = upload.source;
  for (uint64_t y = 0; y < marked.height; ++y) {
    for (uint64_t x = 0; x < marked.width; ++x) {
      const uint64_t token = y * grid / marked.height * grid + x * grid / marked.width;
      const uint64_t pixel = y * marked.width + x;
      if (upload.region[pixel] != 0) {
        Tint(&marked.rgb[pixel * 3], kRegionTintPercent);
      } else if (grid > 0 && generated_tokens.Get(static_cast<int>(token))) {
        Tint(&marked.rgb[pixel * 3], kTokenTintPercent);
      }
    }
  }
  return marked;
}

}  // namespace hmar
