#include "server/operations/reloader.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>

#include <cstdio>
#include <deque>
#include <fstream>
#include <string>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/base/file_signature.h"

namespace hmar {
namespace {

using ::testing::HasSubstr;

// Lines of the log, each with its level.
class LineSink final : public spdlog::sinks::sink {
 public:
  void log(const spdlog::details::log_msg& message) override {
    absl::MutexLock lock(&mutex_);
    const auto level = spdlog::level::to_string_view(message.level);
    lines_.push_back(std::string(level.data(), level.size()) + " " +
                     std::string(message.payload.data(), message.payload.size()));
  }
  void flush() override {}
  void set_pattern(const std::string&) override {}
  void set_formatter(std::unique_ptr<spdlog::formatter>) override {}

  std::string Next() {
    const auto any = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !lines_.empty(); };
    absl::MutexLock lock(&mutex_, absl::Condition(&any));
    std::string line = lines_.front();
    lines_.pop_front();
    return line;
  }

 private:
  absl::Mutex mutex_;
  std::deque<std::string> lines_ ABSL_GUARDED_BY(mutex_);
};

class ReloaderTest : public ::testing::Test {
 protected:
  const std::shared_ptr<LineSink> lines_ = std::make_shared<LineSink>();
  Reloader reloader_{std::make_shared<spdlog::logger>("test", lines_)};
};

TEST_F(ReloaderTest, EveryHookRunsInTurnAlsoAfterOneThatFails) {
  reloader_.Add("keys", [] { return absl::NotFoundError("keys.json:3: no such thing"); });
  reloader_.Add("log level", [] { return std::string("debug"); });
  for (int i = 0; i < 2; ++i) {
    reloader_.Request();
    const std::string error = lines_->Next();
    EXPECT_EQ(error, "error reload, keys: keys.json:3: no such thing; all is as it was");
    EXPECT_EQ(lines_->Next(), "info reload, log level: debug");
  }
}

TEST_F(ReloaderTest, RequestsDuringARunAreOneMore) {
  absl::Notification inside;
  absl::Notification go_on;
  int runs = 0;
  reloader_.Add("slow", [&]() -> absl::StatusOr<std::string> {
    if (++runs == 1) {
      inside.Notify();
      go_on.WaitForNotification();
    }
    return std::to_string(runs);
  });
  reloader_.Request();
  inside.WaitForNotification();
  for (int i = 0; i < 5; ++i) reloader_.Request();
  go_on.Notify();
  EXPECT_THAT(lines_->Next(), HasSubstr("slow: 1"));
  EXPECT_THAT(lines_->Next(), HasSubstr("slow: 2"));
  reloader_.Request();
  EXPECT_THAT(lines_->Next(), HasSubstr("slow: 3"));
}

TEST_F(ReloaderTest, AWatchedFileIsReadAgainWhenItIsAnother) {
  const std::string file = ::testing::TempDir() + "reloader_test_file";
  const auto write = [&file](const std::string& text) { std::ofstream(file) << text; };
  write("one");
  const std::string seen = SignatureOf(file);
  write("two, before the watch began");
  reloader_.Watch("keys", file, seen, [&file]() -> absl::StatusOr<std::string> {
    std::string text;
    std::getline(std::ifstream(file) >> std::ws, text);
    return text;
  });
  EXPECT_EQ(lines_->Next(), "info reload, keys: two, before the watch began");
  write("three");
  EXPECT_EQ(lines_->Next(), "info reload, keys: three");
  const std::string next = file + ".new";
  std::ofstream(next) << "four";
  ASSERT_EQ(std::rename(next.c_str(), file.c_str()), 0);
  EXPECT_EQ(lines_->Next(), "info reload, keys: four");
  reloader_.Request();
  EXPECT_EQ(lines_->Next(), "info reload, keys: four");
}

}  // namespace
}  // namespace hmar
