// The door through a whole server with fake engines: what a raw connection sees.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/server/http/socket_pair.h"
#include "tests/server/test_server.h"

namespace hmar {
namespace {

TestServerOptions WithHttp() {
  TestServerOptions options;
  options.server.http = "127.0.0.1:0";
  options.server.http_threads = 8;
  return options;
}

class HttpDoorTest : public testing::Test {
 protected:
  explicit HttpDoorTest(TestServerOptions options = WithHttp()) : server_(std::move(options)) {}

  std::unique_ptr<ClientEnd> Connect() {
    Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(server_.server().http_port()));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    return std::make_unique<ClientEnd>(std::move(socket));
  }

  // All that comes until the connection closes.
  static std::string ReadAll(ClientEnd* client) {
    std::string all;
    for (std::string some = client->Receive(); !some.empty(); some = client->Receive()) all += some;
    return all;
  }

  std::string Ask(absl::string_view text) {
    const auto client = Connect();
    client->Send(text);
    return ReadAll(client.get());
  }

  static std::string Post(absl::string_view json,
                          absl::string_view headers = "connection: close\r\n") {
    return absl::StrCat(
        "POST /v1/images/generations HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n",
        headers, "content-length: ", json.size(), "\r\n\r\n", json);
  }

  TestServer server_;
};

TEST_F(HttpDoorTest, PipelinedRequestsAreAnsweredInTheirOrder) {
  const std::string all =
      Ask(absl::StrCat("GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n", Post("{}", ""),
                       "GET /readyz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"));
  const size_t health = all.find("{\"status\":\"ok\"}"), error = all.find("FIELD_MISSING"),
               ready = all.find("{\"status\":\"ready\"}");
  EXPECT_LT(health, error);
  EXPECT_LT(error, ready);
  EXPECT_NE(ready, std::string::npos);
}

TEST_F(HttpDoorTest, ChunkedRequestsAreReadAndCloseTheirConnection) {
  const std::string all =
      Ask("POST /v1/images/generations HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
          "transfer-encoding: chunked\r\n\r\n9\r\n{\"prompt\"\r\n5\r\n:\"1\"}\r\n0\r\n\r\n"
          "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n");
  EXPECT_TRUE(absl::StartsWith(all, "HTTP/1.1 200 OK")) << all;
  EXPECT_TRUE(absl::StrContains(all, "b64_json"));
  EXPECT_FALSE(absl::StrContains(all, "status\":\"ok"));
}

TEST_F(HttpDoorTest, LengthsGivenInTwoWaysAreRefused) {
  for (const char* headers :
       {"content-length: 3\r\ntransfer-encoding: chunked\r\n",
        "content-length: 3\r\ncontent-length: 3\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 3\r\n",
        "transfer-encoding: identity, chunked\r\n", "transfer-encoding: xchunked\r\n"}) {
    const std::string all =
        Ask(absl::StrCat("POST /v1/images/generations HTTP/1.1\r\nhost: a\r\n", headers,
                         "\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nhost: a\r\n\r\n"));
    EXPECT_TRUE(absl::StartsWith(all, "HTTP/1.1 400") || absl::StartsWith(all, "HTTP/1.1 501"))
        << all;
    EXPECT_FALSE(absl::StrContains(all, "status\":\"ok")) << headers;
  }
}

TEST_F(HttpDoorTest, BodiesAreJudgedBeforeTheyAreSent) {
  for (const auto& [headers, status] : std::vector<std::pair<const char*, const char*>>{
           {"content-length: 99999999999\r\n", "413"},
           {"", "411"},
           {"content-encoding: gzip\r\ncontent-length: 5\r\n", "415"}}) {
    const std::string all =
        Ask(absl::StrCat("POST /v1/images/generations HTTP/1.1\r\nhost: a\r\n", headers, "\r\n"));
    EXPECT_TRUE(absl::StartsWith(all, absl::StrCat("HTTP/1.1 ", status))) << all;
  }
}

TEST_F(HttpDoorTest, RefusedCallsAreInTheBooks) {
  Ask("POST /v1/images/edits HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999\r\n\r\n");
  const std::string line = server_.NextAccessLine();
  EXPECT_TRUE(absl::StrContains(line, "\"method\":\"http edits\"")) << line;
  EXPECT_TRUE(absl::StrContains(line, "\"reason\":\"MESSAGE_INVALID\"")) << line;
}

TEST_F(HttpDoorTest, AnOldClientGetsItsStreamToTheEndOfTheConnection) {
  const std::string json = R"({"prompt":"1","stream":true})";
  const std::string all =
      Ask(absl::StrCat("POST /v1/images/generations HTTP/1.0\r\ncontent-type: application/json\r\n"
                       "content-length: ",
                       json.size(), "\r\n\r\n", json));
  EXPECT_TRUE(absl::StrContains(all, "\r\n\r\nevent: image_generation.completed\n")) << all;
  EXPECT_TRUE(absl::EndsWith(all, "data: [DONE]\n\n"));
  EXPECT_FALSE(absl::StrContains(all, "chunked"));
}

class ClosedGateTest : public HttpDoorTest {
 protected:
  static TestServerOptions Closed() {
    TestServerOptions options = WithHttp();
    options.gate_closed = true;
    return options;
  }
  ClosedGateTest() : HttpDoorTest(Closed()) {}
};

TEST_F(ClosedGateTest, NotReadyIsSaid) {
  EXPECT_TRUE(absl::StartsWith(Ask("GET /readyz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"),
                               "HTTP/1.1 503"));
  EXPECT_TRUE(absl::StartsWith(Ask("GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"),
                               "HTTP/1.1 200"));
  const std::string all = Ask(Post(R"({"prompt":"1"})"));
  EXPECT_TRUE(absl::StartsWith(all, "HTTP/1.1 503")) << all;
  EXPECT_TRUE(absl::StrContains(all, "NOT_READY") && absl::StrContains(all, "retry-after: 1\r\n"))
      << all;
}

}  // namespace
}  // namespace hmar
