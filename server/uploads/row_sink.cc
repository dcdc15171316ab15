#include "server/uploads/row_sink.h"

#include <cstring>

namespace hmar {
namespace {

uint8_t OverWhite(uint8_t sample, uint8_t alpha) {
  return static_cast<uint8_t>((sample * alpha + 255 * (255 - alpha) + 127) / 255);
}

// The weights sum to one, so a grey keeps its value.
uint32_t Luma(const uint8_t* rgb) {
  return (299u * rgb[0] + 587u * rgb[1] + 114u * rgb[2] + 500u) / 1000u;
}

}  // namespace

void PictureSink::Put(const uint8_t* row, int channels, uint32_t count, const RowPath& path) {
  uint8_t* rgb = picture_->rgb.data() + path.first * 3;
  if (channels == 3 && path.step == 1) {
    std::memcpy(rgb, row, size_t{count} * 3);
    return;
  }
  const bool gray = channels < 3;
  const bool has_alpha = channels % 2 == 0;
  for (uint32_t i = 0; i < count; ++i, row += channels) {
    uint8_t* pixel = rgb + ptrdiff_t{i} * path.step * 3;
    const uint8_t alpha = has_alpha ? row[channels - 1] : 255;
    for (int c = 0; c < 3; ++c) pixel[c] = OverWhite(row[gray ? 0 : c], alpha);
  }
}

void MaskSink::Put(const uint8_t* row, int channels, uint32_t count, const RowPath& path) {
  uint8_t* white = mask_->white.data() + path.first;
  for (uint32_t i = 0; i < count; ++i, row += channels) {
    white[ptrdiff_t{i} * path.step] = (channels < 3 ? row[0] : Luma(row)) >= 128;
  }
}

void TransparencySink::Put(const uint8_t* row, int channels, uint32_t count, const RowPath& path) {
  if (channels % 2 != 0) return;  // Nothing of it is transparent.
  has_alpha_ = true;
  uint8_t* white = mask_->white.data() + path.first;
  for (uint32_t i = 0; i < count; ++i, row += channels) {
    white[ptrdiff_t{i} * path.step] = row[channels - 1] == 0;
  }
}

}  // namespace hmar
