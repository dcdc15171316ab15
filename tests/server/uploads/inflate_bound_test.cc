// How much of an upload is inflated: the program's own inflate() stands before zlib's and counts
// for libpng, too.

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <string>
#include <vector>

#include "server/uploads/picture_reader.h"
#include "tests/server/uploads/png_maker.h"

namespace {

uint64_t inflated_bytes = 0;

}  // namespace

extern "C" int inflate(z_streamp stream, int flush) {
  static const auto zlibs = reinterpret_cast<int (*)(z_streamp, int)>(dlsym(RTLD_NEXT, "inflate"));
  const uLong before = stream->total_out;
  const int result = zlibs(stream, flush);
  inflated_bytes += stream->total_out - before;
  return result;
}

namespace hmar {
namespace {

std::string Deflated(const std::string& data) {
  uLongf size = compressBound(data.size());
  std::string deflated(size, '\0');
  EXPECT_EQ(compress2(reinterpret_cast<Bytef*>(deflated.data()), &size,
                      reinterpret_cast<const Bytef*>(data.data()), data.size(), 1),
            Z_OK);
  deflated.resize(size);
  return deflated;
}

// A picture whose image data goes on for so long behind its last row, in IDAT chunks of 1,000
// bytes.
std::string PngWithMore(const PngSpec& spec, size_t data_bytes, size_t more_bytes) {
  std::vector<PngChunk> chunks =
      SplitChunks(MakePng(spec, std::vector<uint16_t>(size_t{3} * spec.width * spec.height)));
  std::erase_if(chunks, [](const PngChunk& chunk) { return chunk.type == "IDAT"; });
  const std::string data = Deflated(std::string(data_bytes + more_bytes, '\0'));
  for (size_t at = 0; at < data.size(); at += 1000) {
    chunks.insert(chunks.end() - 1, {"IDAT", data.substr(at, 1000)});
  }
  return JoinChunks(chunks);
}

void ExpectNoMoreInflatedThanRows(const PngSpec& spec, size_t data_bytes) {
  const std::string png = PngWithMore(spec, data_bytes, 50'000'000);
  inflated_bytes = 0;
  const auto picture = ReadPicture(png, UploadLimits{});
  EXPECT_TRUE(picture.ok()) << picture.status();
  EXPECT_GE(inflated_bytes, data_bytes);
  EXPECT_LE(inflated_bytes, data_bytes + 1 + 3 * spec.width);
  inflated_bytes = 0;
  EXPECT_TRUE(ReadMask(png, UploadLimits{}).ok());
  EXPECT_LE(inflated_bytes, data_bytes + 1 + 3 * spec.width);
}

TEST(InflateBoundTest, WhatLiesBehindTheLastRowIsNotInflated) {
  ExpectNoMoreInflatedThanRows({.width = 8, .height = 5}, 5 * (1 + 3 * 8));
}

TEST(InflateBoundTest, NorIsWhatLiesBehindTheLastPass) {
  // Passes of 1 x 1, 1 x 1, 2 x 1, 2 x 2, 4 x 2, 4 x 4 and 8 x 4 pixels.
  const size_t rows = 1 + 1 + 1 + 2 + 2 + 4 + 4, pixels = 8 * 8;
  ExpectNoMoreInflatedThanRows({.width = 8, .height = 8, .interlaced = true}, rows + 3 * pixels);
}

}  // namespace
}  // namespace hmar
