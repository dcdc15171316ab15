// A server's metrics: read, fetched, compared.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <cmath>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "client/load/metrics_check.h"
#include "client/load/metrics_scrape.h"
#include "client/load/metrics_text.h"

namespace hmar::load {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string ErrorOf(const std::string& text) {
  const auto samples = ParseMetrics(text);
  return samples.ok() ? "no error" : std::string(samples.status().message());
}

TEST(MetricsTextTest, SamplesAreReadWithLabelsValuesAndTimes) {
  const auto samples = ParseMetrics(
      "# HELP a What it is {\"}\n# TYPE a counter\n\na 1\r\n"
      "a:b_total{x=\"1\",y=\"q\\\"\\\\\\n}\",} 2.5e3 1700000000000\n"
      "c{} +Inf\nd{z=\"\"}\tNaN\ne -Inf\n");
  ASSERT_TRUE(samples.ok()) << samples.status();
  ASSERT_EQ(samples->size(), 5U);
  EXPECT_EQ((*samples)[0].name, "a");
  EXPECT_EQ((*samples)[0].value, 1);
  EXPECT_EQ((*samples)[1].name, "a:b_total");
  EXPECT_EQ((*samples)[1].labels,
            (std::map<std::string, std::string>{{"x", "1"}, {"y", "q\"\\\n}"}}));
  EXPECT_EQ((*samples)[1].value, 2500);
  EXPECT_TRUE(std::isinf((*samples)[2].value));
  EXPECT_TRUE(std::isnan((*samples)[3].value));
  EXPECT_LT((*samples)[4].value, 0);
}

TEST(MetricsTextTest, WhatIsNotOfTheFormatIsToldByItsLine) {
  EXPECT_THAT(ErrorOf("a 1\na 2"), HasSubstr("line 2: it has no end"));
  EXPECT_THAT(ErrorOf("a 1\n1a 2\n"), HasSubstr("line 2: no name of a metric"));
  EXPECT_THAT(ErrorOf("a\n"), HasSubstr("line 1: no number"));
  EXPECT_THAT(ErrorOf("a one\n"), HasSubstr("no number at 'one'"));
  EXPECT_THAT(ErrorOf("a-b 1\n"), HasSubstr("no { or blank"));
  EXPECT_THAT(ErrorOf("a{x=1} 1\n"), HasSubstr("no \" at '1}"));
  EXPECT_THAT(ErrorOf("a{x:y=\"1\"} 1\n"), HasSubstr("no label"));
  EXPECT_THAT(ErrorOf("a{x=\"1\"y=\"2\"} 1\n"), HasSubstr("no , or }"));
  EXPECT_THAT(ErrorOf("a{x=\"1\",x=\"2\"} 1\n"), HasSubstr("second time"));
  EXPECT_THAT(ErrorOf("a{x=\"1\n"), HasSubstr("no end of the text"));
  EXPECT_THAT(ErrorOf("a{x=\"\\t\"} 1\n"), HasSubstr("an escape"));
  EXPECT_THAT(ErrorOf("a 1 soon\n"), HasSubstr("no time at 'soon'"));
  EXPECT_THAT(ErrorOf("a 1 2 3\n"), HasSubstr("more than a sample"));
  EXPECT_THAT(ErrorOf("<html>\x1b[2J\n"), HasSubstr("<html>\\u001B[2J"));
}

TEST(MetricsTextTest, WhatAServerMaySendIsBounded) {
  std::string labels = "a{";
  for (size_t i = 0; i <= kMaxMetricLabels; ++i) absl::StrAppend(&labels, "x", i, "=\"\",");
  EXPECT_THAT(ErrorOf(labels + "} 1\n"), HasSubstr("more than 64 labels"));
  std::string samples;
  for (size_t i = 0; i <= kMaxMetricsSamples; ++i) samples += "a 1\n";
  EXPECT_THAT(ErrorOf(samples), HasSubstr("more than 200000 samples"));
  EXPECT_THAT(ErrorOf(std::string(kMaxMetricsBytes + 1, '\n')), HasSubstr("at most 16777216"));
}

TEST(MetricsTextTest, SumsAreOfTheSamplesThatHaveAllLabels) {
  const auto samples = ParseMetrics(
      "a{x=\"1\",y=\"1\"} 1\na{x=\"1\",y=\"2\"} 2\na{x=\"2\",y=\"1\"} 4\nab{x=\"1\"} 8\na 16\n");
  EXPECT_EQ(SumOf(*samples, "a", {}), 23);
  EXPECT_EQ(SumOf(*samples, "a", {{"x", "1"}}), 3);
  EXPECT_EQ(SumOf(*samples, "a", {{"x", "1"}, {"y", "2"}}), 2);
}

class MetricsCheckTest : public testing::Test {
 protected:
  static std::vector<MetricSample> Counted(int ok, int full, int done) {
    return ParseMetrics(absl::StrCat("hmar_requests_total{code=\"OK\",model=\"a\"} ", ok,
                                     "\nhmar_requests_total{code=\"RESOURCE_EXHAUSTED\"} ", full,
                                     "\nhmar_images_total{model=\"a\",outcome=\"done\"} ", done,
                                     "\nhmar_images_total{model=\"a\",outcome=\"failed\"} 1000\n"))
        .value();
  }

  std::vector<MetricsRow> Compare(int ok, int full, int done) const {
    return CompareMetrics(Counted(100, 10, 1000), Counted(100 + ok, 10 + full, 1000 + done), seen_);
  }

  const Seen seen_{.by_code = {{"OK", 5}, {"RESOURCE_EXHAUSTED", 2}},
                   .doubtful = 1,
                   .images = 10,
                   .doubtful_images = 3};
};

TEST_F(MetricsCheckTest, EqualCountsAgree) {
  EXPECT_THAT(CountedTooFew(Compare(5, 2, 10)), IsEmpty());
  EXPECT_THAT(CountedMore(Compare(5, 2, 10)), IsEmpty());
}

TEST_F(MetricsCheckTest, WhatMayHaveBeenCountedIsNoWarning) {
  EXPECT_THAT(CountedTooFew(Compare(6, 2, 13)), IsEmpty());
  EXPECT_THAT(CountedMore(Compare(6, 2, 13)), IsEmpty());
}

TEST_F(MetricsCheckTest, FewerThanSeenIsTold) {
  EXPECT_THAT(
      CountedTooFew(Compare(4, 4, 9)),
      ElementsAre("the server counted 4 requests that ended with OK, this client saw 5 and "
                  "perhaps 1 more",
                  "the server counted 9 images done, this client saw 10 and perhaps 3 more"));
  EXPECT_EQ(CountedTooFew(CompareMetrics({}, {}, seen_)).size(), 4U);  // Of no hmar-server.
}

TEST_F(MetricsCheckTest, MoreThanCanBeThisClientsIsAnothersUse) {
  const auto more = CountedMore(Compare(5, 9, 14));
  EXPECT_EQ(more.size(), 3U);  // RESOURCE_EXHAUSTED, all requests, images.
  EXPECT_THAT(more.back(), HasSubstr("counted 14 images done"));
  EXPECT_THAT(CountedTooFew(Compare(5, 9, 14)), IsEmpty());
}

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
    server_.Get("/moved", [](const httplib::Request&, httplib::Response& response) {
      response.set_redirect("/metrics");
    });
    server_.Get("/endless", [](const httplib::Request&, httplib::Response& response) {
      response.set_chunked_content_provider("text/plain", [](size_t, httplib::DataSink& sink) {
        const std::string lines(size_t{1} << 16, '\n');
        return sink.write(lines.data(), lines.size());
      });
    });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
  }
  ~ScrapeTest() override {
    server_.stop();
    thread_.join();
  }

  absl::Status StatusOf(const std::string& path) const {
    return Scrape({"127.0.0.1", port_, path}).status();
  }

  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
};

TEST_F(ScrapeTest, MetricsAreFetched) {
  const auto samples = Scrape({"127.0.0.1", port_, "/metrics"});
  ASSERT_TRUE(samples.ok()) << samples.status();
  EXPECT_EQ(SumOf(*samples, "a", {}), 1);
}

TEST_F(ScrapeTest, AnAnswerWithoutEndIsCutOff) {
  EXPECT_TRUE(absl::IsUnavailable(StatusOf("/endless"))) << StatusOf("/endless");
}

TEST_F(ScrapeTest, AnotherStatusIsTold) {
  EXPECT_THAT(std::string(StatusOf("/nothing").message()), HasSubstr("HTTP status 404"));
  EXPECT_THAT(std::string(StatusOf("/moved").message()), HasSubstr("HTTP status 302"));
}

TEST(ScrapeWithoutServerTest, NobodyIsUnavailable) {
  EXPECT_TRUE(absl::IsUnavailable(Scrape({"127.0.0.1", 1, "/metrics"}).status()));
}

}  // namespace
}  // namespace hmar::load
