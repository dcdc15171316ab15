// Any edit: what CheckEditUpload lets through is read, and composited the kept pixels are the
// source's own. The input's bytes choose size, kind, region, resize and feather.

#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "server/uploads/compositor.h"
#include "server/uploads/edit_source.h"
#include "tests/fuzz/require.h"
#include "tests/server/uploads/picture_maker.h"
#include "tests/server/uploads/png_maker.h"

namespace hmar {
namespace {

constexpr UploadLimits kLimits{1 << 16, 1 << 14, 1 << 12};

std::string AnyPng(uint32_t width, uint32_t height, FuzzedDataProvider* fuzz) {
  const std::vector<PngSpec> kinds = EveryPngKind();
  PngSpec spec = kinds[fuzz->ConsumeIntegralInRange<size_t>(0, kinds.size() - 1)];
  spec.width = width;
  spec.height = height;
  spec.interlaced = fuzz->ConsumeBool();
  std::mt19937 random(fuzz->ConsumeIntegral<uint16_t>());
  return MakePng(spec, RandomSamples(spec, &random));
}

std::string AnyPicture(uint32_t width, uint32_t height, FuzzedDataProvider* fuzz) {
  const int format = fuzz->ConsumeIntegralInRange(0, 5);
  if (format < 4) return AnyPng(width, height, fuzz);
  const auto samples = NoiseSamples(size_t{3} * width * height, fuzz->ConsumeIntegral<uint16_t>());
  if (format == 4) {
    const int samples_to_one = fuzz->ConsumeIntegralInRange(1, 2);
    return MakeJpeg({.width = width,
                     .height = height,
                     .across = samples_to_one,
                     .down = samples_to_one,
                     .progressive = fuzz->ConsumeBool()},
                    samples);
  }
  return MakeWebp({.width = width, .height = height, .lossless = fuzz->ConsumeBool(), .method = 0},
                  samples);
}

PixelBox AnyBox(FuzzedDataProvider* fuzz) {
  const auto edge = [fuzz] {
    return fuzz->ConsumeBool() ? fuzz->ConsumeIntegralInRange<uint32_t>(0, 60)
                               : fuzz->ConsumeIntegral<uint32_t>();
  };
  PixelBox box;
  for (uint32_t* value : {&box.x0, &box.y0, &box.x1, &box.y1}) *value = edge();
  return box;
}

UploadRegion AnyRegion(uint32_t width, uint32_t height, FuzzedDataProvider* fuzz) {
  switch (fuzz->ConsumeIntegralInRange(0, 4)) {
    case 0:
      return GenerateBox{AnyBox(fuzz)};
    case 1:
      return KeepBox{AnyBox(fuzz)};
    case 2:
      return GenerateMask{AnyPicture(width, height, fuzz)};
    case 3:
      return GenerateMask{fuzz->ConsumeRandomLengthString(300)};
    default:
      return {};
  }
}

// Whether the region given has this pixel of the upload. The mask is read by `mask`.
bool Wanted(const UploadRegion& region, const PictureMask& mask, uint32_t x, uint32_t y) {
  const auto inside = [x, y](const PixelBox& box) {
    return x >= box.x0 && x < box.x1 && y >= box.y0 && y < box.y1;
  };
  if (const auto* box = std::get_if<GenerateBox>(&region)) return inside(box->box);
  if (const auto* box = std::get_if<KeepBox>(&region)) return !inside(box->box);
  if (std::holds_alternative<std::monostate>(region)) return false;
  return mask.white[size_t{y} * mask.width + x] == 1;
}

// Every pixel of the upload that the region has, and that the square shows, is generated.
void RequireCoverage(const EditUpload& upload, const EditSource& source, uint32_t side) {
  PictureMask mask;
  if (const auto* given = std::get_if<GenerateMask>(&upload.region)) {
    mask = *ReadMask(given->file, kLimits);
  }
  const PictureHeader header = *ReadPictureHeader(upload.image, kLimits);
  const Fit fit = FitInto(header.width, header.height, side, upload.resize);
  for (uint32_t v = fit.source.y0; v < fit.source.y1; ++v) {
    for (uint32_t u = fit.source.x0; u < fit.source.x1; ++u) {
      if (!Wanted(upload.region, mask, u, v)) continue;
      const uint32_t x = fit.target.x0 + (2 * (u - fit.source.x0) + 1) * fit.target.width() /
                                             (2 * fit.source.width());
      const uint32_t y = fit.target.y0 + (2 * (v - fit.source.y0) + 1) * fit.target.height() /
                                             (2 * fit.source.height());
      Require(source.region[size_t{y} * side + x] == 1, "what is wanted is generated");
    }
  }
}

void RequireComposite(const EditSource& source, uint32_t feather, std::mt19937* random) {
  const uint32_t side = source.picture.width;
  Picture generated{side, side, std::vector<uint8_t>(source.picture.rgb.size())};
  for (uint8_t& sample : generated.rgb) sample = static_cast<uint8_t>((*random)());
  const Compositor compositor(source, feather);
  Picture result = generated;
  compositor.Apply(&result);
  for (size_t i = 0; i < result.rgb.size(); ++i) {
    const auto [low, high] = std::minmax(source.picture.rgb[i], generated.rgb[i]);
    Require(result.rgb[i] >= low && result.rgb[i] <= high, "a blend lies between its ends");
    if (source.region[i / 3] == 0) {
      Require(result.rgb[i] == source.picture.rgb[i], "pixels outside are the source's own");
    } else if (feather == 0) {
      Require(result.rgb[i] == generated.rgb[i], "without feather the inside is as generated");
    }
  }
  const uint32_t small = 1 + (*random)() % side;
  Picture preview{small, small, std::vector<uint8_t>(size_t{3} * small * small)};
  compositor.Apply(&preview);
}

void RunOne(FuzzedDataProvider* fuzz) {
  const auto side = fuzz->ConsumeIntegralInRange<uint32_t>(1, 24);
  const bool fits = fuzz->ConsumeBool();
  const auto width = fits ? side : fuzz->ConsumeIntegralInRange<uint32_t>(1, 50);
  const auto height = fits ? side : fuzz->ConsumeIntegralInRange<uint32_t>(1, 50);
  const uint32_t feather = fuzz->ConsumeBool() ? fuzz->ConsumeIntegralInRange<uint32_t>(0, 20)
                                               : fuzz->ConsumeIntegral<uint32_t>();
  EditUpload upload;
  upload.resize = static_cast<ResizeMode>(fuzz->ConsumeIntegralInRange(0, 2));
  upload.image = AnyPicture(width, height, fuzz);
  upload.region = AnyRegion(width, height, fuzz);

  const auto violations = CheckEditUpload(upload, side, kLimits);
  const auto result = ReadEditSource(upload, side, kLimits);
  if (const auto* violation = std::get_if<Violation>(&result)) {
    Require(violations.empty() ? violation->field == "edit.mask"
                               : violation->description == violations.front().description,
            "what the check lets through fails only by a mask's data");
    return;
  }
  Require(violations.empty(), "what the check refuses is not read");
  const EditSource& source = std::get<EditSource>(result);
  Require(source.picture.width == side && source.picture.height == side &&
              source.picture.rgb.size() == size_t{3} * side * side &&
              source.region.size() == size_t{side} * side,
          "a source has the model's size");
  RequireCoverage(upload, source, side);
  std::mt19937 random(width * 100 + height);
  RequireComposite(source, feather, &random);
}

}  // namespace
}  // namespace hmar

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider fuzz(data, size);
  hmar::RunOne(&fuzz);
  return 0;
}
