#include "client/terminal/picture_bytes.h"

#include <sixel.h>

#include <algorithm>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

constexpr size_t kKittyChunkBytes = 4096;  // Of base64, as its protocol has it.
constexpr int kSixelColours = 256;
constexpr char kUpperHalfBlock[] = "\xe2\x96\x80";
constexpr char kPlain[] = "\x1b[0m";

// The pixels [first, last) that one of `to` pixels covers of `from`.
struct Span {
  uint64_t first;
  uint64_t last;
};

Span Covered(uint64_t i, uint64_t from, uint64_t to) {
  return {i * from / to, ((i + 1) * from + to - 1) / to};
}

void AppendMean(const Picture& picture, const Span& columns, const Span& rows,
                std::vector<uint8_t>& rgb) {
  uint64_t sums[3] = {0, 0, 0};
  for (uint64_t y = rows.first; y < rows.last; ++y) {
    const uint8_t* from = &picture.rgb[(y * picture.width + columns.first) * 3];
    for (uint64_t x = columns.first; x < columns.last; ++x, from += 3) {
      for (int c = 0; c < 3; ++c) sums[c] += from[c];
    }
  }
  const uint64_t pixels =
      std::max<uint64_t>((columns.last - columns.first) * (rows.last - rows.first), 1);
  for (const uint64_t sum : sums) {
    rgb.push_back(static_cast<uint8_t>((sum + pixels / 2) / pixels));
  }
}

int AppendTo(char* data, int bytes, void* string) {
  static_cast<std::string*>(string)->append(data, bytes);
  return bytes;
}

struct SixelDeleter {
  void operator()(sixel_output_t* output) const { sixel_output_unref(output); }
  void operator()(sixel_dither_t* dither) const { sixel_dither_unref(dither); }
};

// xterm's cube of 6 x 6 x 6 colours: 0 and 95, 135, ... 255.
uint32_t CubeStep(uint8_t sample) {
  return sample < 48 ? 0 : std::min<uint32_t>((sample - 35U) / 40U, 5);
}

// What follows 38; or 48; in SGR.
std::string ColourOf(const uint8_t* rgb, Colours colours) {
  if (colours == Colours::k24Bit) return absl::StrCat("2;", rgb[0], ";", rgb[1], ";", rgb[2]);
  return absl::StrCat("5;", 16 + 36 * CubeStep(rgb[0]) + 6 * CubeStep(rgb[1]) + CubeStep(rgb[2]));
}

}  // namespace

Size SizeInside(const Picture& picture, const Size& box) {
  const uint64_t width = uint64_t{box.height} * picture.width / picture.height;
  if (width <= box.width) return {std::max(static_cast<uint32_t>(width), 1U), box.height};
  const uint64_t height = uint64_t{box.width} * picture.height / picture.width;
  return {box.width, std::max(static_cast<uint32_t>(height), 1U)};
}

Picture ScaledTo(const Picture& picture, const Size& size) {
  Picture scaled{size.width, size.height, {}};
  scaled.rgb.reserve(size_t{3} * size.width * size.height);
  for (uint32_t y = 0; y < size.height; ++y) {
    const Span rows = Covered(y, picture.height, size.height);
    for (uint32_t x = 0; x < size.width; ++x) {
      AppendMean(picture, Covered(x, picture.width, size.width), rows, scaled.rgb);
    }
  }
  return scaled;
}

std::string KittyPicture(absl::string_view png, uint32_t id, const Size& cells) {
  const std::string text = absl::Base64Escape(png);
  absl::string_view rest = text;
  std::string bytes;
  for (bool first = true; first || !rest.empty(); first = false) {
    const absl::string_view chunk = rest.substr(0, kKittyChunkBytes);
    rest.remove_prefix(chunk.size());
    absl::StrAppend(&bytes, "\x1b_G");
    if (first) {
      absl::StrAppend(&bytes, "a=T,f=100,i=", id, ",p=1,c=", cells.width, ",r=", cells.height,
                      ",C=1,");
    }
    absl::StrAppend(&bytes, "q=2,m=", rest.empty() ? 0 : 1, ";", chunk, "\x1b\\");
  }
  return bytes;
}

std::string KittyDelete(uint32_t id) { return absl::StrCat("\x1b_Ga=d,d=I,i=", id, ",q=2\x1b\\"); }

std::string Iterm2Picture(absl::string_view png, const Size& cells) {
  return absl::StrCat("\x1b]1337;File=inline=1;size=", png.size(), ";width=", cells.width,
                      ";height=", cells.height, ";preserveAspectRatio=1:", absl::Base64Escape(png),
                      "\x07");
}

absl::StatusOr<std::string> SixelPicture(const Picture& picture) {
  std::string bytes;
  std::vector<uint8_t> pixels = picture.rgb;  // libsixel wants them writable.
  const int width = static_cast<int>(picture.width);
  const int height = static_cast<int>(picture.height);
  sixel_output_t* output = nullptr;
  sixel_dither_t* dither = nullptr;
  SIXELSTATUS status = sixel_output_new(&output, AppendTo, &bytes, nullptr);
  const std::unique_ptr<sixel_output_t, SixelDeleter> owned_output(output);
  if (SIXEL_SUCCEEDED(status)) status = sixel_dither_new(&dither, kSixelColours, nullptr);
  const std::unique_ptr<sixel_dither_t, SixelDeleter> owned_dither(dither);
  if (SIXEL_SUCCEEDED(status)) {
    status = sixel_dither_initialize(dither, pixels.data(), width, height, SIXEL_PIXELFORMAT_RGB888,
                                     SIXEL_LARGE_AUTO, SIXEL_REP_AUTO, SIXEL_QUALITY_AUTO);
  }
  if (SIXEL_SUCCEEDED(status)) {
    status = sixel_encode(pixels.data(), width, height, 0, dither, output);
  }
  if (SIXEL_SUCCEEDED(status)) return bytes;
  return absl::InternalError(absl::StrCat("libsixel: ", sixel_helper_format_error(status)));
}

std::vector<std::string> BlockRows(const Picture& picture, Colours colours) {
  std::vector<std::string> rows;
  const size_t stride = size_t{3} * picture.width;
  for (uint32_t y = 0; y < picture.height; y += 2) {
    const bool has_lower = y + 1 < picture.height;
    const uint8_t* upper = &picture.rgb[y * stride];
    std::string row;
    std::string current;
    for (uint32_t x = 0; x < picture.width; ++x, upper += 3) {
      std::string colour = absl::StrCat("38;", ColourOf(upper, colours));
      if (has_lower) absl::StrAppend(&colour, ";48;", ColourOf(upper + stride, colours));
      if (colour != current) absl::StrAppend(&row, "\x1b[", colour, "m");
      current = std::move(colour);
      row += kUpperHalfBlock;
    }
    rows.push_back(row + kPlain);
  }
  return rows;
}

}  // namespace hmar
