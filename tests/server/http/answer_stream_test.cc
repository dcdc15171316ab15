#include "server/http/answer_stream.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <atomic>
#include <thread>

#include "absl/synchronization/notification.h"
#include "tests/fakes/fake_clock.h"
#include "tests/server/http/socket_pair.h"

namespace hmar {
namespace {

constexpr absl::Duration kSend = absl::Seconds(20);
const std::string& Large() {  // More than a socket holds.
  static const auto* const large = new std::string(8 << 20, 'x');
  return *large;
}

class AnswerStreamTest : public testing::Test {
 protected:
  AnswerStreamTest() {
    auto ends = ClientEnd::Connect();
    client_ = std::move(ends.first);
    channel_ = std::move(ends.second);
    stream_ =
        std::make_unique<AnswerStream>(channel_.get(), "GET / HTTP/1.1\r\n\r\n", kSend, &clock_);
  }

  // Writes more than fits, on a thread, until `meanwhile` has had its effect.
  template <typename Meanwhile>
  ssize_t WriteWhile(Meanwhile meanwhile) {
    ssize_t result = 0;
    std::thread writer([&] { result = stream_->write(Large().data(), Large().size()); });
    EXPECT_FALSE(client_->Receive().empty());  // It has begun.
    meanwhile();
    writer.join();
    return result;
  }

  FakeClock clock_;
  std::unique_ptr<ClientEnd> client_;
  std::unique_ptr<Channel> channel_;
  std::unique_ptr<AnswerStream> stream_;
};

TEST_F(AnswerStreamTest, IsReadFromMemory) {
  char buffer[10];
  EXPECT_EQ(stream_->read(buffer, sizeof(buffer)), 10);
  EXPECT_EQ(stream_->read(buffer, sizeof(buffer)), 8);
  EXPECT_EQ(stream_->read(buffer, sizeof(buffer)), 0);
}

TEST_F(AnswerStreamTest, WritesAllThatItsClientReads) {
  size_t read = 0;
  std::thread reader([&] {
    while (read < Large().size()) read += client_->Receive().size();
  });
  EXPECT_EQ(stream_->write(Large().data(), Large().size()), static_cast<ssize_t>(Large().size()));
  reader.join();
  EXPECT_EQ(read, Large().size());
  EXPECT_FALSE(stream_->failed());
}

TEST_F(AnswerStreamTest, AClientThatDoesNotReadIsGivenUp) {
  EXPECT_EQ(WriteWhile([&] { clock_.Advance(kSend); }), -1);
  EXPECT_TRUE(stream_->failed() && stream_->timed_out());
  EXPECT_EQ(stream_->write("x", 1), -1) << "for good";
}

TEST_F(AnswerStreamTest, AClientThatLeavesIsGivenUp) {
  EXPECT_EQ(WriteWhile([&] { client_->Close(); }), -1);
  EXPECT_FALSE(stream_->timed_out());
}

TEST_F(AnswerStreamTest, AWriteEndsWhenItIsTold) {
  const Descriptor wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  std::atomic<bool> stopped = false;
  stream_->EndWith(wake.get(), [&] { return stopped.load(); });
  EXPECT_EQ(WriteWhile([&] {
              eventfd_write(wake.get(), 1);  // Of something else.
              stopped = true;
              eventfd_write(wake.get(), 1);
            }),
            -1);
}

}  // namespace
}  // namespace hmar
