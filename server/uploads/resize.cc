#include "server/uploads/resize.h"

#include <algorithm>
#include <csetjmp>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

// A call of stb's resampler, which reports its progress after each row but tells nobody whose it
// is: hence the thread's own. A cancelled one is left by a jump over frames of plain C.
struct Resampling {
  CancelCheck cancelled;
  std::jmp_buf leave = {};
  void* memory = nullptr;  // Its one allocation, by malloc; where there is none, it answers 0.
};

thread_local Resampling* resampling_now = nullptr;

void* AllocateForResampling(size_t bytes) { return resampling_now->memory = std::malloc(bytes); }

void LeaveIfCancelled() {
  if (resampling_now->cancelled()) std::longjmp(resampling_now->leave, 1);
}

}  // namespace
}  // namespace hmar

// What is allocated is freed by Resample, however it ends.
#define STBIR_MALLOC(size, context) ((void)(context), hmar::AllocateForResampling(size))
#define STBIR_FREE(memory, context) ((void)(context), (void)(memory))
#define STBIR_PROGRESS_REPORT(progress) hmar::LeaveIfCancelled()
#define STB_IMAGE_RESIZE_IMPLEMENTATION
#define STB_IMAGE_RESIZE_STATIC
#include <stb/stb_image_resize.h>

namespace hmar {
namespace {

constexpr int kChannels = 3;

// `length` pixels in the middle of `side`.
PixelSpan Middle(uint32_t length, uint32_t side) {
  const uint32_t first = (side - length) / 2;
  return {first, first + length};
}

PixelBox BoxOf(const PixelSpan& columns, const PixelSpan& rows) {
  return {columns.first, rows.first, columns.last, rows.last};
}

// The side of a picture whose longer side, `longer`, becomes `target`.
uint32_t InProportion(uint32_t side, uint32_t longer, uint32_t target) {
  return std::max<uint32_t>(1, (uint64_t{side} * target + longer / 2) / longer);
}

size_t At(uint32_t x, uint32_t y, uint32_t width) { return (size_t{y} * width + x) * kChannels; }

enum class Resampled { kDone, kNoMemory, kCancelled };

void Copy(const uint8_t* in, size_t in_stride, const PixelBox& target, size_t out_stride,
          uint8_t* out) {
  for (uint32_t y = 0; y < target.height(); ++y, in += in_stride, out += out_stride) {
    std::memcpy(out, in, size_t{target.width()} * kChannels);
  }
}

// All that may be left by a jump: its locals are plain, and none changes after setjmp.
Resampled RunResampler(const uint8_t* in, const PixelBox& source, size_t in_stride, uint8_t* out,
                       const PixelBox& target, size_t out_stride) {
  if (setjmp(resampling_now->leave) != 0) return Resampled::kCancelled;
  const int done = stbir_resize_uint8_generic(
      in, static_cast<int>(source.width()), static_cast<int>(source.height()),
      static_cast<int>(in_stride), out, static_cast<int>(target.width()),
      static_cast<int>(target.height()), static_cast<int>(out_stride), kChannels,
      STBIR_ALPHA_CHANNEL_NONE, 0, STBIR_EDGE_CLAMP, STBIR_FILTER_CATMULLROM,
      STBIR_COLORSPACE_LINEAR, nullptr);
  return done == 1 ? Resampled::kDone : Resampled::kNoMemory;
}

Resampled Resample(const Picture& from, const PixelBox& source, const PixelBox& target,
                   CancelCheck cancelled, Picture* to) {
  const uint8_t* in = from.rgb.data() + At(source.x0, source.y0, from.width);
  uint8_t* out = to->rgb.data() + At(target.x0, target.y0, to->width);
  const size_t in_stride = At(0, 1, from.width);
  const size_t out_stride = At(0, 1, to->width);
  if (source.width() == target.width() && source.height() == target.height()) {
    Copy(in, in_stride, target, out_stride, out);
    return Resampled::kDone;
  }
  Resampling resampling{cancelled};
  resampling_now = &resampling;
  const Resampled outcome = RunResampler(in, source, in_stride, out, target, out_stride);
  resampling_now = nullptr;
  std::free(resampling.memory);
  return outcome;
}

// Every pixel outside `box` becomes the nearest one inside.
void RepeatEdges(const PixelBox& box, Picture* picture) {
  const uint32_t width = picture->width;
  uint8_t* rgb = picture->rgb.data();
  for (uint32_t y = box.y0; y < box.y1; ++y) {
    for (uint32_t x = 0; x < width; ++x) {
      const uint32_t nearest = std::clamp(x, box.x0, box.x1 - 1);
      if (nearest != x) std::memcpy(rgb + At(x, y, width), rgb + At(nearest, y, width), kChannels);
    }
  }
  for (uint32_t y = 0; y < picture->height; ++y) {
    const uint32_t nearest = std::clamp(y, box.y0, box.y1 - 1);
    if (nearest != y) {
      std::memcpy(rgb + At(0, y, width), rgb + At(0, nearest, width), At(0, 1, width));
    }
  }
}

}  // namespace

Fit FitInto(uint32_t width, uint32_t height, uint32_t side, ResizeMode mode) {
  const PixelBox square{0, 0, side, side};
  if (mode == ResizeMode::kContain) {
    const uint32_t longer = std::max(width, height);
    return {{0, 0, width, height},
            BoxOf(Middle(InProportion(width, longer, side), side),
                  Middle(InProportion(height, longer, side), side))};
  }
  const uint32_t shorter = std::min(width, height);
  return {BoxOf(Middle(shorter, width), Middle(shorter, height)), square};
}

absl::StatusOr<Picture> Resize(Picture picture, const Fit& fit, uint32_t side,
                               CancelCheck cancelled) {
  if (picture.width == side && picture.height == side) return picture;
  const auto no_memory = [&] {
    return absl::ResourceExhaustedError(absl::StrCat("no memory to resize ", picture.width, " x ",
                                                     picture.height, " pixels to ", side, " x ",
                                                     side));
  };
  try {
    Picture square{side, side, std::vector<uint8_t>(At(0, side, side))};
    const Resampled outcome = Resample(picture, fit.source, fit.target, cancelled, &square);
    if (outcome == Resampled::kNoMemory) return no_memory();
    if (outcome == Resampled::kCancelled) {
      return absl::CancelledError("cancelled while it was resized");
    }
    RepeatEdges(fit.target, &square);
    return square;
  } catch (const std::bad_alloc&) {
    return no_memory();
  }
}

std::vector<PixelSpan> CoveredPixels(uint32_t source_pixels, uint32_t target_pixels) {
  std::vector<PixelSpan> spans(target_pixels);
  for (uint64_t i = 0; i < target_pixels; ++i) {
    const uint64_t past_end = (i + 1) * source_pixels;
    spans[i].first = static_cast<uint32_t>(i * source_pixels / target_pixels);
    spans[i].last = static_cast<uint32_t>((past_end + target_pixels - 1) / target_pixels);
  }
  return spans;
}

}  // namespace hmar
