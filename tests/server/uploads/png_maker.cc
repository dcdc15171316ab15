#include "tests/server/uploads/png_maker.h"

#include <zlib.h>

namespace hmar {
namespace {

constexpr char kSignature[] = "\x89PNG\r\n\x1a\n";
constexpr size_t kSignatureBytes = 8;

void Append(png_structp png, png_bytep data, size_t size) {
  static_cast<std::string*>(png_get_io_ptr(png))->append(reinterpret_cast<char*>(data), size);
}

void WriteHeader(png_structp png, png_infop info, const PngSpec& spec) {
  png_set_IHDR(png, info, spec.width, spec.height, spec.bit_depth, spec.color_type,
               spec.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (!spec.palette.empty()) {
    png_set_PLTE(png, info, spec.palette.data(), static_cast<int>(spec.palette.size()));
  }
  if (!spec.palette_alpha.empty()) {
    png_set_tRNS(png, info, spec.palette_alpha.data(), static_cast<int>(spec.palette_alpha.size()),
                 nullptr);
  }
  if (spec.transparent.has_value()) png_set_tRNS(png, info, nullptr, 0, &*spec.transparent);
  png_set_compression_level(png, 1);
  png_set_filter(png, PNG_FILTER_TYPE_BASE, spec.filters);
  png_write_info(png, info);
}

std::vector<png_color> ColorfulPalette(int entries) {
  std::vector<png_color> palette;
  for (int i = 0; i < entries; ++i) {
    palette.push_back({static_cast<png_byte>(i * 37 + 5), static_cast<png_byte>(250 - i * 11),
                       static_cast<png_byte>(i * i)});
  }
  return palette;
}

// A palette's last entry gets no alpha of its own: it is opaque.
void AddTransparency(PngSpec* spec) {
  if (spec->palette.empty()) {
    spec->transparent = png_color_16{0, 1, 2, 3, 1};  // RGB 1, 2, 3 or grey 1.
    return;
  }
  for (size_t i = 1; i < spec->palette.size(); ++i) {
    spec->palette_alpha.push_back(static_cast<png_byte>(i * 83));
  }
}

uint32_t BigEndian(const std::string& bytes, size_t at) {
  return png_get_uint_32(reinterpret_cast<png_const_bytep>(bytes.data()) + at);
}

void AppendBigEndian(uint32_t value, std::string* bytes) {
  for (int shift = 24; shift >= 0; shift -= 8) bytes->push_back(static_cast<char>(value >> shift));
}

}  // namespace

int ChannelsOf(const PngSpec& spec) {
  const int colors =
      spec.color_type == PNG_COLOR_TYPE_RGB || spec.color_type == PNG_COLOR_TYPE_RGB_ALPHA ? 3 : 1;
  return colors + (spec.color_type & PNG_COLOR_MASK_ALPHA ? 1 : 0);
}

std::string MakePngOfRows(const PngSpec& spec, const std::function<const uint8_t*(uint32_t)>& row) {
  std::string bytes;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(png, &bytes, Append, nullptr);
  WriteHeader(png, info, spec);
  const int passes = png_set_interlace_handling(png);
  for (int pass = 0; pass < passes; ++pass) {
    for (uint32_t y = 0; y < spec.height; ++y) png_write_row(png, row(y));
  }
  png_write_end(png, nullptr);
  png_destroy_write_struct(&png, &info);
  return bytes;
}

std::string MakePng(const PngSpec& spec, const std::vector<uint16_t>& samples) {
  const size_t row_samples = size_t{spec.width} * ChannelsOf(spec);
  const size_t row_bytes = (row_samples * spec.bit_depth + 7) / 8;
  std::vector<uint8_t> row(row_bytes);
  return MakePngOfRows(spec, [&](uint32_t y) {
    row.assign(row_bytes, 0);
    for (size_t i = 0; i < row_samples; ++i) {
      const uint16_t sample = samples[y * row_samples + i];
      if (spec.bit_depth == 16) row[2 * i] = static_cast<uint8_t>(sample >> 8);
      if (spec.bit_depth >= 8) {
        row[(i + 1) * spec.bit_depth / 8 - 1] = static_cast<uint8_t>(sample);
      } else {
        const size_t bit = i * spec.bit_depth;
        row[bit / 8] |= static_cast<uint8_t>(sample << (8 - spec.bit_depth - bit % 8));
      }
    }
    return row.data();
  });
}

std::vector<PngSpec> EveryPngKind() {
  std::vector<PngSpec> kinds;
  const auto add = [&kinds](int color_type, std::initializer_list<int> depths) {
    for (const int depth : depths) {
      PngSpec spec{.bit_depth = depth, .color_type = color_type};
      if (color_type == PNG_COLOR_TYPE_PALETTE) spec.palette = ColorfulPalette(1 << depth);
      kinds.push_back(spec);
      if (color_type & PNG_COLOR_MASK_ALPHA) continue;
      AddTransparency(&spec);
      kinds.push_back(spec);
    }
  };
  add(PNG_COLOR_TYPE_GRAY, {1, 2, 4, 8, 16});
  add(PNG_COLOR_TYPE_PALETTE, {1, 2, 4, 8});
  add(PNG_COLOR_TYPE_RGB, {8, 16});
  add(PNG_COLOR_TYPE_GRAY_ALPHA, {8, 16});
  add(PNG_COLOR_TYPE_RGB_ALPHA, {8, 16});
  return kinds;
}

std::vector<uint16_t> RandomSamples(const PngSpec& spec, std::mt19937* random) {
  const uint32_t values =
      spec.palette.empty() ? 1u << spec.bit_depth : static_cast<uint32_t>(spec.palette.size());
  std::vector<uint16_t> samples(size_t{spec.width} * spec.height * ChannelsOf(spec));
  for (uint16_t& sample : samples) sample = static_cast<uint16_t>((*random)() % values);
  return samples;
}

std::vector<PngChunk> SplitChunks(const std::string& png) {
  std::vector<PngChunk> chunks;
  for (size_t at = kSignatureBytes; at + 12 <= png.size();) {
    const size_t length = BigEndian(png, at);
    if (length > png.size() - at - 12) break;
    chunks.push_back({png.substr(at + 4, 4), png.substr(at + 8, length)});
    at += 12 + length;
  }
  return chunks;
}

std::string JoinChunks(const std::vector<PngChunk>& chunks) {
  std::string png(kSignature, kSignatureBytes);
  for (const PngChunk& chunk : chunks) {
    AppendBigEndian(static_cast<uint32_t>(chunk.data.size()), &png);
    const std::string checked = chunk.type + chunk.data;
    png += checked;
    AppendBigEndian(static_cast<uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(checked.data()),
                                                static_cast<uInt>(checked.size()))),
                    &png);
  }
  return png;
}

}  // namespace hmar
