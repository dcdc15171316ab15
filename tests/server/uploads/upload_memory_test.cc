// What reading the largest uploads costs in memory, as the kernel counts it.

#include <gtest/gtest.h>
#include <zlib.h>

#include <fstream>
#include <string>
#include <variant>
#include <vector>

#include "server/uploads/edit_source.h"
#include "tests/server/uploads/png_maker.h"

namespace hmar {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

constexpr double kMegabyte = 1e6;
constexpr double kLimitMegabytes = 200;

double StatusMegabytes(const std::string& field) {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    if (word != field + ":") continue;
    double kib = 0;
    status >> kib;
    return kib * 1024 / kMegabyte;
  }
  ADD_FAILURE() << "no " << field << " in /proc/self/status";
  return 0;
}

// By how much the peak of resident memory exceeds what is resident now, while `work` runs.
template <typename Work>
double PeakMegabytesOf(const Work& work) {
  std::ofstream("/proc/self/clear_refs") << 5;  // The peak starts again from here.
  const double before = StatusMegabytes("VmRSS");
  work();
  return StatusMegabytes("VmHWM") - before;
}

std::string FlatPng(PngSpec spec, uint8_t value) {
  const size_t row_bytes = (size_t{spec.width} * ChannelsOf(spec) * spec.bit_depth + 7) / 8;
  const std::vector<uint8_t> row(row_bytes, value);
  spec.filters = PNG_FILTER_NONE;  // Fast.
  return MakePngOfRows(spec, [&row](uint32_t) { return row.data(); });
}

// Image and mask of one kind, both of the largest size.
void ExpectWithinTheLimit(PngSpec spec, uint32_t side, ResizeMode mode) {
  if (kSanitized) GTEST_SKIP() << "the sanitizer's own memory would be counted";
  const std::string png = FlatPng(spec, 200);
  const EditUpload upload{png, GenerateMask{png}, mode};
  ASSERT_LT(upload.image.size(), UploadLimits{}.max_bytes);
  bool read = false;
  const double megabytes = PeakMegabytesOf([&] {
    const auto source = ReadEditSource(upload, side, UploadLimits{});
    read = std::holds_alternative<EditSource>(source);
  });
  EXPECT_TRUE(read);
  EXPECT_GT(megabytes, 190) << "a 64 megapixel picture has 192 MB: this measures something else";
  EXPECT_LT(megabytes, kLimitMegabytes);
  testing::Test::RecordProperty("peak_megabytes", std::to_string(megabytes));
}

TEST(UploadMemoryTest, APlainPictureOf64MegapixelsStaysWithinTheLimit) {
  ExpectWithinTheLimit({.width = 8000, .height = 8000}, 512, ResizeMode::kCover);
}

TEST(UploadMemoryTest, AnInterlacedPictureOf64MegapixelsOf64BitsStaysWithinTheLimit) {
  ExpectWithinTheLimit({.width = 8000,
                        .height = 8000,
                        .bit_depth = 16,
                        .color_type = PNG_COLOR_TYPE_RGB_ALPHA,
                        .interlaced = true},
                       256, ResizeMode::kCover);
}

TEST(UploadMemoryTest, TheWidestAndTheTallestPicturesStayWithinTheLimit) {
  ExpectWithinTheLimit({.width = 32768, .height = 1953}, 256, ResizeMode::kContain);
  ExpectWithinTheLimit({.width = 1953, .height = 32768}, 256, ResizeMode::kContain);
}

std::string Deflated(size_t zeros) {
  const std::vector<Bytef> data(zeros);
  uLongf size = compressBound(zeros);
  std::string deflated(size, '\0');
  EXPECT_EQ(compress2(reinterpret_cast<Bytef*>(deflated.data()), &size, data.data(), zeros, 1),
            Z_OK);
  deflated.resize(size);
  return deflated;
}

TEST(UploadMemoryTest, TextAndProfilesThatInflateToMuchAreNotInflated) {
  if (kSanitized) GTEST_SKIP() << "the sanitizer's own memory would be counted";
  auto chunks = SplitChunks(FlatPng({.width = 8, .height = 8}, 1));
  const std::string bomb = Deflated(100'000'000);
  chunks.insert(chunks.begin() + 1, {{"iCCP", std::string("p\0\0", 3) + bomb},
                                     {"zTXt", std::string("k\0\0", 3) + bomb},
                                     {"iTXt", std::string("k\0\1\0\0\0", 6) + bomb},
                                     {"quUx", std::string(10'000'000, 'q')}});
  const std::string png = JoinChunks(chunks);
  bool read = false;
  const double megabytes = PeakMegabytesOf([&] { read = ReadPicture(png, UploadLimits{}).ok(); });
  EXPECT_TRUE(read);
  EXPECT_LT(megabytes, 2);
}

}  // namespace
}  // namespace hmar
