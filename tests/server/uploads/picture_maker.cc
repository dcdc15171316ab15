#include "tests/server/uploads/picture_maker.h"

#include <cstdio>
// jpeglib.h needs FILE.
#include <jpeglib.h>
#include <webp/encode.h>
#include <webp/mux.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <random>

namespace hmar {
namespace {

void Must(bool done, const char* what) {
  if (done) return;
  std::fprintf(stderr, "picture_maker: %s\n", what);
  std::abort();
}

void SetScans(const JpegSpec& spec, std::vector<jpeg_scan_info>* scans,
              jpeg_compress_struct* jpeg) {
  if (spec.progressive) jpeg_simple_progression(jpeg);
  if (!spec.separate_scans) return;
  for (int i = 0; i < spec.components; ++i) scans->push_back({1, {i}, 0, 63, 0, 0});
  jpeg->scan_info = scans->data();
  jpeg->num_scans = static_cast<int>(scans->size());
}

void Configure(const JpegSpec& spec, jpeg_compress_struct* jpeg) {
  jpeg->image_width = spec.width;
  jpeg->image_height = spec.height;
  jpeg->input_components = spec.components;
  jpeg->in_color_space = spec.components == 1   ? JCS_GRAYSCALE
                         : spec.components == 3 ? JCS_RGB
                                                : JCS_CMYK;
  jpeg_set_defaults(jpeg);
  jpeg_set_quality(jpeg, spec.quality, TRUE);
  jpeg->comp_info[0].h_samp_factor = spec.across;
  jpeg->comp_info[0].v_samp_factor = spec.down;
  jpeg->arith_code = spec.arithmetic ? TRUE : FALSE;
  jpeg->restart_in_rows = spec.restart_rows;
}

// The file with a chunk more.
std::string WithChunk(const std::string& webp, const char* type, const std::string& data) {
  const WebPData file{reinterpret_cast<const uint8_t*>(webp.data()), webp.size()};
  const WebPData chunk{reinterpret_cast<const uint8_t*>(data.data()), data.size()};
  WebPMux* mux = WebPMuxCreate(&file, 0);
  WebPData assembled = {};
  Must(mux != nullptr && WebPMuxSetChunk(mux, type, &chunk, 0) == WEBP_MUX_OK &&
           WebPMuxAssemble(mux, &assembled) == WEBP_MUX_OK,
       "libwebpmux");
  std::string bytes(reinterpret_cast<const char*>(assembled.bytes), assembled.size);
  WebPDataClear(&assembled);
  WebPMuxDelete(mux);
  return bytes;
}

// Bits from the lowest of each byte on.
class BitWriter {
 public:
  void Put(uint32_t value, int bits) {
    for (int i = 0; i < bits; ++i) PutBit(value >> i & 1);
  }
  // A prefix code's bits come the other way round.
  void PutCode(uint32_t code, int bits) {
    for (int i = bits - 1; i >= 0; --i) PutBit(code >> i & 1);
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void PutBit(uint32_t bit) {
    if (used_ % 8 == 0) bytes_.push_back('\0');
    bytes_.back() = static_cast<char>(bytes_.back() | bit << used_ % 8);
    ++used_;
  }
  std::string bytes_;
  size_t used_ = 0;
};

// The prefix code that has 0 alone, which then takes no bits.
void PutZeroCode(BitWriter* bits) { bits->Put(1, 4); }

// The prefix code that has 0 to 255 with eight bits each, of an alphabet with `more` symbols
// behind them that are not used; 0 or 24.
void PutByteCode(int more, BitWriter* bits) {
  bits->Put(0, 1);
  bits->Put(12 - 4, 4);  // Lengths of codes for lengths, up to that of 8.
  for (int i = 0; i < 12; ++i) bits->Put(i == 1 || i == 11, 3);  // 18, many zeros; and 8.
  bits->Put(0, 1);
  for (int i = 0; i < 256; ++i) bits->PutCode(0, 1);
  if (more == 0) return;
  bits->PutCode(1, 1);
  bits->Put(static_cast<uint32_t>(more) - 11, 7);
}

void AppendLittleEndian(uint32_t value, std::string* bytes) {
  for (int shift = 0; shift < 32; shift += 8) bytes->push_back(static_cast<char>(value >> shift));
}

std::string LosslessFile(std::string data) {
  std::string file = "WEBPVP8L";
  AppendLittleEndian(static_cast<uint32_t>(data.size()), &file);
  file += data;
  if (file.size() % 2 != 0) file.push_back('\0');
  std::string riff = "RIFF";
  AppendLittleEndian(static_cast<uint32_t>(file.size()), &riff);
  return riff + file;
}

}  // namespace

std::string MakeJpeg(const JpegSpec& spec, const std::vector<uint8_t>& samples) {
  Must(samples.size() == size_t{spec.width} * spec.height * static_cast<size_t>(spec.components),
       "samples");
  jpeg_compress_struct jpeg = {};
  jpeg_error_mgr errors;  // Its error_exit ends the program.
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;  // NOLINT(google-runtime-int): libjpeg's type.
  jpeg_mem_dest(&jpeg, &bytes, &size);
  Configure(spec, &jpeg);
  std::vector<jpeg_scan_info> scans;
  SetScans(spec, &scans, &jpeg);
  jpeg_start_compress(&jpeg, TRUE);
  if (spec.orientation != 0) {
    const std::string exif = MakeExif(spec.orientation);
    jpeg_write_marker(&jpeg, JPEG_APP0 + 1, reinterpret_cast<const JOCTET*>(exif.data()),
                      static_cast<unsigned>(exif.size()));
  }
  const size_t stride = size_t{spec.width} * static_cast<size_t>(spec.components);
  for (uint32_t y = 0; y < spec.height; ++y) {
    auto* row = const_cast<JSAMPLE*>(samples.data() + y * stride);
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  std::string file(reinterpret_cast<const char*>(bytes), size);
  std::free(bytes);
  return file;
}

std::vector<JpegSpec> EveryJpegKind() {
  std::vector<JpegSpec> kinds;
  for (const bool progressive : {false, true}) {
    kinds.push_back({.components = 1, .progressive = progressive});
    for (const auto& [across, down] :
         std::vector<std::pair<int, int>>{{1, 1}, {2, 1}, {1, 2}, {2, 2}, {4, 1}, {4, 2}}) {
      kinds.push_back({.across = across, .down = down, .progressive = progressive});
    }
  }
  kinds.push_back({.across = 2, .down = 2, .separate_scans = true});
  kinds.push_back({.across = 2, .down = 2, .restart_rows = 1});
  return kinds;
}

std::string MakeWebp(const WebpSpec& spec, const std::vector<uint8_t>& samples) {
  WebPConfig config;
  WebPPicture picture;
  Must(WebPConfigInit(&config) != 0 && WebPPictureInit(&picture) != 0, "libwebp");
  config.lossless = spec.lossless ? 1 : 0;
  config.exact = 1;  // The colours of what is transparent, too.
  config.method = spec.method;
  picture.use_argb = config.lossless;
  picture.width = static_cast<int>(spec.width);
  picture.height = static_cast<int>(spec.height);
  const int channels = spec.alpha ? 4 : 3;
  const int stride = channels * picture.width;
  Must(samples.size() == static_cast<size_t>(stride) * spec.height, "samples");
  const int imported = spec.alpha ? WebPPictureImportRGBA(&picture, samples.data(), stride)
                                  : WebPPictureImportRGB(&picture, samples.data(), stride);
  WebPMemoryWriter writer;
  WebPMemoryWriterInit(&writer);
  picture.writer = WebPMemoryWrite;
  picture.custom_ptr = &writer;
  Must(imported != 0 && WebPEncode(&config, &picture) != 0, "WebPEncode");
  const std::string bytes(reinterpret_cast<const char*>(writer.mem), writer.size);
  WebPMemoryWriterClear(&writer);
  WebPPictureFree(&picture);
  if (spec.orientation == 0) return bytes;
  return WithChunk(bytes, "EXIF", MakeExif(spec.orientation));
}

std::string MakeAnimatedWebp(uint32_t side) {
  WebPMux* mux = WebPMuxNew();
  for (const uint8_t shade : {50, 200}) {
    const std::string frame = MakeWebp({.width = side, .height = side},
                                       std::vector<uint8_t>(size_t{3} * side * side, shade));
    WebPMuxFrameInfo info = {};
    info.bitstream = {reinterpret_cast<const uint8_t*>(frame.data()), frame.size()};
    info.duration = 100;
    info.id = WEBP_CHUNK_ANMF;
    Must(WebPMuxPushFrame(mux, &info, 1) == WEBP_MUX_OK, "WebPMuxPushFrame");
  }
  const WebPMuxAnimParams parameters{0, 0};
  WebPData assembled = {};
  Must(WebPMuxSetAnimationParams(mux, &parameters) == WEBP_MUX_OK &&
           WebPMuxAssemble(mux, &assembled) == WEBP_MUX_OK,
       "an animation");
  std::string bytes(reinterpret_cast<const char*>(assembled.bytes), assembled.size);
  WebPDataClear(&assembled);
  WebPMuxDelete(mux);
  return bytes;
}

std::string MakeWebpOfManyCodes(uint32_t width, uint32_t height) {
  const uint32_t tiles = (width + 3) / 4 * ((height + 3) / 4);
  const uint32_t groups = std::min(tiles, 65536u);
  BitWriter bits;
  bits.Put(0x2F, 8);
  bits.Put(width - 1, 14);
  bits.Put(height - 1, 14);
  bits.Put(0, 1 + 3);      // No alpha, version 0.
  bits.Put(0, 1);          // No transform,
  bits.Put(0, 1);          // no colour cache,
  bits.Put(1, 1);          // but groups
  bits.Put(0, 3);          // of 4 x 4 pixels.
  bits.Put(0, 1);          // Their picture has no colour cache.
  PutByteCode(24, &bits);  // Green: the lower byte of a tile's group.
  PutByteCode(0, &bits);   // Red: the upper one.
  for (int i = 0; i < 3; ++i) PutZeroCode(&bits);
  for (uint32_t i = 0; i < tiles; ++i) {
    bits.PutCode(std::min(i, groups - 1) & 255, 8);
    bits.PutCode(std::min(i, groups - 1) >> 8, 8);
  }
  for (uint32_t i = 0; i < 5 * groups; ++i) PutZeroCode(&bits);
  return LosslessFile(bits.bytes());
}

std::string MakeExif(int orientation, bool big_endian) {
  const auto number = [big_endian](int value, int bytes) {
    std::string text;
    for (int i = 0; i < bytes; ++i) {
      text.push_back(static_cast<char>(value >> 8 * (big_endian ? bytes - 1 - i : i)));
    }
    return text;
  };
  const std::string tag =
      number(0x0112, 2) + number(3, 2) + number(1, 4) + number(orientation, 2) + number(0, 2);
  const std::string other = number(0x0100, 2) + number(4, 2) + number(1, 4) + number(77, 4);
  return std::string("Exif\0\0", 6) + (big_endian ? "MM" : "II") + number(42, 2) + number(8, 4) +
         number(2, 2) + other + tag + number(0, 4);
}

std::vector<uint8_t> NoiseSamples(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<uint8_t> samples(count);
  for (uint8_t& sample : samples) sample = static_cast<uint8_t>(random());
  return samples;
}

Picture SmoothPicture(uint32_t width, uint32_t height) {
  Picture picture{width, height, {}};
  for (uint32_t y = 0; y < height; ++y) {
    for (uint32_t x = 0; x < width; ++x) {
      const double u = 6.0 * x / width, v = 5.0 * y / height;
      for (const double value : {std::sin(u + 1) + std::cos(v), std::sin(u * v / 4 + 2) * 2,
                                 std::cos(2 * u - v) * 1.5}) {
        picture.rgb.push_back(static_cast<uint8_t>(127.5 + 60 * value));
      }
    }
  }
  return picture;
}

Picture Upright(const Picture& stored, int orientation) {
  // Where the picture's row 0 and column 0 are: by that EXIF names the numbers.
  const bool swapped = orientation >= 5;
  const bool right = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
  const bool bottom = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
  Picture upright{swapped ? stored.height : stored.width, swapped ? stored.width : stored.height,
                  std::vector<uint8_t>(stored.rgb.size())};
  for (uint32_t y = 0; y < stored.height; ++y) {
    for (uint32_t x = 0; x < stored.width; ++x) {
      const uint32_t along = swapped ? y : x, down = swapped ? x : y;
      const uint32_t to_x = right ? upright.width - 1 - along : along;
      const uint32_t to_y = bottom ? upright.height - 1 - down : down;
      std::copy_n(&stored.rgb[(size_t{y} * stored.width + x) * 3], 3,
                  &upright.rgb[(size_t{to_y} * upright.width + to_x) * 3]);
    }
  }
  return upright;
}

}  // namespace hmar
