// What `hmar` does where its output goes nowhere: full disks, closed streams, readers that left.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "tests/client/fake_service.h"
#include "tests/client/hmar_fixture.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Pixels that do not compress: a PNG of more than 12 KB.
Picture Noise() {
  Picture noise{64, 64, {}};
  uint32_t state = 1;
  for (size_t i = 0; i < size_t{3} * 64 * 64; ++i) {
    state = state * 1664525 + 1013904223;
    noise.rgb.push_back(static_cast<uint8_t>(state >> 24));
  }
  return noise;
}

class HmarOutputTest : public HmarTest {
 protected:
  HmarOutputTest() { Answer(Square(8, 2)); }

  void Answer(const Picture& picture) {
    auto events = StreamOf(1, 7, v1::OutputOptions::FORMAT_PNG);
    *events[1].mutable_image()->mutable_picture() =
        MakePicture(picture, v1::OutputOptions::FORMAT_PNG);
    server_.service().SetScript({.events = events, .status = {}});
  }

  const std::vector<std::string> generate_ = {"generate", "--out", Path("out")};
};

TEST_F(HmarOutputTest, APictureThatDoesNotFitTheDiskExitsWith4AndLeavesNoPartOfIt) {
  Answer(Noise());
  const ProcessResult result = RunInShell("ulimit -f 8 && exec \"$@\"", generate_);  // 4 KiB.
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_EQ(result.error.substr(result.error.find("hmar:")),
            "hmar: UNKNOWN: cannot write '" + Path("out/image-7.png") + "': File too large\n");
  EXPECT_THAT(FilesIn("out"), ElementsAre());
}

TEST_F(HmarOutputTest, AFullDeviceIsNamed) {
  std::filesystem::create_directories(Path("out"));
  std::filesystem::create_symlink("/dev/full", Path("out/image-7.png"));
  const ProcessResult result = Run(generate_);
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_THAT(result.error,
              HasSubstr("cannot write '" + Path("out/image-7.png") + "': No space left on device"));
}

TEST_F(HmarOutputTest, APictureOfBeforeStaysWholeWhereTheNewOneDoesNotFit) {
  ASSERT_EQ(Run(generate_).exit_code, 0);
  const std::string before = ReadFile(Path("out/image-7.png")).value();
  Answer(Noise());
  EXPECT_EQ(RunInShell("ulimit -f 8 && exec \"$@\"", generate_).exit_code, 4);
  EXPECT_EQ(ReadFile(Path("out/image-7.png")).value(), before);
}

TEST_F(HmarOutputTest, StandardOutputThatIsFullExitsWith4AfterThePictures) {
  for (const std::vector<std::string>& arguments :
       {generate_, {"models"}, {"models", "--json"}, {"--help"}}) {
    const ProcessResult result = RunInShell("exec \"$@\" > /dev/full", arguments);
    EXPECT_EQ(result.exit_code, 4) << arguments[0];
    EXPECT_THAT(result.error, HasSubstr("cannot write to standard output: No space left"));
  }
  EXPECT_THAT(FilesIn("out"), ElementsAre("image-7.png", "sheet.png"));
}

TEST_F(HmarOutputTest, StandardOutputThatIsClosedIsAnErrorAndNoOtherFileTakesItsPlace) {
  const ProcessResult result = RunInShell("exec \"$@\" >&-", generate_);
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_THAT(result.error, HasSubstr("cannot write to standard output: Bad file descriptor"));
  EXPECT_EQ(ReadPicture("out/image-7.png").rgb, Square(8, 2).rgb);
}

TEST_F(HmarOutputTest, StandardErrorThatIsClosedChangesNothing) {
  const ProcessResult result = RunInShell("exec \"$@\" 2>&- <&-", generate_);
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, Path("out/image-7.png") + "\n" + Path("out/sheet.png") + "\n");
  EXPECT_EQ(ReadPicture("out/image-7.png").rgb, Square(8, 2).rgb);
}

TEST_F(HmarOutputTest, PicturesAreMadeAlthoughNobodyReadsTheProgress) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  close(ends[0]);
  std::vector<std::string> arguments = generate_;
  arguments.insert(arguments.begin(), HMAR_PROGRAM);
  Subprocess program(arguments, folder_, {"HMAR_SERVER=" + server_.address()}, ends[1]);
  close(ends[1]);
  EXPECT_EQ(program.Wait().exit_code, 0);
  EXPECT_THAT(FilesIn("out"), ElementsAre("image-7.png", "sheet.png"));
}

}  // namespace
}  // namespace hmar
