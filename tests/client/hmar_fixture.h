#ifndef HMAR_TESTS_CLIENT_HMAR_FIXTURE_H_
#define HMAR_TESTS_CLIENT_HMAR_FIXTURE_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/files.h"
#include "client/png_codec.h"
#include "tests/client/fake_service.h"
#include "tests/client/subprocess.h"

namespace hmar {

// The program `hmar`, a fake service for it, and a folder of the test's own.
class HmarTest : public testing::Test {
 protected:
  HmarTest() {
    folder_ = std::filesystem::path(testing::TempDir()) / absl::StrCat("hmar_test.", getpid());
    std::filesystem::create_directories(folder_);
  }
  ~HmarTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ / name; }

  // Starts `hmar ARGUMENTS`, with the fake server in HMAR_SERVER.
  std::unique_ptr<Subprocess> Start(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), HMAR_PROGRAM);
    return std::make_unique<Subprocess>(
        arguments, folder_, std::vector<std::string>{"HMAR_SERVER=" + server_.address()});
  }
  ProcessResult Run(const std::vector<std::string>& arguments) { return Start(arguments)->Wait(); }

  // Runs it from a line of sh that ends in "$@", the program and its arguments.
  ProcessResult RunInShell(const std::string& line, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"/bin/sh", "-c", line, "sh", HMAR_PROGRAM});
    return Subprocess(arguments, folder_, {"HMAR_SERVER=" + server_.address()}).Wait();
  }

  std::set<std::string> FilesIn(const std::string& name) const {
    std::set<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(Path(name))) {
      files.insert(entry.path().filename());
    }
    return files;
  }

  Picture ReadPicture(const std::string& name) const {
    return DecodePng(ReadFile(Path(name)).value(), name).value();
  }

  FakeServer server_;
  std::filesystem::path folder_;
};

}  // namespace hmar

#endif  // HMAR_TESTS_CLIENT_HMAR_FIXTURE_H_
