// How the fuzzer changes a PNG. Blind changes break a checksum and get no further than that, so
// most of them are made inside: to a chunk's data, to the order of chunks, to the pixels before
// they are compressed; then the file is put together again.

#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "tests/server/uploads/png_maker.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace hmar {
namespace {

constexpr size_t kMaxPixelBytes = 1 << 16;

void Mutate(std::string* bytes, size_t max_bytes) {
  const size_t size = std::min(bytes->size(), max_bytes);
  bytes->resize(max_bytes);
  bytes->resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(bytes->data()), size, max_bytes));
}

// The data of all IDAT chunks, decompressed as far as it goes.
std::string Inflated(const std::vector<PngChunk>& chunks) {
  std::string compressed;
  for (const PngChunk& chunk : chunks) {
    if (chunk.type == "IDAT") compressed += chunk.data;
  }
  std::string pixels(kMaxPixelBytes, '\0');
  uLongf size = pixels.size();
  uncompress(reinterpret_cast<Bytef*>(pixels.data()), &size,
             reinterpret_cast<const Bytef*>(compressed.data()), compressed.size());
  pixels.resize(size);
  return pixels;
}

std::string Deflated(const std::string& pixels) {
  uLongf size = compressBound(pixels.size());
  std::string compressed(size, '\0');
  compress(reinterpret_cast<Bytef*>(compressed.data()), &size,
           reinterpret_cast<const Bytef*>(pixels.data()), pixels.size());
  compressed.resize(size);
  return compressed;
}

void MutatePixels(std::vector<PngChunk>* chunks) {
  std::string pixels = Inflated(*chunks);
  Mutate(&pixels, kMaxPixelBytes);
  bool first = true;
  for (PngChunk& chunk : *chunks) {
    if (chunk.type != "IDAT") continue;
    chunk.data = first ? Deflated(pixels) : "";
    first = false;
  }
}

void MutateChunks(std::vector<PngChunk>* chunks, std::mt19937* random) {
  if (chunks->empty()) return;
  const auto any = [&] { return (*random)() % chunks->size(); };
  switch ((*random)() % 6) {
    case 0:
      return std::swap((*chunks)[any()], (*chunks)[any()]);
    case 1:
      return chunks->push_back((*chunks)[any()]);
    case 2:
      chunks->erase(chunks->begin() + static_cast<std::ptrdiff_t>(any()));
      return;
    case 3:
      return MutatePixels(chunks);
    default: {
      PngChunk& chunk = (*chunks)[any()];
      return Mutate(&chunk.data, chunk.data.size() + 16);
    }
  }
}

}  // namespace
}  // namespace hmar

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  std::mt19937 random(seed);
  if (random() % 4 == 0) return LLVMFuzzerMutate(data, size, max_size);
  auto chunks = hmar::SplitChunks(std::string(reinterpret_cast<const char*>(data), size));
  hmar::MutateChunks(&chunks, &random);
  const std::string png = hmar::JoinChunks(chunks);
  if (png.size() > max_size) return LLVMFuzzerMutate(data, size, max_size);
  std::memcpy(data, png.data(), png.size());
  return png.size();
}
