// DrawTokens against model/sampler.h, row by row.

#include "kernels/draw.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "model/philox.h"
#include "model/sampler.h"
#include "tests/kernels/device_array.h"
#include "tests/kernels/draw_batch.h"

namespace hmar {
namespace {

using kernels::DrawImage;
using ::testing::Each;
using ::testing::ElementsAre;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int32_t kUndrawn = -1;  // DeviceArray's poison, as an int32_t.

// What a launch leaves: (slots, L), (slots, most_tokens), (images).
struct Result {
  std::vector<int32_t> tokens;
  std::vector<float> confidence;
  std::vector<int32_t> failed;

  int32_t token(const DrawImage& image, int position) const {
    return tokens[image.slot * kL + SmallGrids().first[image.scale] + position];
  }
  float certainty(const DrawImage& image, int position) const {
    return confidence[image.slot * SmallGrids().most_tokens + position];
  }
};

// open: of the first image, which draws there alone; empty: every image draws everywhere.
Result Draw(const Batch& batch, int slots, const std::vector<uint8_t>& open = {}) {
  const kernels::Grids grids = SmallGrids();
  const DeviceArray<float> logits(batch.logits());
  const DeviceArray<uint8_t> open_map(open);
  std::vector<DrawImage> with_maps = batch.images();
  if (!open.empty()) with_maps.front().open = open_map.data();
  const DeviceArray<DrawImage> images(with_maps);
  const DeviceArray<int32_t> image_of_token(batch.image_of_token());
  const DeviceArray<int32_t> tokens(slots * kL);
  const DeviceArray<float> confidence(slots * grids.most_tokens);
  const DeviceArray<int32_t> failed(std::vector<int32_t>(batch.image_count(), 0));
  const kernels::DrawState state = {tokens.data(), kL, confidence.data(), failed.data()};
  CheckCuda(kernels::DrawTokens(logits.data(), batch.V(), images.data(), image_of_token.data(),
                                batch.token_count(), grids, state, nullptr),
            "DrawTokens");
  return {tokens.Download(), confidence.Download(), failed.Download()};
}

DrawParams ParamsOf(const DrawImage& image) {
  DrawParams params(image.temperature, image.top_k, 1.0f);
  params.drop_mass = image.drop_mass;
  return params;
}

// True where rounding may decide: the draw lies within 1e-6 of the total of where one token's share
// ends and the next begins, or so does the mass that top-p drops. In fp64 and by sorting.
bool OnBoundary(std::vector<float> logits, const DrawImage& image, float uniform) {
  for (float& l : logits) l /= image.temperature;
  const int V = static_cast<int>(logits.size());
  std::vector<int> ranked(V);
  std::iota(ranked.begin(), ranked.end(), 0);
  std::stable_sort(ranked.begin(), ranked.end(),
                   [&](int a, int b) { return logits[a] < logits[b]; });
  const int removed = image.top_k > 0 ? std::max(0, V - static_cast<int>(image.top_k)) : 0;
  std::vector<double> weights(V, 0.0);
  double total = 0;
  for (int v = 0; v < V; ++v) {
    if (logits[v] < logits[ranked[removed]]) continue;
    weights[v] = std::exp(static_cast<double>(logits[v]) - logits[ranked.back()]);
    total += weights[v];
  }
  if (image.drop_mass >= 0) {
    double through = 0;
    for (const int v : ranked) {
      through += weights[v];
      if (weights[v] > 0 && std::abs(through / total - image.drop_mass) < 1e-6) return true;
      if (through > image.drop_mass * total) break;
      if (v != ranked.back()) weights[v] = 0;
    }
    total = std::accumulate(weights.begin(), weights.end(), 0.0);
  }
  double running = 0;
  return std::any_of(weights.begin(), weights.end(), [&](double w) {
    running += w;
    return w > 0 && std::abs(running / total - uniform) < 1e-6;
  });
}

// Expects DrawToken's tokens and confidences; returns how many draws on a boundary differ.
int ExpectAsDrawToken(const Batch& batch, const Result& result) {
  DrawScratch scratch;
  int differing = 0;
  for (const DrawImage& image : batch.images()) {
    for (int i = 0; i < image.tokens; ++i) {
      const std::vector<float> logits = batch.Guided(image, i);
      const float uniform = TokenUniform(image.seed, i, image.scale, image.step);
      const Drawn expected = DrawToken(logits, ParamsOf(image), uniform, &scratch);
      const int32_t token = result.token(image, i);
      const float confidence = result.certainty(image, i);
      if (token == expected.token &&
          std::abs(confidence - expected.confidence) <= 1e-5f * expected.confidence) {
        continue;
      }
      EXPECT_TRUE(expected.token >= 0 && OnBoundary(logits, image, uniform))
          << "V " << batch.V() << ", image " << image.slot << ", position " << i << ": token "
          << token << " (" << confidence << "), expected " << expected.token << " ("
          << expected.confidence << "); temperature " << image.temperature << ", top_k "
          << image.top_k << ", drop_mass " << image.drop_mass;
      ++differing;
    }
  }
  return differing;
}

template <typename T>
T OneOf(std::initializer_list<T> choices, std::mt19937* random) {
  return choices.begin()[(*random)() % choices.size()];
}

Batch RandomBatch(int V, int images, std::mt19937* random) {
  Batch batch(V);
  for (int i = 0; i < images; ++i) {
    const uint32_t size = static_cast<uint32_t>(V);
    const float top_p = OneOf({1.0f, 1.0f, 0.99f, 0.9f, 0.5f, 1e-6f}, random);
    DrawImage image = {.scale = OneOf({2, 3}, random),
                       .step = OneOf({0, 1, 5}, random),
                       .seed = (uint64_t{(*random)()} << 32) | (*random)(),
                       .guidance = OneOf({0.5f, 1.5f, 4.0f}, random),
                       .temperature = OneOf({1.0f, 1.0f, 0.5f, 1.3f, 0.05f}, random),
                       .top_k = OneOf({0u, 0u, 1u, 2u, 300u, size / 2, size}, random),
                       .drop_mass = DrawParams(1, 0, top_p).drop_mass};
    const bool guided = (*random)() % 2 == 0;
    const int tokens = OneOf({1, 4, 9}, random);
    batch.Add(image, tokens, guided, static_cast<Kind>(i % kKinds), random);
  }
  return batch;
}

class DrawTokensTest : public ::testing::Test {
 protected:
  void SetUp() override { HMAR_SKIP_WITHOUT_GPU(); }

  std::mt19937 random_{20250622};
};

TEST_F(DrawTokensTest, DrawsAsTheReferenceDoes) {
  int draws = 0;
  int differing = 0;
  for (const int V : {1, 2, 7, 130, 512, 1000, 4096, 5000, 16385, 32768}) {
    SCOPED_TRACE(V);
    const Batch batch = RandomBatch(V, V < 5000 ? 84 : 7, &random_);
    const Result result = Draw(batch, batch.image_count());
    EXPECT_THAT(result.failed, Each(0));
    draws += batch.token_count();
    differing += ExpectAsDrawToken(batch, result);
  }
  EXPECT_GT(draws, 1000);
  EXPECT_LE(differing, draws / 1000) << "of " << draws;
}

// Every combination on rows of ties, where thresholds cut through equal logits.
TEST_F(DrawTokensTest, TiesFallAsTheReferenceLetsThemFall) {
  Batch batch(600);
  for (const uint32_t top_k : {0u, 1u, 2u, 299u, 300u, 599u, 600u, 601u}) {
    for (const float top_p : {1.0f, 0.987f, 0.771f, 0.513f, 0.103f, 1e-6f, 0.0f}) {
      batch.Add({.scale = 2,
                 .seed = random_(),
                 .top_k = top_k,
                 .drop_mass = DrawParams(1, 0, top_p).drop_mass},
                9, false, Kind::kFewLevels, &random_);
    }
  }
  EXPECT_LE(ExpectAsDrawToken(batch, Draw(batch, batch.image_count())), 1);
}

// The uniform's position, scale and step, and each token's place in the state.
TEST_F(DrawTokensTest, WritesNothingButItsTokens) {
  Batch batch(16);
  for (int scale = 0; scale < 4; ++scale) {
    batch.Add({.scale = scale, .step = scale, .seed = 7}, (scale + 1) * (scale + 1), false,
              Kind::kNormal, &random_);
  }
  const Result result = Draw(batch, batch.image_count() + 1);
  EXPECT_EQ(ExpectAsDrawToken(batch, result), 0);
  EXPECT_EQ(std::count(result.tokens.begin(), result.tokens.end(), kUndrawn),
            static_cast<int64_t>(result.tokens.size()) - batch.token_count());
  EXPECT_EQ(std::count_if(result.confidence.begin(), result.confidence.end(),
                          [](float c) { return std::isnan(c); }),
            static_cast<int64_t>(result.confidence.size()) - batch.token_count());
}

// In a mask pass and in the next-scale pass of an edit. Logits of closed tokens are not looked at.
TEST_F(DrawTokensTest, AMapLeavesClosedTokensAsTheyAre) {
  for (const int step : {0, 1}) {
    Batch batch(512);
    batch.Add({.scale = 2, .step = step, .seed = 3}, 9, true, Kind::kNormal, &random_);
    batch.Add({.scale = 2, .seed = 4}, 9, true, Kind::kNormal, &random_);
    const Result all = Draw(batch, 2, std::vector<uint8_t>(9, 1));
    EXPECT_EQ(ExpectAsDrawToken(batch, all), 0);
    batch.logit(batch.images()[0].first_row + 1, 7) = std::nanf("");
    const Result some = Draw(batch, 2, {1, 0, 0, 0, 1, 0, 0, 0, 1});
    EXPECT_THAT(some.failed, Each(0));
    for (const DrawImage& image : batch.images()) {
      for (int i = 0; i < 9; ++i) {
        const bool drawn = image.slot == 1 || i % 4 == 0;
        EXPECT_EQ(some.token(image, i), drawn ? all.token(image, i) : kUndrawn) << i;
        EXPECT_EQ(std::isnan(some.certainty(image, i)), !drawn) << i;
      }
    }
  }
}

TEST_F(DrawTokensTest, LogitsThatAreNotFiniteFailTheirImageAlone) {
  for (const int V : {512, 5001}) {
    Batch batch(V);
    const std::vector<float> bad = {0, std::nanf(""), kInfinity, -kInfinity};
    for (size_t i = 0; i < bad.size(); ++i) {
      batch.Add({.scale = 2, .seed = i}, 4, i % 2 == 1, Kind::kNormal, &random_);
      if (i > 0) batch.logit(batch.images()[i].first_row + 2, V - 1) = bad[i];
    }
    // Finite, but not once they are divided or guided.
    batch.Add({.scale = 2, .temperature = 1e-20f}, 1, false, Kind::kExtreme, &random_);
    batch.Add({.scale = 2, .guidance = 1e20f}, 1, true, Kind::kExtreme, &random_);
    const Result result = Draw(batch, batch.image_count());
    EXPECT_THAT(result.failed, ElementsAre(0, 1, 1, 1, 1, 1));
    for (const DrawImage& image : batch.images()) {
      for (int i = 0; i < image.tokens; ++i) {
        const bool fails = image.slot >= 4 || (image.slot > 0 && i == 2);
        EXPECT_EQ(result.token(image, i) == kUndrawn, fails) << image.slot << " " << i;
        EXPECT_EQ(std::isnan(result.certainty(image, i)), fails) << image.slot << " " << i;
      }
    }
  }
}

// Many tokens and few take blocks of different shapes.
TEST_F(DrawTokensTest, SameBytesAloneAndInCompany) {
  for (const int V : {1000, 4096, 8191}) {
    const Batch batch = RandomBatch(V, V < 5000 ? 84 : 14, &random_);
    const Result together = Draw(batch, batch.image_count());
    for (int index = 0; index < batch.image_count(); index += 3) {
      const Result alone = Draw(batch.Only(index), batch.image_count());
      const DrawImage& image = batch.images()[index];
      for (int i = 0; i < image.tokens; ++i) {
        EXPECT_EQ(alone.token(image, i), together.token(image, i));
        EXPECT_EQ(alone.certainty(image, i), together.certainty(image, i));
      }
    }
  }
}

TEST_F(DrawTokensTest, RefusesWhatItCannotDo) {
  const DeviceArray<float> logits(64);
  const auto draw = [&](const float* rows, int V, int token_count) {
    return kernels::DrawTokens(rows, V, nullptr, nullptr, token_count, SmallGrids(), {}, nullptr);
  };
  EXPECT_EQ(draw(logits.data(), 32769, 1), cudaErrorInvalidValue);
  EXPECT_EQ(draw(logits.data(), 0, 1), cudaErrorInvalidValue);
  EXPECT_EQ(draw(logits.data(), 16, -1), cudaErrorInvalidValue);
  EXPECT_EQ(draw(logits.data() + 1, 16, 1), cudaErrorInvalidValue);
  EXPECT_EQ(draw(logits.data(), 16, 0), cudaSuccess);
}

}  // namespace
}  // namespace hmar
