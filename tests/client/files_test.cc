#include "client/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

class FilesTest : public testing::Test {
 protected:
  FilesTest() { std::filesystem::create_directories(folder_); }
  ~FilesTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ / name; }

  std::set<std::string> Names() const {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      names.insert(entry.path().filename());
    }
    return names;
  }

  mode_t ModeOf(const std::string& name) const {
    struct stat found = {};
    stat(Path(name).c_str(), &found);
    return found.st_mode & 0777;
  }

  const std::filesystem::path folder_ =
      std::filesystem::path(testing::TempDir()) / absl::StrCat("files_test.", getpid());
};

// While it lives, no file of this process may grow beyond so many bytes: a disk that fills up in
// the middle of a file, for whoever writes one.
class SmallDisk {
 public:
  explicit SmallDisk(rlim_t bytes) {
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit small = {bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
  }
  ~SmallDisk() { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_;
};

TEST_F(FilesTest, FilesSurviveARoundTrip) {
  const std::string bytes("a\0b\nc", 5);
  for (const std::string& content : {bytes, std::string("x"), std::string()}) {
    ASSERT_TRUE(WriteFile(Path("file"), content).ok());
    EXPECT_EQ(ReadFile(Path("file")).value(), content);
  }
  EXPECT_THAT(Names(), ElementsAre("file"));
}

TEST_F(FilesTest, APathWithoutAFolderIsInThisOne) {
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder_);
  const absl::Status status = WriteFile("here", "x");
  std::filesystem::current_path(before);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(ReadFile(Path("here")).value(), "x");
}

TEST_F(FilesTest, FilesThatCannotBeOpenedAreNamedWithTheReason) {
  EXPECT_EQ(ReadFile("/no/such/file").status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Message(ReadFile("/no/such/file").status()),
              HasSubstr("'/no/such/file': No such file"));
  EXPECT_THAT(Message(ReadFile("/").status()), HasSubstr("'/': Is a directory"));
  EXPECT_THAT(Message(WriteFile("/no/such/file", "x")), HasSubstr("'/no/such/file': No such file"));
  EXPECT_THAT(Message(WriteFile(folder_, "x")), HasSubstr("Is a directory"));
}

TEST_F(FilesTest, AFileIsReadUpToItsLimitAndNoFurther) {
  const std::string path = Path("file");
  ASSERT_TRUE(WriteFile(path, "12345").ok());
  EXPECT_EQ(ReadFile(path, 5).value(), "12345");
  EXPECT_EQ(ReadFile(path, 4).status(),
            absl::InvalidArgumentError("'" + path + "' has 5 bytes; at most 4"));
  EXPECT_EQ(ReadFile("/dev/zero", 1000).status(),
            absl::InvalidArgumentError("'/dev/zero' has more than 1000 bytes; at most 1000"));
}

TEST_F(FilesTest, WhatDoesNotFitTheDiskLeavesNothing) {
  absl::Status status;
  {
    const SmallDisk disk(1 << 20);
    status = WriteFile(Path("new"), std::string(2 << 20, 'x'));
  }
  EXPECT_EQ(status, absl::UnknownError("cannot write '" + Path("new") + "': File too large"));
  EXPECT_THAT(Names(), ElementsAre());
}

TEST_F(FilesTest, WhatDoesNotFitTheDiskLeavesTheFileThatWasThere) {
  ASSERT_TRUE(WriteFile(Path("old"), "before").ok());
  {
    const SmallDisk disk(1 << 20);
    EXPECT_FALSE(WriteFile(Path("old"), std::string(2 << 20, 'x')).ok());
  }
  EXPECT_EQ(ReadFile(Path("old")).value(), "before");
  EXPECT_THAT(Names(), ElementsAre("old"));
}

TEST_F(FilesTest, AFullDeviceIsAnError) {
  EXPECT_EQ(WriteFile("/dev/full", "x"),
            absl::UnknownError("cannot write '/dev/full': No space left on device"));
}

TEST_F(FilesTest, ADeviceStaysOneAndTakesWhatIsWritten) {
  EXPECT_TRUE(WriteFile("/dev/null", "x").ok());
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
}

TEST_F(FilesTest, PermissionsStayAndNewFilesHaveTheUsualOnes) {
  const mode_t mask = umask(022);
  ASSERT_TRUE(WriteFile(Path("file"), "x").ok());
  EXPECT_EQ(ModeOf("file"), 0644);
  chmod(Path("file").c_str(), 0600);
  ASSERT_TRUE(WriteFile(Path("file"), "y").ok());
  EXPECT_EQ(ModeOf("file"), 0600);
  umask(mask);
}

TEST_F(FilesTest, ALinkStaysAndItsFileIsReplaced) {
  ASSERT_TRUE(WriteFile(Path("file"), "x").ok());
  std::filesystem::create_symlink("file", Path("link"));
  ASSERT_TRUE(WriteFile(Path("link"), "y").ok());
  EXPECT_TRUE(std::filesystem::is_symlink(Path("link")));
  EXPECT_EQ(ReadFile(Path("file")).value(), "y");
}

TEST_F(FilesTest, WhatAKilledProcessLeftIsNotInTheWay) {
  const std::string left = Path(absl::StrCat(".hmar-", getpid(), "-0"));
  ASSERT_TRUE(WriteFile(Path("file"), "left").ok());
  std::filesystem::rename(Path("file"), left);
  ASSERT_TRUE(WriteFile(Path("file"), "x").ok());
  EXPECT_EQ(ReadFile(left).value(), "left");
}

}  // namespace
}  // namespace hmar
