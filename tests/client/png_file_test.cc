#include "client/png_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/client/fake_service.h"

namespace hmar {
namespace {

using ::testing::HasSubstr;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

TEST(PngFileTest, PicturesSurviveARoundTrip) {
  Picture picture{3, 2, {}};
  for (uint8_t i = 0; i < 18; ++i) picture.rgb.push_back(14 * i);
  const auto png = EncodePng(picture);
  ASSERT_TRUE(png.ok()) << png.status();
  const auto decoded = DecodePng(*png, "test");
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->width, 3);
  EXPECT_EQ(decoded->height, 2);
  EXPECT_EQ(decoded->rgb, picture.rgb);
}

TEST(PngFileTest, TextThatIsNoPngIsAnErrorThatNamesItsSource) {
  const auto decoded = DecodePng("not a png", "ship.png");
  EXPECT_EQ(decoded.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(decoded.status()), HasSubstr("ship.png: not a PNG"));
}

TEST(PngFileTest, EveryTruncationIsAnError) {
  const std::string png = EncodePng(Square(8, 3)).value();
  for (size_t bytes = 0; bytes + 12 < png.size(); ++bytes) {  // Without IEND the pixels are whole.
    EXPECT_FALSE(DecodePng(png.substr(0, bytes), "cut").ok()) << bytes << " of " << png.size();
  }
}

TEST(PngFileTest, AHugePictureIsRefusedByItsHeader) {
  const auto decoded =
      DecodePng(EncodePng(Picture{16385, 1, std::vector<uint8_t>(3 * 16385)}).value(), "wide");
  EXPECT_EQ(decoded.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(decoded.status()), HasSubstr("16385 x 1"));
}

TEST(PngFileTest, FilesSurviveARoundTrip) {
  const std::string path = testing::TempDir() + "/png_file_test." + std::to_string(getpid());
  const std::string bytes("a\0b\nc", 5);
  ASSERT_TRUE(WriteFile(path, bytes).ok());
  EXPECT_EQ(ReadFile(path).value(), bytes);
  ASSERT_TRUE(WriteFile(path, "x").ok());
  EXPECT_EQ(ReadFile(path).value(), "x");
  ASSERT_TRUE(WriteFile(path, "").ok());
  EXPECT_EQ(ReadFile(path).value(), "");
  unlink(path.c_str());
}

TEST(PngFileTest, FilesThatCannotBeOpenedAreNamed) {
  EXPECT_EQ(ReadFile("/no/such/file").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReadFile("/").status().code(), absl::StatusCode::kNotFound);  // A folder.
  EXPECT_THAT(Message(WriteFile("/no/such/file", "x")), HasSubstr("'/no/such/file'"));
}

}  // namespace
}  // namespace hmar
