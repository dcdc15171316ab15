#include "server/operations/scraped_gauges.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "prometheus/text_serializer.h"

namespace hmar {
namespace {

TEST(ScrapedGaugesTest, EachScrapeReadsAnew) {
  ScrapedGauges gauges;
  int depth = 3;
  gauges.Add("depth", "Help.", {}, [&depth] { return depth; });
  EXPECT_EQ(prometheus::TextSerializer().Serialize(gauges.Collect()),
            "# HELP depth Help.\n# TYPE depth gauge\ndepth 3\n");
  depth = 4;
  EXPECT_EQ(gauges.Collect().front().metric.front().gauge.value, 4);
}

TEST(ScrapedGaugesTest, SeriesOfOneNameStandTogether) {
  ScrapedGauges gauges;
  gauges.Add("held", "Help.", {{"of", "a"}}, [] { return 1; });
  gauges.Add("limit", "Other help.", {}, [] { return 2; });
  gauges.Add("held", "Not this.", {{"of", "b"}}, [] { return 3; });
  EXPECT_EQ(prometheus::TextSerializer().Serialize(gauges.Collect()),
            "# HELP held Help.\n# TYPE held gauge\nheld{of=\"a\"} 1\nheld{of=\"b\"} 3\n"
            "# HELP limit Other help.\n# TYPE limit gauge\nlimit 2\n");
}

}  // namespace
}  // namespace hmar
