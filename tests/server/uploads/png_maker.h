#ifndef HMAR_TESTS_SERVER_UPLOADS_PNG_MAKER_H_
#define HMAR_TESTS_SERVER_UPLOADS_PNG_MAKER_H_

// PNGs of every kind, for tests and fuzzers. A picture that libpng refuses to write ends the
// program.

#include <png.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace hmar {

struct PngSpec {
  uint32_t width = 0;
  uint32_t height = 0;
  int bit_depth = 8;
  int color_type = PNG_COLOR_TYPE_RGB;
  bool interlaced = false;
  std::vector<png_color> palette = {};           // With PNG_COLOR_TYPE_PALETTE.
  std::vector<png_byte> palette_alpha = {};      // Its tRNS, if not empty.
  std::optional<png_color_16> transparent = {};  // tRNS of grey and RGB.
  int filters = PNG_ALL_FILTERS;
};

// Samples a pixel as stored: 1 for grey and palettes, to 4 for RGBA.
int ChannelsOf(const PngSpec& spec);

// `row(y)` has the stored bytes of row y: samples of 16 bits big-endian, of less than 8 packed.
std::string MakePngOfRows(const PngSpec& spec, const std::function<const uint8_t*(uint32_t)>& row);

// `samples`: height * width * channels values of 0 .. 2^bit_depth - 1.
std::string MakePng(const PngSpec& spec, const std::vector<uint16_t>& samples);

// The kinds of the format: every colour type with every bit depth, each that may with and without
// tRNS. Sizes are not set.
std::vector<PngSpec> EveryPngKind();

// Samples for MakePng; of a palette only entries that it has.
std::vector<uint16_t> RandomSamples(const PngSpec& spec, std::mt19937* random);

// The file format's own view: what follows signature, as (type, data).
struct PngChunk {
  std::string type;
  std::string data;
};
// Stops at what is not a whole chunk. Checksums are not looked at.
std::vector<PngChunk> SplitChunks(const std::string& png);
// With signature and right checksums.
std::string JoinChunks(const std::vector<PngChunk>& chunks);

}  // namespace hmar

#endif  // HMAR_TESTS_SERVER_UPLOADS_PNG_MAKER_H_
