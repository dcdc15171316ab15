#include "server/transport/listener.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <spdlog/logger.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"

namespace hmar {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kPatience = absl::Seconds(60);

// A client: what it reads first says whether it was taken.
class Client {
 public:
  explicit Client(int port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval patience = {60, 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    EXPECT_EQ(connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  }

  // Blocks until the listener has decided.
  bool Taken() {
    char byte = 0;
    return recv(fd_.get(), &byte, 1, 0) == 1 && byte == '!';
  }
  // Blocks until the other side has shut down.
  bool SeesTheEnd() {
    char byte = 0;
    return recv(fd_.get(), &byte, 1, 0) == 0;
  }
  void Close() { fd_.Close(); }
  void Reset() {
    const linger now = {1, 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    fd_.Close();
  }
  void ShutDownWriting() { shutdown(fd_.get(), SHUT_WR); }

 private:
  Descriptor fd_;
};

// Stands for gRPC: owns what it is handed, and greets each client.
class ListenerTest : public ::testing::Test {
 protected:
  void Start(ConnectionLimits limits) {
    auto listener = Listener::Open("127.0.0.1:0", limits, metrics_.get(), log_);
    ASSERT_TRUE(listener.ok()) << listener.status();
    listener_ = *std::move(listener);
    listener_->Start([this](int fd) {
      absl::MutexLock lock(&mutex_);
      taken_.emplace_back(fd);
      EXPECT_EQ(send(fd, "!", 1, MSG_NOSIGNAL), 1);
    });
  }

  // As gRPC ends a connection: it shuts down, then closes.
  void EndTaken(size_t index) {
    absl::MutexLock lock(&mutex_);
    shutdown(taken_[index].get(), SHUT_RDWR);
    taken_[index].Close();
  }

  Client Connect() { return Client(listener_->port()); }

  // Connects until one is taken: there is room again.
  bool TakesAgain() {
    const absl::Time limit = absl::Now() + kPatience;
    while (absl::Now() < limit) {
      Client client = Connect();
      if (client.Taken()) return true;
    }
    return false;
  }

  std::string Metric(const std::string& name) const {
    const std::string text = metrics_->Text();
    const size_t at = text.find("\n" + name + " ");
    if (at == std::string::npos) return "";
    const size_t start = at + name.size() + 2;
    return text.substr(start, text.find('\n', start) - start);
  }
  std::string Refused(const std::string& reason) const {
    return Metric(absl::StrCat("hmar_connections_refused_total{reason=\"", reason, "\"}"));
  }

  const std::unique_ptr<Metrics> metrics_ = *Metrics::Create({}, {}, "test");
  const std::shared_ptr<spdlog::logger> log_ = std::make_shared<spdlog::logger>("test");
  absl::Mutex mutex_;
  std::vector<Descriptor> taken_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<Listener> listener_;
};

TEST_F(ListenerTest, AFullTableRefusesAtOnceAndCountsIt) {
  Start({2, 2});
  Client a = Connect();
  Client b = Connect();
  EXPECT_TRUE(a.Taken());
  EXPECT_TRUE(b.Taken());
  EXPECT_EQ(Metric("hmar_connections"), "2");
  Client c = Connect();
  EXPECT_FALSE(c.Taken());
  EXPECT_EQ(Refused("table_full"), "1");
}

TEST_F(ListenerTest, APeerHasItsOwnLimit) {
  Start({8, 1});
  Client a = Connect();
  EXPECT_TRUE(a.Taken());
  Client b = Connect();
  EXPECT_FALSE(b.Taken());
  EXPECT_EQ(Refused("peer_limit"), "1");
  EXPECT_EQ(Refused("table_full"), "0");
}

TEST_F(ListenerTest, ItTakesAgainOnceTheOwnerHasEndedOne) {
  Start({1, 1});
  Client a = Connect();
  EXPECT_TRUE(a.Taken());
  EndTaken(0);
  EXPECT_TRUE(a.SeesTheEnd());  // Our duplicate does not keep it open.
  EXPECT_TRUE(TakesAgain());
}

TEST_F(ListenerTest, ItTakesAgainOnceAClientHasResetOne) {
  Start({1, 1});
  Client a = Connect();
  EXPECT_TRUE(a.Taken());
  a.Reset();
  EXPECT_TRUE(TakesAgain());
}

// The owner may still be writing: the connection counts until it is over for both.
TEST_F(ListenerTest, AClientThatOnlyStopsWritingStillCounts) {
  Start({1, 1});
  Client a = Connect();
  EXPECT_TRUE(a.Taken());
  a.ShutDownWriting();
  EXPECT_FALSE(Connect().Taken());
  EndTaken(0);
  EXPECT_TRUE(TakesAgain());
}

TEST_F(ListenerTest, ManyComeAndGoAndNoneIsForgotten) {
  Start({4, 4});
  for (int round = 0; round < 100; ++round) {
    EXPECT_TRUE(TakesAgain());
    absl::MutexLock lock(&mutex_);
    for (Descriptor& fd : taken_) {
      if (fd.ok()) shutdown(fd.get(), SHUT_RDWR);
    }
    taken_.clear();
  }
  EXPECT_TRUE(TakesAgain());
}

// Descriptors of the whole process: none is left when clients come, and later there are.
TEST_F(ListenerTest, WithoutDescriptorsItRefusesAndRecovers) {
  Start({8, 8});
  rlimit limit = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  Client first = Connect();
  EXPECT_TRUE(first.Taken());
  Client second = Connect();
  EXPECT_TRUE(second.Taken());
  const Descriptor next(dup(STDIN_FILENO));
  // Room for one more: the client's own end. What is accepted needs two others.
  const rlimit low = {static_cast<rlim_t>(next.get()) + 2, limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  Client starved = Connect();
  EXPECT_FALSE(starved.Taken());
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_NE(Refused("descriptors"), "0");
  EXPECT_TRUE(TakesAgain());
}

TEST_F(ListenerTest, TheDestructorClosesThePort) {
  Start({8, 8});
  const int port = listener_->port();
  Client a = Connect();
  EXPECT_TRUE(a.Taken());
  listener_.reset();
  EXPECT_EQ(Metric("hmar_connections"), "0");
  EXPECT_TRUE(ListenOn(absl::StrCat("127.0.0.1:", port)).ok());
  EndTaken(0);  // Whoever took it may still use it.
  EXPECT_TRUE(a.SeesTheEnd());
}

}  // namespace
}  // namespace hmar
