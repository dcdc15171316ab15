#include "server/uploads/compositor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace hmar {
namespace {

Picture RandomPicture(uint32_t side, std::mt19937* random) {
  Picture picture{side, side, std::vector<uint8_t>(size_t{3} * side * side)};
  for (uint8_t& sample : picture.rgb) sample = static_cast<uint8_t>((*random)());
  return picture;
}

// Boxes and holes in them; now and then nothing or everything.
Region RandomRegion(uint32_t side, std::mt19937* random) {
  Region region(size_t{side} * side, (*random)() % 8 == 0);
  for (uint32_t boxes = (*random)() % 5; boxes > 0; --boxes) {
    const uint32_t x0 = (*random)() % side, x1 = x0 + (*random)() % (side - x0 + 1);
    const uint32_t y0 = (*random)() % side, y1 = y0 + (*random)() % (side - y0 + 1);
    const uint8_t value = (*random)() % 4 != 0;
    for (uint32_t y = y0; y < y1; ++y) {
      for (uint32_t x = x0; x < x1; ++x) region[size_t{y} * side + x] = value;
    }
  }
  return region;
}

Picture Applied(const Compositor& compositor, Picture picture) {
  compositor.Apply(&picture);
  return picture;
}

Picture Flat(uint32_t side, uint8_t value) {
  return {side, side, std::vector<uint8_t>(size_t{3} * side * side, value)};
}

// The distance by looking at every pixel; infinity where nothing is outside.
double DistanceAt(const Region& region, uint32_t side, uint32_t x, uint32_t y) {
  double nearest = INFINITY;
  for (uint32_t v = 0; v < side; ++v) {
    for (uint32_t u = 0; u < side; ++u) {
      if (region[size_t{v} * side + u] == 1) continue;
      nearest = std::min(nearest, std::hypot(1.0 * x - u, 1.0 * y - v));
    }
  }
  return nearest;
}

TEST(CompositorTest, EveryPixelIsTheBlendOfItsDistance) {
  for (uint32_t seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    const uint32_t side = 1 + random() % 24;
    const uint32_t feather = seed % 3 == 0 ? 0 : random() % 9;
    const EditSource source{RandomPicture(side, &random), RandomRegion(side, &random)};
    const Picture generated = RandomPicture(side, &random);
    const Picture result = Applied(Compositor(source, feather), generated);
    for (uint32_t i = 0; i < side * side; ++i) {
      const double distance = DistanceAt(source.region, side, i % side, i / side);
      const double share = std::min(1.0, distance / (feather + 1));
      for (uint32_t c = 3 * i; c < 3 * i + 3; ++c) {
        const double blend = share * generated.rgb[c] + (1 - share) * source.picture.rgb[c];
        EXPECT_NEAR(result.rgb[c], blend, 0.5 + 1e-4) << "seed " << seed << ", pixel " << i;
        if (source.region[i] == 0) {
          EXPECT_EQ(result.rgb[c], source.picture.rgb[c]);
        } else if (feather == 0) {
          EXPECT_EQ(result.rgb[c], generated.rgb[c]);
        }
      }
    }
  }
}

TEST(CompositorTest, HalvesRoundUp) {
  // One column generated, at distance 1 of feather 1: a half each.
  EditSource source{Flat(3, 10), {0, 1, 0, 0, 1, 0, 0, 1, 0}};
  EXPECT_EQ(Applied(Compositor(source, 1), Flat(3, 13)).rgb[3], 12);
  EXPECT_EQ(Applied(Compositor(source, 1), Flat(3, 7)).rgb[3], 9);
  // Distance 1 of feather 5, a sixth: 10 + 3 / 6.
  EXPECT_EQ(Applied(Compositor(source, 5), Flat(3, 13)).rgb[3], 11);
}

TEST(CompositorTest, TheBlendRisesInwardsAndReachesTheGeneratedPicture) {
  const uint32_t side = 32;
  EditSource source{Flat(side, 0), Region(side * side, 0)};
  for (uint32_t i = 0; i < side * side; ++i) source.region[i] = i % side >= 8;
  const Picture result = Applied(Compositor(source, 6), Flat(side, 210));
  for (uint32_t x = 0; x < side; ++x) {
    const uint32_t distance = x < 8 ? 0 : x - 7;
    EXPECT_EQ(result.rgb[3 * (5 * side + x)], 210 * std::min(distance, 7u) / 7) << "column " << x;
  }
}

TEST(CompositorTest, WithNothingToGenerateTheSourceComesBack) {
  std::mt19937 random(1);
  const EditSource source{RandomPicture(20, &random), Region(400, 0)};
  for (const uint32_t feather : {0u, 3u, 4294967295u}) {
    EXPECT_EQ(Applied(Compositor(source, feather), RandomPicture(20, &random)).rgb,
              source.picture.rgb);
  }
}

TEST(CompositorTest, WithNothingOutsideTheGeneratedPictureStays) {
  std::mt19937 random(2);
  const EditSource source{RandomPicture(20, &random), Region(400, 1)};
  const Picture generated = RandomPicture(20, &random);
  for (const uint32_t feather : {0u, 3u, 4294967295u}) {
    EXPECT_EQ(Applied(Compositor(source, feather), generated).rgb, generated.rgb);
  }
}

TEST(CompositorTest, AHugeFeatherIsStillExactOutside) {
  std::mt19937 random(3);
  const EditSource source{RandomPicture(24, &random), RandomRegion(24, &random)};
  const Picture result = Applied(Compositor(source, 4294967295u), RandomPicture(24, &random));
  for (uint32_t i = 0; i < 24 * 24; ++i) {
    if (source.region[i] == 1) continue;
    for (uint32_t c = 3 * i; c < 3 * i + 3; ++c) EXPECT_EQ(result.rgb[c], source.picture.rgb[c]);
  }
}

// A small picture is what the large one would be, reduced: enlarge what was generated, composite,
// average.
TEST(CompositorTest, PreviewsAreTheReducedComposite) {
  for (uint32_t seed = 0; seed < 40; ++seed) {
    std::mt19937 random(seed);
    const uint32_t small = 1 + random() % 8, ratio = 1 + random() % 5, side = small * ratio;
    const EditSource source{RandomPicture(side, &random), RandomRegion(side, &random)};
    const Compositor compositor(source, random() % 4);
    const Picture generated = RandomPicture(small, &random);
    Picture large = Flat(side, 0);
    const auto under = [&](uint32_t i) { return i / side / ratio * small + i % side / ratio; };
    for (uint32_t i = 0; i < side * side; ++i) {
      std::copy_n(generated.rgb.begin() + 3 * under(i), 3, large.rgb.begin() + 3 * i);
    }
    compositor.Apply(&large);
    std::vector<double> average(generated.rgb.size());
    std::vector<bool> outside(small * small, true);
    std::vector<double> kept(generated.rgb.size());
    for (uint32_t i = 0; i < side * side; ++i) {
      outside[under(i)] = outside[under(i)] && source.region[i] == 0;
      for (uint32_t c = 0; c < 3; ++c) {
        average[3 * under(i) + c] += large.rgb[3 * i + c] / double(ratio * ratio);
        kept[3 * under(i) + c] += source.picture.rgb[3 * i + c] / double(ratio * ratio);
      }
    }
    const Picture result = Applied(compositor, generated);
    for (uint32_t c = 0; c < average.size(); ++c) {
      EXPECT_NEAR(result.rgb[c], average[c], 1.0 + 1e-3) << "seed " << seed;  // Rounded twice.
      if (outside[c / 3]) {
        EXPECT_EQ(result.rgb[c], std::floor(kept[c] + 0.5 + 1e-9)) << "seed " << seed;
      }
    }
  }
}

TEST(CompositorTest, PreviewsOfAnySideStayInBounds) {
  std::mt19937 random(5);
  const EditSource source{RandomPicture(24, &random), Region(576, 0)};
  const Compositor compositor(source, 2);
  for (uint32_t small = 1; small <= 24; ++small) {
    const Picture result = Applied(compositor, Flat(small, 255));
    EXPECT_EQ(result.rgb.size(), size_t{3} * small * small);
    EXPECT_LT(*std::min_element(result.rgb.begin(), result.rgb.end()), 255) << small;
  }
}

TEST(CompositorTest, ManyThreadsShareIt) {
  std::mt19937 random(6);
  const EditSource source{RandomPicture(48, &random), RandomRegion(48, &random)};
  const Compositor shared(source, 3);
  std::vector<std::vector<Picture>> results(4);
  std::vector<std::thread> threads;
  for (auto& pictures : results) {
    threads.emplace_back([&shared, &pictures] {
      for (const uint32_t side : {48u, 24u, 16u, 12u, 8u, 6u, 3u}) {
        pictures.push_back(Applied(shared, Flat(side, 99)));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& pictures : results) {
    for (size_t i = 0; i < pictures.size(); ++i) {
      EXPECT_EQ(pictures[i].rgb, results[0][i].rgb);
    }
  }
}

}  // namespace
}  // namespace hmar
