#include "client/metrics_scrape.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"

namespace hmar {
namespace {

using ::testing::HasSubstr;

TEST(MetricsAddressTest, HostPortAndUrlsAreTaken) {
  const auto plain = ParseMetricsAddress("localhost:9090");
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(plain->host, "localhost");
  EXPECT_EQ(plain->port, 9090);
  EXPECT_EQ(plain->path, "/metrics");
  const auto url = ParseMetricsAddress("http://[::1]:80/a/b");
  ASSERT_TRUE(url.ok());
  EXPECT_EQ(url->host, "::1");
  EXPECT_EQ(url->path, "/a/b");
  EXPECT_EQ(ShowAddress(*url), "http://[::1]:80/a/b");
  const auto named = ParseMetricsAddress("http://eve:a:b@c@host:80");
  ASSERT_TRUE(named.ok());
  EXPECT_EQ(named->user, "eve");
  EXPECT_EQ(named->password, "a:b@c");
  EXPECT_EQ(ShowAddress(*named), "http://host:80/metrics");
  EXPECT_THAT(std::string(ParseMetricsAddress("eve:secret@host").status().message()),
              HasSubstr("was 'host'"));
  for (const char* wrong :
       {"", "host", ":9090", "host:0", "host:65536", "host:x", "https://h:1/", "ftp://h:1"}) {
    EXPECT_THAT(std::string(ParseMetricsAddress(wrong).status().message()),
                HasSubstr(absl::StrCat("was '", wrong, "', must be HOST:PORT")));
  }
}

// A web server that answers what a test says.
class ScrapeTest : public testing::Test {
 protected:
  ScrapeTest() {
    server_.Get("/metrics", [](const httplib::Request&, httplib::Response& response) {
      response.set_content("a 1\n", "text/plain");
    });
    server_.Get("/private", [](const httplib::Request& request, httplib::Response& response) {
      const std::string who = request.get_header_value("Authorization");
      response.status = who == "Basic ZXZlOnNlY3JldA==" ? 200 : 401;
      response.set_content("a 1\n", "text/plain");
    });
    server_.Get("/moved", [](const httplib::Request&, httplib::Response& response) {
      response.set_redirect("/metrics");
    });
    server_.Get("/endless", [](const httplib::Request&, httplib::Response& response) {
      response.set_chunked_content_provider("text/plain", [](size_t, httplib::DataSink& sink) {
        const std::string lines(size_t{1} << 16, '\n');
        return sink.write(lines.data(), lines.size());
      });
    });
    server_.Get("/headers", [](const httplib::Request&, httplib::Response& response) {
      for (int i = 0; i < 100; ++i) response.set_header("x", std::string(1000, 'x'));
      response.set_content("a 1\n", "text/plain");
    });
    server_.Get("/silent", [this](const httplib::Request&, httplib::Response&) {
      asked_.Notify();
      released_.WaitForNotification();
    });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
  }
  ~ScrapeTest() override {
    released_.Notify();
    server_.stop();
    thread_.join();
  }

  absl::Status StatusOf(const std::string& path, const ScrapeOptions& options = {}) const {
    return Scrape({"127.0.0.1", port_, path}, options).status();
  }

  httplib::Server server_;
  absl::Notification asked_;     // /silent was asked for.
  absl::Notification released_;  // Lets it answer.
  int port_ = 0;
  std::thread thread_;
};

TEST_F(ScrapeTest, MetricsAreFetched) {
  const auto samples = Scrape({"127.0.0.1", port_, "/metrics"});
  ASSERT_TRUE(samples.ok()) << samples.status();
  EXPECT_EQ(SumOf(*samples, "a", {}), 1);
}

TEST_F(ScrapeTest, APasswordIsSentWhereThereIsOne) {
  EXPECT_THAT(std::string(StatusOf("/private").message()), HasSubstr("HTTP status 401"));
  EXPECT_TRUE(Scrape({"127.0.0.1", port_, "/private", "eve", "secret"}).ok());
}

TEST_F(ScrapeTest, AnAnswerWithoutEndIsCutOff) {
  EXPECT_TRUE(absl::IsUnavailable(StatusOf("/endless"))) << StatusOf("/endless");
}

TEST_F(ScrapeTest, HeadersAreBoundedTogether) {
  EXPECT_TRUE(absl::IsUnavailable(StatusOf("/headers"))) << StatusOf("/headers");
}

TEST_F(ScrapeTest, SilenceEndsWithTheTimeout) {
  const absl::Status status = StatusOf("/silent", {.timeout = absl::Milliseconds(50)});
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("may take 50ms"));
}

TEST_F(ScrapeTest, WhoeverWaitsMayGiveUp) {
  EXPECT_TRUE(absl::IsCancelled(
      StatusOf("/silent", {.gives_up = [&] { return asked_.HasBeenNotified(); }})));
}

TEST_F(ScrapeTest, AnotherStatusIsTold) {
  EXPECT_THAT(std::string(StatusOf("/nothing").message()), HasSubstr("HTTP status 404"));
  EXPECT_THAT(std::string(StatusOf("/moved").message()), HasSubstr("HTTP status 302"));
}

TEST(ScrapeWithoutServerTest, NobodyIsUnavailable) {
  EXPECT_TRUE(absl::IsUnavailable(Scrape({"127.0.0.1", 1, "/metrics"}).status()));
}

}  // namespace
}  // namespace hmar
