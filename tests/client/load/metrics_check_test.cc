#include "client/load/metrics_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "client/metrics_text.h"

namespace hmar::load {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

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

}  // namespace
}  // namespace hmar::load
