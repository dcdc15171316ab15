#ifndef HMAR_TESTS_SERVER_UPLOADS_PICTURE_MAKER_H_
#define HMAR_TESTS_SERVER_UPLOADS_PICTURE_MAKER_H_

// JPEGs and WebPs of every kind, for tests and fuzzers; PNGs are png_maker.h's. A picture that a
// library refuses to write ends the program.

#include <cstdint>
#include <string>
#include <vector>

#include "model/picture.h"

namespace hmar {

struct JpegSpec {
  uint32_t width = 0;
  uint32_t height = 0;
  int components = 3;  // 1 grey, 3 colour, 4 CMYK.
  int quality = 95;
  int across = 1;  // Luma samples to one of colour.
  int down = 1;
  bool progressive = false;
  bool separate_scans = false;  // Sequential, a scan a component.
  bool arithmetic = false;
  int restart_rows = 0;  // Rows of blocks between restart markers; 0: none.
  int orientation = 0;   // In an EXIF segment; 0: no segment.
};

// `samples`: height * width * components.
std::string MakeJpeg(const JpegSpec& spec, const std::vector<uint8_t>& samples);

// The kinds that are read: grey and colour, all samplings, each way of scanning. Sizes are not set.
std::vector<JpegSpec> EveryJpegKind();

struct WebpSpec {
  uint32_t width = 0;
  uint32_t height = 0;
  bool lossless = false;
  bool alpha = false;
  int orientation = 0;  // In an EXIF chunk; 0: no chunk.
  int method = 1;       // libwebp's, 0 .. 6.
};

// `samples`: height * width * 3, or 4 with alpha.
std::string MakeWebp(const WebpSpec& spec, const std::vector<uint8_t>& samples);

// Two frames.
std::string MakeAnimatedWebp(uint32_t side);

// A black lossless WebP whose tiles of 4 x 4 pixels have a group of prefix codes each, as far as
// their numbers go (65,536). A WebP of a few bytes a group that takes libwebp 20 KB for each.
std::string MakeWebpOfManyCodes(uint32_t width, uint32_t height);

// EXIF data with an orientation, with "Exif\0\0" before it.
std::string MakeExif(int orientation, bool big_endian = false);

// `count` bytes, the same each time.
std::vector<uint8_t> NoiseSamples(size_t count, uint32_t seed = 1);

// A photograph's kind of picture: soft slopes of different colours.
Picture SmoothPicture(uint32_t width, uint32_t height);

// What `stored` is when it is turned upright, pixel by pixel from EXIF's own words.
Picture Upright(const Picture& stored, int orientation);

}  // namespace hmar

#endif  // HMAR_TESTS_SERVER_UPLOADS_PICTURE_MAKER_H_
