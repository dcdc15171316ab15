#include "client/terminal/picture_bytes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/png_codec.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;

Picture Gradient(uint32_t width, uint32_t height) {
  Picture picture{width, height, {}};
  for (uint32_t y = 0; y < height; ++y) {
    for (uint32_t x = 0; x < width; ++x) {
      picture.rgb.push_back(static_cast<uint8_t>(x * 7));
      picture.rgb.push_back(static_cast<uint8_t>(y * 11));
      picture.rgb.push_back(static_cast<uint8_t>(x * y));
    }
  }
  return picture;
}

// Pixels that no PNG makes small.
Picture Noise(uint32_t side) {
  Picture picture{side, side, {}};
  uint32_t state = 1;
  for (size_t i = 0; i < size_t{3} * side * side; ++i) {
    state = state * 1664525 + 1013904223;
    picture.rgb.push_back(static_cast<uint8_t>(state >> 24));
  }
  return picture;
}

// The text between two marks, which both must be there; `text` is left behind them.
std::string Between(absl::string_view& text, absl::string_view start, absl::string_view end) {
  const size_t from = text.find(start);
  const size_t to = text.find(end, from + start.size());
  if (from != 0 || to == absl::string_view::npos) {
    ADD_FAILURE() << "no " << absl::CEscape(start) << " at " << absl::CEscape(text.substr(0, 40));
    text = "";
    return "";
  }
  std::string inside(text.substr(start.size(), to - start.size()));
  text.remove_prefix(to + end.size());
  return inside;
}

std::string Decode64(const std::string& text) {
  std::string bytes;
  EXPECT_TRUE(absl::Base64Unescape(text, &bytes));
  return bytes;
}

// Reads DEC's sixels as a terminal does.
class SixelReader {
 public:
  Picture Read(absl::string_view text) {
    std::string body = Between(text, "\x1bP", "\x1b\\");
    EXPECT_EQ(text, "");
    at_ = body.c_str() + body.find('q') + 1;
    const char* end = body.c_str() + body.size();
    while (at_ < end) Command(*at_++);
    return picture_;
  }

 private:
  std::vector<int> Numbers() {
    std::vector<int> numbers;
    do {
      char* end = nullptr;
      numbers.push_back(static_cast<int>(std::strtol(at_, &end, 10)));
      at_ = end;
    } while (*at_ == ';' && ++at_ != nullptr);
    return numbers;
  }

  void Command(char c) {
    if (c == '"') {
      const std::vector<int> raster = Numbers();
      picture_ = {static_cast<uint32_t>(raster[2]), static_cast<uint32_t>(raster[3]), {}};
      picture_.rgb.resize(size_t{3} * picture_.width * picture_.height);
    } else if (c == '#') {
      const std::vector<int> colour = Numbers();
      if (colour.size() == 5) {
        EXPECT_EQ(colour[1], 2);  // RGB, in percent.
        for (int i = 0; i < 3; ++i) palette_[colour[0]][i] = (colour[2 + i] * 255 + 50) / 100;
      }
      colour_ = colour[0];
    } else if (c == '!') {
      const int times = Numbers()[0];
      const char sixel = *at_++;
      for (int i = 0; i < times; ++i) Put(sixel);
    } else if (c == '$') {
      x_ = 0;
    } else if (c == '-') {
      x_ = 0;
      y_ += 6;
    } else if (c >= '?' && c <= '~') {
      Put(c);
    }
  }

  void Put(char sixel) {
    for (uint32_t bit = 0; bit < 6; ++bit) {
      if ((((sixel - '?') >> bit) & 1) == 0 || x_ >= picture_.width ||
          y_ + bit >= picture_.height) {
        continue;
      }
      for (int c = 0; c < 3; ++c) {
        picture_.rgb[(size_t{y_ + bit} * picture_.width + x_) * 3 + c] =
            static_cast<uint8_t>(palette_[colour_][c]);
      }
    }
    ++x_;
  }

  const char* at_ = nullptr;
  Picture picture_;
  std::map<int, std::map<int, int>> palette_;
  int colour_ = 0;
  uint32_t x_ = 0;
  uint32_t y_ = 0;
};

double MeanDistance(const Picture& a, const Picture& b) {
  double sum = 0;
  for (size_t i = 0; i < a.rgb.size(); ++i) sum += std::abs(a.rgb[i] - b.rgb[i]);
  return sum / static_cast<double>(a.rgb.size());
}

TEST(SizeTest, PicturesKeepTheirProportions) {
  const Picture wide{200, 100, {}};
  EXPECT_EQ(SizeInside(wide, {100, 100}), (Size{100, 50}));
  EXPECT_EQ(SizeInside(wide, {400, 100}), (Size{200, 100}));
  EXPECT_EQ(SizeInside({1, 4096, {}}, {10, 10}), (Size{1, 10}));
  EXPECT_EQ(SizeInside({4096, 1, {}}, {10, 10}), (Size{10, 1}));
}

TEST(ScaledTest, LargerRepeatsAndSmallerAverages) {
  const Picture two{2, 1, {0, 10, 20, 100, 110, 120}};
  EXPECT_THAT(ScaledTo(two, {4, 1}).rgb,
              ElementsAre(0, 10, 20, 0, 10, 20, 100, 110, 120, 100, 110, 120));
  EXPECT_THAT(ScaledTo(two, {1, 1}).rgb, ElementsAre(50, 60, 70));
  EXPECT_EQ(ScaledTo(Gradient(5, 7), {5, 7}).rgb, Gradient(5, 7).rgb);
}

TEST(KittyTest, ThePngComesBackOutOfItsChunks) {
  const Picture noise = Noise(64);
  const std::string bytes = KittyPicture(EncodePng(noise).value(), 77, {8, 4});
  absl::string_view rest = bytes;
  std::string text;
  for (int chunks = 0; !rest.empty(); ++chunks) {
    const std::string inside = Between(rest, "\x1b_G", "\x1b\\");
    const size_t split = inside.find(';');
    ASSERT_NE(split, std::string::npos);
    const std::string more = rest.empty() ? "m=0" : "m=1";
    EXPECT_EQ(inside.substr(0, split),
              (chunks == 0 ? "a=T,f=100,i=77,p=1,c=8,r=4,C=1,q=2," : "q=2,") + more);
    EXPECT_LE(inside.size() - split - 1, 4096U);
    text += inside.substr(split + 1);
  }
  EXPECT_EQ(DecodePng(Decode64(text), "kitty").value().rgb, noise.rgb);
  EXPECT_EQ(KittyDelete(77), "\x1b_Ga=d,d=I,i=77,q=2\x1b\\");
}

TEST(KittyTest, AChunkIsNeverEmptyAtTheEnd) {
  const std::string exact(4096 / 4 * 3, 'x');  // 4096 characters of base64.
  EXPECT_TRUE(absl::StartsWith(KittyPicture(exact, 1, {1, 1}),
                               "\x1b_Ga=T,f=100,i=1,p=1,c=1,r=1,C=1,q=2,m=0;"));
}

TEST(Iterm2Test, ThePngComesBack) {
  const Picture picture = Gradient(9, 5);
  const std::string png = EncodePng(picture).value();
  const std::string bytes = Iterm2Picture(png, {8, 4});
  absl::string_view rest = bytes;
  const std::string head = absl::StrCat("\x1b]1337;File=inline=1;size=", png.size(),
                                        ";width=8;height=4;preserveAspectRatio=1:");
  EXPECT_EQ(DecodePng(Decode64(Between(rest, head, "\x07")), "iterm2").value().rgb, picture.rgb);
  EXPECT_EQ(rest, "");
}

// libsixel takes the upper five bits of each sample, sixels are in percent.
TEST(SixelTest, FewColoursComeBackAllButAsTheyWere) {
  Picture flags{40, 20, {}};
  for (uint32_t i = 0; i < 40 * 20; ++i) {
    const bool left = i % 40 < 17;
    for (const int c : {left ? 255 : 0, 0, left ? 51 : 255}) {
      flags.rgb.push_back(static_cast<uint8_t>(c));
    }
  }
  const Picture shown = SixelReader().Read(SixelPicture(flags).value());
  EXPECT_EQ(shown.width, 40U);
  EXPECT_EQ(shown.height, 20U);
  ASSERT_EQ(shown.rgb.size(), flags.rgb.size());
  for (size_t i = 0; i < flags.rgb.size(); ++i) ASSERT_NEAR(shown.rgb[i], flags.rgb[i], 9) << i;
}

TEST(SixelTest, ManyColoursComeBackNearly) {
  const Picture picture = Gradient(36, 23);
  const Picture shown = SixelReader().Read(SixelPicture(picture).value());
  ASSERT_EQ(shown.rgb.size(), picture.rgb.size());
  EXPECT_LT(MeanDistance(shown, picture), 12);
  EXPECT_TRUE(SixelPicture(Noise(100)).ok());
  EXPECT_TRUE(SixelPicture(Gradient(1, 1)).ok());
}

TEST(BlocksTest, ACellIsTwoPixels) {
  const Picture picture{2,
                        3,
                        {1, 2, 3, 4, 5, 6,     //
                         7, 8, 9, 10, 11, 12,  //
                         13, 14, 15, 13, 14, 15}};
  EXPECT_THAT(BlockRows(picture, Colours::k24Bit),
              ElementsAre("\x1b[38;2;1;2;3;48;2;7;8;9m▀\x1b[38;2;4;5;6;48;2;10;11;12m▀\x1b[0m",
                          "\x1b[38;2;13;14;15m▀▀\x1b[0m"));
}

TEST(BlocksTest, With256ColoursTheNearestOfTheCubeIsTaken) {
  const Picture picture{2, 2, {0, 0, 0, 255, 255, 255, 255, 0, 0, 95, 135, 175}};
  EXPECT_THAT(BlockRows(picture, Colours::k256),
              ElementsAre("\x1b[38;5;16;48;5;196m▀\x1b[38;5;231;48;5;67m▀\x1b[0m"));
}

}  // namespace
}  // namespace hmar
