// Truncation, ties and draws against a plain sort in double precision.

#include "model/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <set>

namespace hmar {
namespace {

using testing::ElementsAre;

std::vector<float> RandomLogits(size_t V, uint32_t seed, float spread = 3) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> logits(V);
  for (float& l : logits) l = normal(random);
  return logits;
}

// Which tokens may be drawn, by sorting everything.
std::set<int32_t> Allowed(const std::vector<float>& logits, uint32_t top_k, double top_p) {
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return logits[a] < logits[b]; });
  if (top_k > 0 && top_k < logits.size()) {
    const float kth = logits[order[order.size() - top_k]];
    std::erase_if(order, [&](int t) { return logits[t] < kth; });
  }
  double total = 0;
  for (const int t : order) total += std::exp(static_cast<double>(logits[t]));
  double below = 0;
  std::set<int32_t> allowed;
  for (const int t : order) {
    below += std::exp(static_cast<double>(logits[t])) / total;
    if (top_p >= 1 || below > 1 - top_p || t == order.back()) allowed.insert(t);
  }
  return allowed;
}

// Every token that some uniform draws.
std::set<int32_t> Drawable(const std::vector<float>& logits, const DrawParams& params) {
  DrawScratch scratch;
  std::set<int32_t> drawn;
  for (int i = 0; i < 20000; ++i) {
    drawn.insert(DrawToken(logits, params, static_cast<float>(i) / 20000, &scratch).token);
  }
  return drawn;
}

TEST(DrawTokenTest, DrawsExactlyWhatTruncationLeaves) {
  for (uint32_t seed = 0; seed < 8; ++seed) {
    const std::vector<float> logits = RandomLogits(37, seed, 1);
    for (const uint32_t top_k : {0u, 1u, 5u, 36u, 37u, 100u}) {
      for (const float top_p : {1.0f, 0.9f, 0.3f, 1e-6f}) {
        EXPECT_EQ(Drawable(logits, DrawParams(1, top_k, top_p)), Allowed(logits, top_k, top_p))
            << "seed " << seed << " top_k " << top_k << " top_p " << top_p;
      }
    }
  }
}

TEST(DrawTokenTest, TopKKeepsTiesOfTheLast) {
  EXPECT_THAT(Drawable({1, 2, 2, 2, 0}, DrawParams(1, 2, 1)), ElementsAre(1, 2, 3));
}

TEST(DrawTokenTest, TopPDropsTheLowestIndexOfTiesFirst) {
  // Quarters: one, then two make up at most 1 - 0.5 and go; a third would be more.
  EXPECT_THAT(Drawable({1, 1, 1, 1}, DrawParams(1, 0, 0.5f)), ElementsAre(2, 3));
}

TEST(DrawTokenTest, UniformWalksTheCodebookInOrder) {
  const std::vector<float> logits = RandomLogits(64, 5, 1);
  DrawScratch scratch;
  int32_t last = 0;
  for (int i = 0; i < 1000; ++i) {
    const Drawn drawn =
        DrawToken(logits, DrawParams(1, 0, 1), static_cast<float>(i) / 1000, &scratch);
    EXPECT_GE(drawn.token, last);
    last = drawn.token;
  }
  EXPECT_EQ(DrawToken(logits, DrawParams(1, 0, 1), 0, &scratch).token, 0);
}

TEST(DrawTokenTest, ConfidenceIsTheProbabilityAfterTruncationAndTemperature) {
  DrawScratch scratch;
  const std::vector<float> logits = {0, std::log(3.0f), -50};
  EXPECT_NEAR(DrawToken(logits, DrawParams(1, 2, 1), 0.99f, &scratch).confidence, 0.75f, 1e-6);
  EXPECT_NEAR(DrawToken(logits, DrawParams(0.5f, 2, 1), 0.99f, &scratch).confidence, 0.9f, 1e-6);
}

TEST(DrawTokenTest, DrawsNothingFromLogitsThatAreNotFinite) {
  DrawScratch scratch;
  const float inf = std::numeric_limits<float>::infinity();
  for (const float bad : {inf, -inf, std::numeric_limits<float>::quiet_NaN()}) {
    EXPECT_EQ(DrawToken(std::vector<float>{0, bad, 1}, DrawParams(1, 0, 1), 0.5f, &scratch).token,
              -1);
  }
  // A division that overflows.
  EXPECT_EQ(DrawToken(std::vector<float>{0, 3e38f}, DrawParams(1e-6f, 0, 1), 0.5f, &scratch).token,
            -1);
}

TEST(DrawTokenTest, LargeVocabulariesAgreeWithTheSort) {
  const std::vector<float> logits = RandomLogits(4096, 9);
  for (const float top_p : {0.99f, 0.5f}) {
    const std::set<int32_t> allowed = Allowed(logits, 1000, top_p);
    for (const int32_t token : Drawable(logits, DrawParams(1, 1000, top_p)))
      EXPECT_TRUE(allowed.count(token)) << token;
  }
}

TEST(ReopenTest, TakesTheLeastCertainAndOfEqualsTheFirst) {
  const std::vector<uint8_t> open = {1, 1, 0, 1, 1};
  const std::vector<float> confidence = {0.5f, 0.2f, 0.0f, 0.2f, 0.9f};
  EXPECT_THAT(ReopenLeastCertain(open, confidence, 1), ElementsAre(0, 1, 0, 0, 0));
  EXPECT_THAT(ReopenLeastCertain(open, confidence, 3), ElementsAre(1, 1, 0, 1, 0));
  EXPECT_THAT(ReopenLeastCertain(open, confidence, 0), ElementsAre(0, 0, 0, 0, 0));
}

TEST(GuideTest, PullsAwayFromTheUnconditionalLogits) {
  std::vector<float> out(2);
  Guide(std::vector<float>{1, 2}, std::vector<float>{3, -1}, 0.5f, absl::MakeSpan(out));
  EXPECT_THAT(out, ElementsAre(0, 3.5f));
}

}  // namespace
}  // namespace hmar
