#include <gtest/gtest.h>

#include <vector>

#include "kernels/group_norm.h"
#include "tests/kernels/device_array.h"
#include "tests/kernels/group_norm_reference.h"

namespace hmar {
namespace {

using kernels::kGroups;

// What a producer of x would write: `borders` are the first positions of its chunks, and S.
std::vector<float> Partials(const Layer& layer, const std::vector<int64_t>& borders) {
  const int width = layer.C / kGroups;
  const std::vector<float> x = ToFloats(layer.x);
  std::vector<float> partials;
  for (int b = 0; b < layer.B; ++b) {
    for (size_t chunk = 0; chunk + 1 < borders.size(); ++chunk) {
      const double count = static_cast<double>(borders[chunk + 1] - borders[chunk]) * width;
      std::vector<double> mean(kGroups), m2(kGroups);
      const auto for_each = [&](const auto& visit) {
        for (int64_t s = borders[chunk]; s < borders[chunk + 1]; ++s) {
          for (int c = 0; c < layer.C; ++c) visit(c / width, x[(b * layer.S + s) * layer.C + c]);
        }
      };
      for_each([&](int group, double v) { mean[group] += v / count; });
      for_each([&](int group, double v) { m2[group] += (v - mean[group]) * (v - mean[group]); });
      partials.insert(partials.end(), kGroups, static_cast<float>(count));
      partials.insert(partials.end(), mean.begin(), mean.end());
      partials.insert(partials.end(), m2.begin(), m2.end());
    }
  }
  return partials;
}

Bf16s RunFromPartials(const Layer& layer, const std::vector<int64_t>& borders) {
  OnDevice device(layer);
  const DeviceArray<float> workspace(kernels::GroupNormWorkspaceBytes(layer.B, 0) / sizeof(float));
  const DeviceArray<float> partials(Partials(layer, borders));
  device.args.workspace = workspace.data();
  CheckCuda(kernels::GroupNormFromPartials(device.args, partials.data(),
                                           static_cast<int>(borders.size()) - 1, nullptr));
  return device.out.Download();
}

// Few chunks, and so many that a kernel of its own merges them.
TEST(GroupNormFromPartialsTest, MergesUnevenChunks) {
  HMAR_SKIP_WITHOUT_GPU();
  for (const bool silu : {true, false}) {
    const Layer layer(3, 1000, 160, silu, 3);
    std::vector<int64_t> seventeen = {0}, many = {0};
    for (int64_t s = 40; s < layer.S; s += 60) seventeen.push_back(s);
    for (int64_t s = 1; s <= layer.S; s += s % 3 + 1) many.push_back(s);
    seventeen.push_back(layer.S);
    if (many.back() != layer.S) many.push_back(layer.S);
    for (const std::vector<int64_t>& borders : {std::vector<int64_t>{0, 1, 700, 710, 1000},
                                                std::vector<int64_t>{0, 1000}, seventeen, many}) {
      SCOPED_TRACE(testing::Message() << borders.size() - 1 << " chunks");
      ExpectMatches(layer, RunFromPartials(layer, borders));
    }
  }
}

// The first chunk's mean, about which means are summed, is far from the others'.
TEST(GroupNormFromPartialsTest, AnOutlyingChunkCostsNoPrecision) {
  HMAR_SKIP_WITHOUT_GPU();
  for (const int64_t step : {100, 1}) {
    Layer layer(1, 1000, 160, false);
    for (int c = 0; c < layer.C; ++c) layer.x[c] = __float2bfloat16(c % 2 ? 3000.0f : -1000.0f);
    std::vector<int64_t> borders = {0, 1};
    for (int64_t s = 1 + step; s < layer.S; s += step) borders.push_back(s);
    borders.push_back(layer.S);
    ExpectMatches(layer, RunFromPartials(layer, borders));
  }
}

TEST(GroupNormFromPartialsTest, AnImageIsTheSameInAnyBatch) {
  HMAR_SKIP_WITHOUT_GPU();
  const Layer layer(5, 300, 320, true);
  for (const int64_t step : {50, 3}) {
    std::vector<int64_t> borders;
    for (int64_t s = 0; s <= layer.S; s += step) borders.push_back(s);
    const Bf16s together = RunFromPartials(layer, borders);
    for (const int b : {0, 2, 4}) {
      const Bf16s alone = RunFromPartials(layer.Alone(b), borders);
      EXPECT_TRUE(SameBytes(together.data() + b * layer.S * layer.C, alone.data(), alone.size()))
          << "image " << b << ", chunks of " << step;
    }
  }
}

}  // namespace
}  // namespace hmar
