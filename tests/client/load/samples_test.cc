#include "client/load/samples.h"

#include <gtest/gtest.h>

namespace hmar::load {
namespace {

Samples OneTo(int most_value, size_t most_kept) {
  Samples samples(most_kept);
  for (int i = most_value; i >= 1; --i) samples.Add(i);
  return samples;
}

TEST(SamplesTest, PercentilesAreTheNearestRanksOfWhatWasAdded) {
  const Distribution of = OneTo(1000, 1000).Summarize();
  EXPECT_EQ(of.count, 1000U);
  EXPECT_EQ(of.kept, 1000U);
  EXPECT_EQ(of.p50, 500);
  EXPECT_EQ(of.p90, 900);
  EXPECT_EQ(of.p95, 950);
  EXPECT_EQ(of.p99, 990);
  EXPECT_EQ(of.max, 1000);
}

TEST(SamplesTest, OneSampleIsEveryPercentile) {
  const Distribution of = OneTo(1, 10).Summarize();
  EXPECT_EQ(of.p50, 1);
  EXPECT_EQ(of.p99, 1);
  ASSERT_EQ(of.curve.size(), 1U);
  EXPECT_EQ(of.curve[0], std::pair(0.0, 1.0));
}

TEST(SamplesTest, NoSamplesAreNoPercentiles) {
  const Distribution of = Samples(10).Summarize();
  EXPECT_EQ(of.count, 0U);
  EXPECT_TRUE(of.curve.empty());
  EXPECT_EQ(Percentile({}, 0.5), 0);
}

TEST(SamplesTest, TheCurveRisesToTheLargestSampleAtItsOwnPercentile) {
  const auto curve = OneTo(10'000, 10'000).Summarize().curve;
  ASSERT_EQ(curve.size(), kCurvePoints);
  EXPECT_EQ(curve.front(), std::pair(0.0, 1.0));
  EXPECT_NEAR(curve.back().first, 0.9999, 1e-12);
  EXPECT_EQ(curve.back().second, 10'000);
  for (size_t i = 1; i < curve.size(); ++i) EXPECT_GE(curve[i].second, curve[i - 1].second);
  EXPECT_NEAR(curve[kCurvePoints / 2].first, 0.99, 1e-12);  // Half way: two of four nines.
  EXPECT_EQ(curve[kCurvePoints / 2].second, 9901);
}

TEST(SamplesTest, BeyondTheBoundAnEvenChoiceIsKeptAndTheLargestIsKnown) {
  const Distribution of = OneTo(1'000'000, 10'000).Summarize();
  EXPECT_EQ(of.count, 1'000'000U);
  EXPECT_EQ(of.kept, 10'000U);
  EXPECT_EQ(of.max, 1'000'000);
  EXPECT_NEAR(of.p50, 500'000, 25'000);  // Five standard errors of a choice of 10,000.
  EXPECT_NEAR(of.p99, 990'000, 5'000);
}

}  // namespace
}  // namespace hmar::load
