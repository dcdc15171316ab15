#include "tests/client/crafted_png.h"

#include <zlib.h>

#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

std::string BigEndian(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16),
          static_cast<char>(value >> 8), static_cast<char>(value)};
}

// Appends `bytes` zeros to a stream, up to a byte's border at which any other part may follow.
std::string Part(z_stream& stream, size_t bytes) {
  std::string zeros(bytes, '\0');
  std::string part(deflateBound(&stream, bytes) + 16, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(zeros.data());
  stream.avail_in = static_cast<uInt>(zeros.size());
  stream.next_out = reinterpret_cast<Bytef*>(part.data());
  stream.avail_out = static_cast<uInt>(part.size());
  deflate(&stream, Z_FULL_FLUSH);
  part.resize(part.size() - stream.avail_out);
  return part;
}

}  // namespace

std::string PngChunk(absl::string_view type, absl::string_view data) {
  const std::string body = absl::StrCat(type, data);
  const uLong crc = crc32(0, reinterpret_cast<const Bytef*>(body.data()), body.size());
  return absl::StrCat(BigEndian(static_cast<uint32_t>(data.size())), body,
                      BigEndian(static_cast<uint32_t>(crc)));
}

std::string PngStart(uint32_t width, uint32_t height) {
  const std::string kind("\x08\x02\0\0\0", 5);  // 8 bits, RGB, no interlacing.
  return absl::StrCat("\x89PNG\r\n\x1a\n",
                      PngChunk("IHDR", absl::StrCat(BigEndian(width), BigEndian(height), kind)));
}

std::string PngEnd() { return PngChunk("IEND", ""); }

std::string PixelsAndZeros(uint32_t width, uint32_t height, uint32_t megabytes) {
  z_stream stream = {};
  deflateInit(&stream, Z_BEST_COMPRESSION);
  std::string bytes = Part(stream, size_t{height} * (size_t{3} * width + 1));
  const std::string megabyte = Part(stream, 1'000'000);
  deflateEnd(&stream);
  bytes.reserve(bytes.size() + megabytes * megabyte.size());
  for (uint32_t i = 0; i < megabytes; ++i) bytes += megabyte;
  return bytes;
}

std::string DeflatedZeros(size_t bytes) {
  const std::string zeros(bytes, '\0');
  std::string deflated(compressBound(bytes), '\0');
  uLongf size = deflated.size();
  compress2(reinterpret_cast<Bytef*>(deflated.data()), &size,
            reinterpret_cast<const Bytef*>(zeros.data()), bytes, Z_BEST_COMPRESSION);
  deflated.resize(size);
  return deflated;
}

}  // namespace hmar
