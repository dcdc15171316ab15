#include "model/edit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <random>
#include <string>

#include "nlohmann/json.hpp"

namespace hmar {
namespace {

using testing::Each;
using testing::ElementsAre;

ModelConfig Grids(std::vector<int> patch_nums, int pixels_of_cell) {
  ModelConfig config;
  config.image_size = patch_nums.back() * pixels_of_cell;
  config.patch_nums = std::move(patch_nums);
  return config;
}

KeepMap Digits(const std::string& text) {
  KeepMap digits;
  for (const char c : text) digits.push_back(c == '1');
  return digits;
}

TEST(KeepMaps, AreTheReferencesForEveryGridOfEveryOfficialModel) {
  std::ifstream file("tests/golden/keep-maps.json");
  const nlohmann::json cases = nlohmann::json::parse(file);
  ASSERT_GE(cases.size(), 15u);
  for (const nlohmann::json& wanted : cases) {
    const ModelConfig config = Grids(wanted["patch_nums"].get<std::vector<int>>(), 1);
    const auto maps = KeepMaps(Digits(wanted["cells"].get<std::string>()), config);
    ASSERT_EQ(maps.size(), wanted["keep"].size());
    for (size_t k = 0; k < maps.size(); ++k) {
      EXPECT_EQ(maps[k], Digits(wanted["keep"][k].get<std::string>()))
          << "grid " << config.last_grid() << " scale " << k;
    }
  }
}

TEST(KeepMaps, KeepTheOneByOneScaleAloneWhenEverythingIsGenerated) {
  const ModelConfig config = Grids({1, 2, 3, 4, 5, 6, 8}, 4);
  const auto maps = KeepMaps(KeepMap(64, 0), config);
  EXPECT_THAT(maps[0], ElementsAre(1));
  for (size_t k = 1; k < maps.size(); ++k) {
    EXPECT_THAT(maps[k], Each(0));
    EXPECT_EQ(Generated(maps[k]), maps[k].size());
  }
}

TEST(KeepMaps, AreTheCellsThemselvesAtTheLastScale) {
  const ModelConfig config = Grids({2, 3, 5}, 1);
  const KeepMap cells = Digits("1011011100010011110100111");
  EXPECT_EQ(KeepMaps(cells, config).back(), cells);
}

TEST(KeepCells, GenerateACellWithASinglePixelOfTheRegion) {
  const ModelConfig config = Grids({1, 3}, 4);
  for (int pixel = 0; pixel < 12 * 12; ++pixel) {
    std::vector<uint8_t> region(12 * 12, 0);
    region[pixel] = 1;
    KeepMap wanted(9, 1);
    wanted[pixel / 12 / 4 * 3 + pixel % 12 / 4] = 0;
    EXPECT_EQ(KeepCells(region, config), wanted) << pixel;
  }
}

TEST(KeepCells, CoverEveryPixelOfRandomRegions) {
  const ModelConfig config = Grids({1, 2, 5, 8}, 8);
  const int S = config.image_size, P = config.last_grid();
  std::mt19937 random(3);
  for (int trial = 0; trial < 50; ++trial) {
    std::vector<uint8_t> region(S * S);
    for (uint8_t& pixel : region) pixel = random() % 1000 < 15;
    const KeepMap keep = KeepCells(region, config);
    std::vector<uint8_t> generated(P * P, 0);
    for (int i = 0; i < S * S; ++i) generated[i / S / 8 * P + i % S / 8] |= region[i];
    for (int cell = 0; cell < P * P; ++cell) EXPECT_EQ(keep[cell], generated[cell] == 0);
  }
}

}  // namespace
}  // namespace hmar
