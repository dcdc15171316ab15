#include "server/scheduling/placement.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;

constexpr ImageCost kImage{0, 100, 5};

CostModel Cost(double seconds_per_step, double seconds_per_row) {
  CostModel cost;
  for (uint64_t rows : {10, 50, 200}) {
    cost.Observe({rows, absl::Seconds(seconds_per_step + seconds_per_row * rows)});
  }
  return cost;
}

ModelLoad Idle(const CostModel* cost, uint32_t slots = 8) { return {cost, 0, 0, 0, slots, 1000}; }

std::vector<size_t> PlaceMany(Placement& placement, int images) {
  std::vector<size_t> places;
  for (int i = 0; i < images; ++i) places.push_back(placement.Place(kImage));
  return places;
}

TEST(PlacementTest, EqualDevicesTakeTurns) {
  const CostModel cost = Cost(0.01, 0.001);
  Placement placement({{Idle(&cost)}, {Idle(&cost)}, {Idle(&cost)}});
  EXPECT_THAT(PlaceMany(placement, 6), ElementsAre(0, 1, 2, 0, 1, 2));
  EXPECT_EQ(placement.images(1), 2u);
}

TEST(PlacementTest, DevicesThatNobodyHasMeasuredTakeTurns) {
  const CostModel cost;
  Placement placement({{Idle(&cost)}, {Idle(&cost)}});
  EXPECT_THAT(PlaceMany(placement, 4), ElementsAre(0, 1, 0, 1));
}

TEST(PlacementTest, ALoneImageGoesToTheIdleDevice) {
  const CostModel cost = Cost(0.01, 0.001);
  Placement placement({{Idle(&cost)}, {Idle(&cost)}});
  placement.Add(0, kImage);
  EXPECT_EQ(placement.Place(kImage), 1u);
}

// Where a step costs the same whatever its rows, joining a busy device costs nothing either: the
// idle one is taken all the same.
TEST(PlacementTest, OfDevicesThatAreEquallySoonTheOneWithFewerImages) {
  const CostModel cost = Cost(0.01, 0);
  Placement placement({{Idle(&cost)}, {Idle(&cost)}});
  placement.Add(0, kImage);
  EXPECT_EQ(placement.Place(kImage), 1u);
}

TEST(PlacementTest, AFasterDeviceTakesMoreAlsoWhenTheOtherIsIdle) {
  const CostModel fast = Cost(0, 0.001);
  const CostModel slow = Cost(0, 0.003);
  Placement placement({{Idle(&slow)}, {Idle(&fast)}});
  // 0.1 s an image against 0.3 s: the third is as soon done on either.
  EXPECT_THAT(PlaceMany(placement, 2), ElementsAre(1, 1));
  PlaceMany(placement, 98);
  EXPECT_NEAR(placement.images(1), 75, 1);
}

TEST(PlacementTest, WaitingForASlotCounts) {
  const CostModel cost = Cost(0.01, 0);
  Placement placement({{Idle(&cost, 2)}, {Idle(&cost, 6)}});
  PlaceMany(placement, 8);
  EXPECT_EQ(placement.images(0), 2u);
  EXPECT_EQ(placement.images(1), 6u);
}

TEST(PlacementTest, OtherModelsOfADeviceCount) {
  const CostModel cost = Cost(0.01, 0.001);
  Placement placement({{Idle(&cost), Idle(&cost)}, {Idle(&cost), Idle(&cost)}});
  placement.Add(0, {1, 400, 5});
  EXPECT_THAT(PlaceMany(placement, 2), ElementsAre(1, 1));
}

TEST(PlacementTest, OneDeviceTakesEverything) {
  const CostModel cost = Cost(0.01, 0.001);
  Placement placement({{Idle(&cost, 1)}});
  EXPECT_THAT(PlaceMany(placement, 3), ElementsAre(0, 0, 0));
  EXPECT_EQ(placement.loads(0)[0].rows, 300u);
}

}  // namespace
}  // namespace hmar
