#include "server/wire/output_validation.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

PictureFormat ToFormat(v1::OutputOptions::Format format, Violations* violations) {
  switch (format) {
    case v1::OutputOptions::FORMAT_UNSPECIFIED:
    case v1::OutputOptions::FORMAT_PNG:
      return PictureFormat::kPng;
    case v1::OutputOptions::FORMAT_RGB8:
      return PictureFormat::kRgb8;
    case v1::OutputOptions::FORMAT_JPEG:
      return PictureFormat::kJpeg;
    case v1::OutputOptions::FORMAT_WEBP:
      return PictureFormat::kWebp;
    default:
      violations->AddUnknownEnum("output.format", format);
      return PictureFormat::kPng;
  }
}

std::string NameOf(PictureFormat format) {
  switch (format) {
    case PictureFormat::kRgb8:
      return "FORMAT_RGB8";
    case PictureFormat::kJpeg:
      return "FORMAT_JPEG";
    case PictureFormat::kWebp:
      return "FORMAT_WEBP";
    case PictureFormat::kPng:
      break;
  }
  return "FORMAT_PNG";
}

// The value if it was given and is within its bounds, else `absent`.
int Within(bool given, uint32_t value, int least, int most, int absent, const char* field,
           Violations* violations) {
  if (!given) return absent;
  if (value >= static_cast<uint32_t>(least) && value <= static_cast<uint32_t>(most)) {
    return static_cast<int>(value);
  }
  violations->Add(Reason::kFieldOutOfRange, field, absl::StrCat(value, "; ", least, " to ", most));
  return absent;
}

void CheckConflicts(const v1::OutputOptions& given, const OutputChoice& choice,
                    Violations* violations) {
  const std::string format = NameOf(choice.format);
  const auto conflict = [&](bool wrong, const char* field, const std::string& why) {
    if (wrong) violations->Add(Reason::kFieldConflict, field, why);
  };
  conflict(given.lossless() && choice.format != PictureFormat::kWebp, "output.lossless",
           absl::StrCat("of FORMAT_WEBP alone; the format is ", format));
  conflict(given.has_quality() && !choice.lossy(), "output.quality",
           absl::StrCat("of lossy pictures alone; ", format,
                        choice.lossless ? " with lossless" : "", " keeps every pixel"));
  const char* const no_place = " has no place for a receipt; Image.receipt has it";
  const bool rgb8 = choice.format == PictureFormat::kRgb8;
  conflict(rgb8 && given.embed_receipt(), "output.embed_receipt", format + no_place);
  conflict(rgb8 && given.receipt_in_png(), "output.receipt_in_png", format + no_place);
  conflict(given.receipt_in_png() && !rgb8 && choice.format != PictureFormat::kPng,
           "output.receipt_in_png",
           absl::StrCat("of FORMAT_PNG alone; for ", format, " there is embed_receipt"));
}

}  // namespace

OutputChoice ResolveOutput(const v1::OutputOptions& given, int png_compression,
                           Violations* violations) {
  OutputChoice choice;
  choice.format = ToFormat(given.format(), violations);
  choice.png_compression = Within(given.has_png_compression(), given.png_compression(), 0, 9,
                                  png_compression, "output.png_compression", violations);
  choice.lossless = given.lossless() && choice.format == PictureFormat::kWebp;
  const int quality = Within(given.has_quality(), given.quality(), 1, 100, kDefaultQuality,
                             "output.quality", violations);
  if (choice.lossy()) choice.quality = quality;
  choice.return_tokens = given.return_tokens();
  choice.receipt_in_png = given.receipt_in_png();
  choice.embed_receipt = given.embed_receipt();
  CheckConflicts(given, choice, violations);
  return choice;
}

}  // namespace hmar
