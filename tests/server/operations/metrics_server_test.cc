#include "server/operations/metrics_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "prometheus/client_metric.h"
#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"

namespace hmar {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// One gauge of value 42.
class OneGauge final : public prometheus::Collectable {
 public:
  explicit OneGauge(std::string name) : name_(std::move(name)) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    prometheus::ClientMetric metric;
    metric.gauge.value = 42;
    return {{name_, "Help.", prometheus::MetricType::Gauge, {metric}}};
  }

 private:
  const std::string name_;
};

std::vector<std::shared_ptr<prometheus::Collectable>> Gauge() {
  return {std::make_shared<OneGauge>("depth")};
}

std::unique_ptr<MetricsServer> OnAnyPort() {
  auto server = MetricsServer::Start("127.0.0.1:0", Gauge());
  EXPECT_TRUE(server.ok()) << server.status();
  return *std::move(server);
}

// A connection to 127.0.0.1:port that gives up reading after 30 s.
class Connection {
 public:
  explicit Connection(int port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    const timeval patience = {30, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  ~Connection() { close(fd_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Fails silently once the server has closed its end.
  void Send(const std::string& text) {
    [[maybe_unused]] const ssize_t sent = send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
  }

  // All that comes until the server closes its end.
  std::string ReadToEnd() {
    std::string answer;
    char buffer[4096];
    for (ssize_t n; (n = read(fd_, buffer, sizeof(buffer))) > 0;) answer.append(buffer, n);
    return answer;
  }

 private:
  const int fd_;
};

// The answer to `method path`.
std::string Ask(int port, const std::string& method, const std::string& path) {
  Connection connection(port);
  connection.Send(method + " " + path + " HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
  return connection.ReadToEnd();
}

TEST(MetricsServerTest, ServesAllItsMetricsOnTheRealPortOfPortZero) {
  auto server = MetricsServer::Start(
      "127.0.0.1:0", {std::make_shared<OneGauge>("depth"), std::make_shared<OneGauge>("width")});
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_GT((*server)->port(), 0);
  const std::string answer = Ask((*server)->port(), "GET", "/metrics");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\n\r\n# HELP depth Help.\n# TYPE depth gauge\ndepth 42\n"));
  EXPECT_THAT(answer, EndsWith("\nwidth 42\n"));
}

TEST(MetricsServerTest, HeadHasTheHeadersOfGetAndNoBody) {
  const auto server = OnAnyPort();
  const std::string head = Ask(server->port(), "HEAD", "/metrics");
  EXPECT_THAT(head, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(head, HasSubstr("Content-Length: "));
  EXPECT_THAT(head, EndsWith("\r\n\r\n"));
}

TEST(MetricsServerTest, OtherPathsAreNotFound) {
  const auto server = OnAnyPort();
  for (const char* path : {"/", "/metrics/", "/metric", "/../metrics", "/metrics2"}) {
    EXPECT_THAT(Ask(server->port(), "GET", path), StartsWith("HTTP/1.1 404 Not Found\r\n")) << path;
  }
  EXPECT_THAT(Ask(server->port(), "GET", "/metrics?x=1"), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST(MetricsServerTest, OtherMethodsAreNotAllowed) {
  const auto server = OnAnyPort();
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "BREW"}) {
    EXPECT_THAT(
        Ask(server->port(), method, "/metrics"),
        AllOf(StartsWith("HTTP/1.1 405 Method Not Allowed\r\n"), HasSubstr("Allow: GET, HEAD\r\n")))
        << method;
  }
}

TEST(MetricsServerTest, HeadersWithoutEndAreRefused) {
  const auto server = OnAnyPort();
  Connection connection(server->port());
  connection.Send("GET /metrics HTTP/1.1\r\nHost: here\r\nX: " + std::string(64 << 10, 'x'));
  EXPECT_THAT(connection.ReadToEnd(), Not(HasSubstr("200 OK")));
  EXPECT_THAT(Ask(server->port(), "GET", "/metrics"), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST(MetricsServerTest, AScrapeGetsInPastAnyNumberOfSlowConnections) {
  const auto server = OnAnyPort();
  std::vector<std::unique_ptr<Connection>> slow;
  for (unsigned i = 0; i < 3 * MetricsServer::kMaxConnections; ++i) {
    slow.push_back(std::make_unique<Connection>(server->port()));
    slow.back()->Send("GET /metrics HT");
  }
  EXPECT_THAT(Ask(server->port(), "GET", "/metrics"), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(slow.front()->ReadToEnd(), "");  // Closed to make room.
  slow.clear();
  EXPECT_THAT(Ask(server->port(), "GET", "/metrics"), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST(MetricsServerTest, StopsWhileConnectionsAreOpen) {
  auto server = OnAnyPort();
  Connection slow(server->port());
  slow.Send("GET");
  server.reset();
  EXPECT_EQ(slow.ReadToEnd(), "");
}

TEST(MetricsServerTest, ABusyPortIsOneClearLine) {
  const auto first = OnAnyPort();
  const std::string address = "127.0.0.1:" + std::to_string(first->port());
  const auto second = MetricsServer::Start(address, Gauge());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()),
              AllOf(HasSubstr(address), HasSubstr("in use"), Not(HasSubstr("\n"))));
}

class BadAddress : public ::testing::TestWithParam<const char*> {};

TEST_P(BadAddress, IsRefused) {
  const auto server = MetricsServer::Start(GetParam(), Gauge());
  EXPECT_EQ(server.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(server.status().message()), HasSubstr(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(All, BadAddress,
                         ::testing::Values("", "9090", ":9090", "127.0.0.1",
                                           "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:-1",
                                           "127.0.0.1:80s", "127.0.0.1:80,0.0.0.0:81", "[::]:9090",
                                           "::1:9090", "host name:9090"));

TEST(MetricsServerTest, AnAddressOfAnotherMachineIsUnavailable) {
  const auto server = MetricsServer::Start("203.0.113.1:0", Gauge());
  EXPECT_EQ(server.status().code(), absl::StatusCode::kUnavailable);
}

TEST(MetricsServerTest, ANameOfThisMachineWorks) {
  const auto server = MetricsServer::Start("localhost:0", Gauge());
  EXPECT_TRUE(server.ok()) << server.status();
}

}  // namespace
}  // namespace hmar
