#include "server/uploads/edit_region.h"

#include <cstddef>
#include <cstring>

namespace hmar {
namespace {

// Pixels of the upload that the target's pixels cover along one axis of the fit.
std::vector<PixelSpan> SpansFrom(uint32_t first, uint32_t source_pixels, uint32_t target_pixels) {
  std::vector<PixelSpan> spans = CoveredPixels(source_pixels, target_pixels);
  for (PixelSpan& span : spans) {
    span.first += first;
    span.last += first;
  }
  return spans;
}

// `generated(columns, rows)`: whether a pixel of the square that covers these is in the region.
template <typename Generated>
Region Paint(const Fit& fit, uint32_t side, const Generated& generated) {
  Region region(size_t{side} * side, 1);
  const PixelBox& target = fit.target;
  const auto columns = SpansFrom(fit.source.x0, fit.source.width(), target.width());
  const auto rows = SpansFrom(fit.source.y0, fit.source.height(), target.height());
  for (uint32_t y = 0; y < target.height(); ++y) {
    uint8_t* row = region.data() + size_t{target.y0 + y} * side + target.x0;
    for (uint32_t x = 0; x < target.width(); ++x) row[x] = generated(columns[x], rows[y]);
  }
  return region;
}

bool Touches(const PixelSpan& span, uint32_t first, uint32_t last) {
  return span.first < last && span.last > first;
}

bool LiesWithin(const PixelSpan& span, uint32_t first, uint32_t last) {
  return span.first >= first && span.last <= last;
}

}  // namespace

Region BarsRegion(const Fit& fit, uint32_t side) {
  return Paint(fit, side, [](const PixelSpan&, const PixelSpan&) { return false; });
}

Region BoxRegion(const PixelBox& box, const Fit& fit, uint32_t side) {
  return Paint(fit, side, [&](const PixelSpan& columns, const PixelSpan& rows) {
    return Touches(columns, box.x0, box.x1) && Touches(rows, box.y0, box.y1);
  });
}

Region KeepBoxRegion(const PixelBox& box, const Fit& fit, uint32_t side) {
  return Paint(fit, side, [&](const PixelSpan& columns, const PixelSpan& rows) {
    return !LiesWithin(columns, box.x0, box.x1) || !LiesWithin(rows, box.y0, box.y1);
  });
}

Region MaskRegion(const PictureMask& mask, const Fit& fit, uint32_t side) {
  return Paint(fit, side, [&](const PixelSpan& columns, const PixelSpan& rows) {
    for (uint32_t y = rows.first; y < rows.last; ++y) {
      const uint8_t* pixels = mask.white.data() + size_t{y} * mask.width + columns.first;
      if (std::memchr(pixels, 1, columns.last - columns.first) != nullptr) return true;
    }
    return false;
  });
}

}  // namespace hmar
