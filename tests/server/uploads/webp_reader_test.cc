#include "server/uploads/webp_reader.h"

#include <gtest/gtest.h>
#include <webp/decode.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "server/uploads/picture_reader.h"
#include "server/uploads/webp_codes.h"
#include "tests/server/uploads/picture_maker.h"

namespace hmar {
namespace {

const UploadLimits kLimits;

std::string NameOf(const WebpSpec& spec) {
  return std::string(spec.lossless ? "lossless" : "lossy") + (spec.alpha ? ", alpha" : "") + ", " +
         std::to_string(spec.width) + " x " + std::to_string(spec.height);
}

std::vector<WebpSpec> EveryKind(uint32_t width, uint32_t height) {
  std::vector<WebpSpec> kinds;
  for (const bool lossless : {false, true}) {
    for (const bool alpha : {false, true}) kinds.push_back({width, height, lossless, alpha});
  }
  return kinds;
}

std::vector<uint8_t> SamplesOf(const WebpSpec& spec) {
  const Picture picture = SmoothPicture(spec.width, spec.height);
  if (!spec.alpha) return picture.rgb;
  std::vector<uint8_t> samples;
  for (size_t i = 0; i < picture.rgb.size(); i += 3) {
    samples.insert(samples.end(), {picture.rgb[i], picture.rgb[i + 1], picture.rgb[i + 2],
                                   static_cast<uint8_t>(i * 5 % 256)});
  }
  return samples;
}

std::string Webp(const WebpSpec& spec) { return MakeWebp(spec, SamplesOf(spec)); }

// By libwebp's simplest call, which shares no code of ours: RGBA.
std::vector<uint8_t> Decode(const std::string& webp) {
  int width = 0, height = 0;
  uint8_t* rgba =
      WebPDecodeRGBA(reinterpret_cast<const uint8_t*>(webp.data()), webp.size(), &width, &height);
  EXPECT_NE(rgba, nullptr);
  if (rgba == nullptr) return {};
  const std::vector<uint8_t> pixels(rgba, rgba + size_t{4} * width * height);
  WebPFree(rgba);
  return pixels;
}

Picture OverWhite(uint32_t width, uint32_t height, const std::vector<uint8_t>& rgba) {
  Picture picture{width, height, {}};
  for (size_t i = 0; i < rgba.size(); ++i) {
    if (i % 4 == 3) continue;
    const double alpha = rgba[i | 3] / 255.0;
    picture.rgb.push_back(static_cast<uint8_t>(std::lround(rgba[i] * alpha + 255 * (1 - alpha))));
  }
  return picture;
}

TEST(WebpReaderTest, EveryKindReadsAsLibwebpDecodesIt) {
  for (const auto& [width, height] :
       std::vector<std::pair<int, int>>{{1, 1}, {4, 4}, {17, 9}, {64, 40}, {300, 211}}) {
    for (const WebpSpec& spec : EveryKind(width, height)) {
      const std::string webp = Webp(spec);
      const std::vector<uint8_t> rgba = Decode(webp);
      const auto picture = ReadPicture(webp, kLimits);
      const auto mask = ReadMask(webp, kLimits);
      ASSERT_TRUE(picture.ok()) << NameOf(spec) << ": " << picture.status();
      ASSERT_TRUE(mask.ok()) << NameOf(spec) << ": " << mask.status();
      EXPECT_EQ(picture->rgb, OverWhite(width, height, rgba).rgb) << NameOf(spec);
      for (size_t i = 0; i < mask->white.size(); ++i) {
        const double luma = 0.299 * rgba[4 * i] + 0.587 * rgba[4 * i + 1] + 0.114 * rgba[4 * i + 2];
        EXPECT_EQ(mask->white[i], luma >= 127.5) << NameOf(spec) << ", pixel " << i;
      }
    }
  }
}

TEST(WebpReaderTest, ALosslessPictureComesBackByteForByte) {
  const std::vector<uint8_t> noise = NoiseSamples(3 * 70 * 50);
  for (int method = 0; method <= 6; ++method) {
    const auto picture = ReadPicture(
        MakeWebp({.width = 70, .height = 50, .lossless = true, .method = method}, noise), kLimits);
    ASSERT_TRUE(picture.ok()) << picture.status();
    EXPECT_EQ(picture->rgb, noise) << "method " << method;
  }
}

TEST(WebpReaderTest, EveryOrientationIsTurnedUpright) {
  for (WebpSpec spec : EveryKind(21, 13)) {
    const Picture stored = OverWhite(21, 13, Decode(Webp(spec)));
    for (spec.orientation = 1; spec.orientation <= 8; ++spec.orientation) {
      const std::string webp = Webp(spec);
      const Picture upright = Upright(stored, spec.orientation);
      const auto header = ReadPictureHeader(webp, kLimits);
      ASSERT_TRUE(header.ok()) << header.status();
      EXPECT_EQ(header->width, upright.width);
      EXPECT_EQ(header->height, upright.height);
      const auto picture = ReadPicture(webp, kLimits);
      ASSERT_TRUE(picture.ok()) << picture.status();
      EXPECT_EQ(picture->rgb, upright.rgb) << NameOf(spec) << ", " << spec.orientation;
      EXPECT_EQ(ReadMask(webp, kLimits)->width, upright.width);
    }
  }
}

TEST(WebpReaderTest, TheHeaderSaysWhatIsDecodedBesideThePixels) {
  const auto bytes = [](const WebpSpec& spec) {
    return ReadPictureHeader(Webp(spec), kLimits)->picture_bytes;
  };
  const size_t pixels = 64 * 40, codes = WebpCodeBytes(64, 40);
  EXPECT_EQ(bytes({64, 40}), 3 * pixels);
  EXPECT_EQ(bytes({.width = 64, .height = 40, .orientation = 3}), (3 + 3) * pixels);
  EXPECT_EQ(bytes({.width = 64, .height = 40, .lossless = true}), (3 + 5) * pixels + codes);
  EXPECT_EQ(bytes({.width = 64, .height = 40, .lossless = true, .alpha = true}),
            (3 + 5 + 4) * pixels + codes);
  EXPECT_EQ(bytes({.width = 64, .height = 40, .alpha = true}), (3 + 5 + 1 + 4) * pixels + codes);
  EXPECT_EQ(ReadPictureHeader(Webp({64, 40}), kLimits)->mask_bytes, (1 + 3) * pixels);
}

void ExpectRefused(const std::string& webp, const UploadLimits& limits,
                   const std::string& message) {
  for (const absl::Status& status :
       {ReadPicture(webp, limits).status(), ReadMask(webp, limits).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << message;
    EXPECT_EQ(std::string(status.message()), message);
  }
}

TEST(WebpReaderTest, AnAnimationIsRefused) {
  ExpectRefused(MakeAnimatedWebp(16), kLimits, "an animated WebP; one picture is wanted");
}

TEST(WebpReaderTest, SizesOutOfTheLimitsAreRefusedByTheHeader) {
  const std::string webp = Webp({9, 7});
  ExpectRefused(webp, {.max_bytes = webp.size() - 1},
                std::to_string(webp.size()) + " bytes; at most " + std::to_string(webp.size() - 1));
  ExpectRefused(webp, {.max_pixels = 62}, "9 x 7 pixels, 63 in all; at most 62");
  ExpectRefused(webp, {.max_side_pixels = 8}, "9 x 7 pixels; at most 8 a side");
}

TEST(WebpReaderTest, ATruncationAnywhereIsRefused) {
  for (WebpSpec spec : EveryKind(61, 37)) {
    spec.orientation = spec.lossless ? 6 : 0;
    const std::string webp = Webp(spec);
    for (size_t bytes = 12; bytes < webp.size(); bytes += 3) {
      const auto picture = ReadPicture(webp.substr(0, bytes), kLimits);
      EXPECT_EQ(picture.status().code(), absl::StatusCode::kInvalidArgument) << NameOf(spec);
      EXPECT_TRUE(absl::StartsWith(picture.status().message(),
                                   "truncated WebP: it ends after " + std::to_string(bytes)))
          << NameOf(spec) << ": " << picture.status();
    }
    const auto whole = ReadPicture(webp + "after the end", kLimits);
    EXPECT_TRUE(whole.ok()) << NameOf(spec) << ": " << whole.status();
  }
}

// Its chunks are as long as they say, but the last one ends too early for its picture.
TEST(WebpReaderTest, APictureThatEndsBeforeItsLastRowIsRefused) {
  for (const WebpSpec& spec : EveryKind(61, 37)) {
    std::string webp = MakeWebp(spec, NoiseSamples(size_t{61} * 37 * (spec.alpha ? 4 : 3)));
    const size_t chunk = webp.find(spec.lossless ? "VP8L" : "VP8 ", 12);
    webp.resize(chunk + 8 + 800);
    const auto set = [&webp](size_t at, size_t value) {
      for (int i = 0; i < 4; ++i) webp[at + i] = static_cast<char>(value >> 8 * i);
    };
    set(4, webp.size() - 8);
    set(chunk + 4, 800);
    const auto status = ReadPicture(webp, kLimits).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << NameOf(spec);
    EXPECT_TRUE(absl::StartsWith(status.message(), "damaged WebP: ") ||
                absl::StartsWith(status.message(), "truncated WebP: "))
        << NameOf(spec) << ": " << status;
  }
}

TEST(WebpReaderTest, GroupsOfPrefixCodesAreCountedBeforeTheyAreDecoded) {
  // 16 x 13 tiles: libwebp reads it, too, so it is a WebP, and each tile has its group.
  const std::string few = MakeWebpOfManyCodes(64, 52);
  EXPECT_EQ(Decode(few).size(), size_t{4} * 64 * 52);
  const auto picture = ReadPicture(few, kLimits);
  ASSERT_TRUE(picture.ok()) << picture.status();
  EXPECT_EQ(picture->rgb, std::vector<uint8_t>(size_t{3} * 64 * 52));
  EXPECT_TRUE(ReadPicture(MakeWebpOfManyCodes(4 * 25, 4 * 20), kLimits).ok());  // 500.
  ExpectRefused(MakeWebpOfManyCodes(4 * 167, 4 * 3), kLimits,
                "a lossless WebP of 501 groups of prefix codes; at most 500");
  const std::string bomb = MakeWebpOfManyCodes(1024, 1024);
  EXPECT_LT(bomb.size(), 300'000u);
  ExpectRefused(bomb, kLimits, "a lossless WebP of 65536 groups of prefix codes; at most 500");
}

// What libwebp itself makes has its codes counted without complaint, whatever the effort.
TEST(WebpReaderTest, CodesOfRealPicturesPass) {
  for (const bool noise : {false, true}) {
    for (const int method : {0, 3, 6}) {
      const uint32_t side = 400;
      const std::vector<uint8_t> samples =
          noise ? NoiseSamples(size_t{3} * side * side) : SmoothPicture(side, side).rgb;
      const std::string webp =
          MakeWebp({.width = side, .height = side, .lossless = true, .method = method}, samples);
      const auto picture = ReadPicture(webp, kLimits);
      ASSERT_TRUE(picture.ok()) << picture.status();
      EXPECT_EQ(picture->rgb, samples);
    }
  }
}

TEST(WebpReaderTest, ACancelledReadEnds) {
  int asked = 0;
  const auto check = [&asked](int yes) { return [&asked, yes] { return asked++ >= yes; }; };
  const std::string webp =
      MakeWebp({.width = 200, .height = 300, .lossless = true}, NoiseSamples(3 * 200 * 300));
  EXPECT_EQ(ReadPicture(webp, kLimits, check(0)).status(),
            absl::CancelledError("cancelled before it was decoded"));
  asked = 0;
  EXPECT_EQ(ReadPicture(webp, kLimits, check(3)).status(),
            absl::CancelledError("cancelled while it was decoded"));
  EXPECT_EQ(asked, 4);  // Not asked again.
  asked = 0;
  EXPECT_EQ(
      ReadPicture(Webp({.width = 9, .height = 7, .orientation = 2}), kLimits, check(4)).status(),
      absl::CancelledError("cancelled after 3 of 7 rows"));
}

// Nothing to compare with: under the sanitizers this is what finds a read or write out of bounds.
TEST(WebpReaderTest, MutatedBytesEndInAPictureOrAnError) {
  std::mt19937 random(4);
  int pictures = 0, errors = 0;
  for (WebpSpec spec : EveryKind(33, 20)) {
    spec.orientation = 1 + static_cast<int>(random() % 8);
    const std::string webp = Webp(spec);
    for (int round = 0; round < 500; ++round) {
      std::string mutated = webp;
      for (uint32_t i = 0; i <= random() % 3; ++i) {
        mutated[12 + random() % (webp.size() - 12)] = static_cast<char>(random());
      }
      const auto picture = ReadPicture(mutated, {.max_pixels = 10'000});
      const auto mask = ReadMask(mutated, {.max_pixels = 10'000});
      EXPECT_EQ(picture.status(), mask.status());
      ++(picture.ok() ? pictures : errors);
      if (picture.ok()) {
        EXPECT_EQ(picture->rgb.size(), size_t{3} * picture->width * picture->height);
      } else {
        EXPECT_EQ(picture.status().code(), absl::StatusCode::kInvalidArgument);
      }
    }
  }
  EXPECT_GT(pictures, 100);
  EXPECT_GT(errors, 100);
}

}  // namespace
}  // namespace hmar
