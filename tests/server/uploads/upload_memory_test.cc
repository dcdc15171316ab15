// What reading the largest uploads costs in memory, as the kernel counts it.

#include <gtest/gtest.h>
#include <malloc.h>
#include <zlib.h>

#include <fstream>
#include <string>
#include <variant>
#include <vector>

#include "server/uploads/edit_source.h"
#include "tests/server/uploads/picture_maker.h"
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

// By how much the peak of resident memory exceeds what is resident now, while `work` runs. Large
// blocks are the kernel's as soon as they are free: else one that an earlier picture has left
// would be used again, and not be seen.
template <typename Work>
double PeakMegabytesOf(const Work& work) {
  mallopt(M_MMAP_THRESHOLD, 128 << 10);
  malloc_trim(0);
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

// What a header says that reading takes is what it takes, but for a few rows.
void ExpectAsTheHeaderSays(const std::string& file) {
  if (kSanitized) GTEST_SKIP() << "the sanitizer's own memory would be counted";
  const auto header = ReadPictureHeader(file, UploadLimits{});
  ASSERT_TRUE(header.ok()) << header.status();
  for (const bool mask : {false, true}) {
    const double most =
        static_cast<double>(mask ? header->mask_bytes : header->picture_bytes) / kMegabyte;
    bool read = false;
    const double megabytes = PeakMegabytesOf([&] {
      read = mask ? ReadMask(file, UploadLimits{}).ok() : ReadPicture(file, UploadLimits{}).ok();
    });
    EXPECT_TRUE(read);
    EXPECT_LT(megabytes, most + 8) << (mask ? "mask" : "picture");
    if (mask) continue;  // It may get by with memory that the picture has left.
    const double pixels = 3.0 * header->width * header->height / kMegabyte;
    EXPECT_GT(megabytes, 0.9 * pixels) << "this measures something else";
  }
}

TEST(UploadMemoryTest, AJpegTakesWhatItsHeaderSays) {
  constexpr uint32_t kSide = 3000;
  const std::vector<uint8_t> grey(size_t{3} * kSide * kSide, 120);
  for (const bool progressive : {false, true}) {
    for (const int samples : {1, 2}) {
      ExpectAsTheHeaderSays(MakeJpeg({.width = kSide,
                                      .height = kSide,
                                      .across = samples,
                                      .down = samples,
                                      .progressive = progressive,
                                      .orientation = 6},
                                     grey));
    }
  }
}

TEST(UploadMemoryTest, AWebpTakesWhatItsHeaderSays) {
  constexpr uint32_t kSide = 3000;
  for (const bool alpha : {false, true}) {
    const std::vector<uint8_t> grey(size_t{alpha ? 4u : 3u} * kSide * kSide, 120);
    for (const bool lossless : {false, true}) {
      for (const int orientation : {0, 6}) {
        ExpectAsTheHeaderSays(MakeWebp({.width = kSide,
                                        .height = kSide,
                                        .lossless = lossless,
                                        .alpha = alpha,
                                        .orientation = orientation,
                                        .method = 0},
                                       grey));
      }
    }
  }
}

TEST(UploadMemoryTest, AWebpOfManyPrefixCodesIsRefusedBeforeItsTablesAreMade) {
  if (kSanitized) GTEST_SKIP() << "the sanitizer's own memory would be counted";
  const std::string bomb = MakeWebpOfManyCodes(2000, 2000);
  ASSERT_LT(bomb.size(), 1'000'000u);
  bool read = true;
  const double megabytes = PeakMegabytesOf([&] { read = ReadPicture(bomb, UploadLimits{}).ok(); });
  EXPECT_FALSE(read);
  EXPECT_LT(megabytes, 15) << "12 MB are the picture itself";
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
