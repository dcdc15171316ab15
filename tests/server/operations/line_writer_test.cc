#include "server/operations/line_writer.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace hmar {
namespace {

using ::testing::HasSubstr;

constexpr size_t kPlenty = 1 << 20;
constexpr absl::Duration kPatience = absl::Seconds(60);

std::string Lost(uint64_t lost) { return absl::StrCat("lost ", lost, "\n"); }

// What such lines of `text` say together.
uint64_t LostIn(const std::string& text) {
  uint64_t sum = 0;
  for (size_t at = text.find("lost "); at != std::string::npos; at = text.find("lost ", at + 1)) {
    sum += std::strtoull(text.c_str() + at + 5, nullptr, 10);
  }
  return sum;
}

// A pipe of 4,096 bytes. Who writes to it when its reader has left gets an error, as in the server,
// not a signal.
class Pipe {
 public:
  Pipe() {
    signal(SIGPIPE, SIG_IGN);
    EXPECT_EQ(pipe(ends_.data()), 0);
    EXPECT_EQ(fcntl(ends_[1], F_SETPIPE_SZ, 4096), 4096);
  }
  ~Pipe() {
    CloseReader();
    if (ends_[1] >= 0) close(ends_[1]);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  int writer() const { return ends_[1]; }

  void CloseReader() {
    if (ends_[0] >= 0) close(ends_[0]);
    ends_[0] = -1;
  }

  // For a thread that may still use it when the test is over.
  void KeepWriter() { ends_[1] = -1; }

  void Fill() {
    const std::string text(4096, '.');
    ASSERT_EQ(write(ends_[1], text.data(), text.size()), 4096);
  }

  // Reads until `end` has come.
  std::string ReadUntil(const std::string& end) {
    std::string text;
    char c = 0;
    while (!text.ends_with(end) && read(ends_[0], &c, 1) == 1) text += c;
    return text;
  }

 private:
  std::array<int, 2> ends_ = {-1, -1};
};

TEST(LineWriterTest, WritesLinesInTheirOrderAndWhatWaitsAtTheEnd) {
  Pipe pipe;
  {
    LineWriter writer(pipe.writer(), kPlenty, Lost);
    for (int i = 0; i < 100; ++i) writer.Write(absl::StrCat(i, "\n"));
  }
  std::string expected;
  for (int i = 0; i < 100; ++i) absl::StrAppend(&expected, i, "\n");
  EXPECT_EQ(pipe.ReadUntil("99\n"), expected);
}

TEST(LineWriterTest, LinesOfManyThreadsStayWhole) {
  Pipe pipe;
  LineWriter writer(pipe.writer(), kPlenty, Lost);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) writer.Write("0123456789\n");
    });
  }
  std::string text;
  for (int i = 0; i < 400; ++i) text += pipe.ReadUntil("\n");
  for (std::thread& thread : threads) thread.join();
  std::string expected;
  for (int i = 0; i < 400; ++i) expected += "0123456789\n";
  EXPECT_EQ(text, expected);
  EXPECT_EQ(writer.lost(), 0);
}

TEST(LineWriterTest, WhenTheReaderIsSlowTheOldestGiveWayAndAreCounted) {
  Pipe pipe;
  pipe.Fill();
  // Room for ten lines of 100 bytes, of 1,000; one more may be on its way.
  LineWriter writer(pipe.writer(), 10 * (100 + 32), Lost);
  for (int i = 1000; i < 2000; ++i) writer.Write(absl::StrCat(i, std::string(95, 'x'), "\n"));
  const uint64_t lost = writer.lost();
  EXPECT_GE(lost, 989);
  EXPECT_LE(lost, 990);
  const std::string text = pipe.ReadUntil(absl::StrCat(1999, std::string(95, 'x'), "\n"));
  EXPECT_EQ(LostIn(text), lost);
  EXPECT_THAT(text, HasSubstr("\n1990x"));
  EXPECT_EQ(static_cast<uint64_t>(std::count(text.begin(), text.end(), 'x')) / 95, 1000 - lost);
  writer.Close(kPatience);
  EXPECT_EQ(writer.lost(), lost);
}

TEST(LineWriterTest, ALineLargerThanTheQueueIsLost) {
  Pipe pipe;
  LineWriter writer(pipe.writer(), 1000, Lost);
  writer.Write(std::string(2000, 'x') + "\n");
  writer.Write("small\n");
  EXPECT_EQ(pipe.ReadUntil("small\n"), "lost 1\nsmall\n");
}

TEST(LineWriterTest, AFullPipeHoldsUpTheEndNoLongerThanItsLimit) {
  Pipe pipe;
  pipe.Fill();
  LineWriter writer(pipe.writer(), kPlenty, Lost);
  writer.Write("never\n");
  writer.Close(absl::Milliseconds(1));  // Returns.
  writer.Write("later\n");              // Neither waits nor touches anything that is gone.
  pipe.KeepWriter();
}

TEST(LineWriterTest, AReaderThatLeftCostsLinesAndNothingElse) {
  Pipe pipe;
  pipe.CloseReader();
  LineWriter writer(pipe.writer(), kPlenty, Lost);
  for (int i = 0; i < 3; ++i) writer.Write("x\n");
  writer.Close(kPatience);
  EXPECT_EQ(writer.lost(), 3);
}

TEST(LineWriterTest, WaitsForANonBlockingPipe) {
  Pipe pipe;
  fcntl(pipe.writer(), F_SETFL, O_NONBLOCK);
  LineWriter writer(pipe.writer(), kPlenty, Lost);
  const std::string line = std::string(100'000, 'x') + "\n";
  writer.Write(line);
  EXPECT_EQ(pipe.ReadUntil("\n"), line);
}

}  // namespace
}  // namespace hmar
