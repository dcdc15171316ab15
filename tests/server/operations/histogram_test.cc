#include "server/operations/histogram.h"

#include <cmath>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;

// The counts of a reading's buckets, each with those below it.
std::vector<uint64_t> Counts(const prometheus::ClientMetric& reading) {
  std::vector<uint64_t> counts;
  for (const auto& bucket : reading.histogram.bucket) counts.push_back(bucket.cumulative_count);
  return counts;
}

TEST(HistogramTest, StartsEmptyWithABucketABoundAndOneForTheRest) {
  const auto reading = Histogram({1, 2.5}).Collect();
  EXPECT_THAT(Counts(reading), ElementsAre(0, 0, 0));
  EXPECT_EQ(reading.histogram.bucket[1].upper_bound, 2.5);
  EXPECT_TRUE(std::isinf(reading.histogram.bucket[2].upper_bound));
  EXPECT_EQ(reading.histogram.sample_count, 0u);
  EXPECT_EQ(reading.histogram.sample_sum, 0);
}

TEST(HistogramTest, ABoundBelongsToItsBucket) {
  Histogram histogram({1, 2});
  for (const double value : {-1.0, 1.0, 1.5, 2.0, 2.5}) histogram.Observe(value);
  const auto reading = histogram.Collect();
  EXPECT_THAT(Counts(reading), ElementsAre(2, 4, 5));
  EXPECT_EQ(reading.histogram.sample_count, 5u);
  EXPECT_EQ(reading.histogram.sample_sum, 6);
}

// That buckets agree with the count while others observe is what a quantile over them needs.
TEST(HistogramTest, ManyThreadsObserveWhileItIsRead) {
  Histogram histogram({0.5, 1.5});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&histogram, t] {
      for (int i = 0; i < 10000; ++i) histogram.Observe(t % 3);
    });
  }
  uint64_t last = 0;
  while (last < 40000) {
    const auto reading = histogram.Collect();
    EXPECT_EQ(reading.histogram.bucket.back().cumulative_count, reading.histogram.sample_count);
    EXPECT_GE(reading.histogram.sample_count, last);
    last = reading.histogram.sample_count;
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(Counts(histogram.Collect()), ElementsAre(20000, 30000, 40000));
  EXPECT_EQ(histogram.Collect().histogram.sample_sum, 30000);
}

TEST(HistogramFamilyTest, ShowsEachSeriesWithItsLabels) {
  HistogramFamily family("wait_seconds", "Help.");
  family.Add({{"model", "a"}}, {1});
  Histogram& b = family.Add({{"model", "b"}}, {1});
  b.Observe(0.25);
  const prometheus::MetricFamily reading = family.Collect();
  EXPECT_EQ(reading.name, "wait_seconds");
  EXPECT_EQ(reading.help, "Help.");
  EXPECT_EQ(reading.type, prometheus::MetricType::Histogram);
  ASSERT_EQ(reading.metric.size(), 2u);
  EXPECT_EQ(reading.metric[0].histogram.sample_count, 0u);
  EXPECT_EQ(reading.metric[1].histogram.sample_count, 1u);
  EXPECT_THAT(reading.metric[1].label, ElementsAre(prometheus::ClientMetric::Label{"model", "b"}));
}

}  // namespace
}  // namespace hmar
