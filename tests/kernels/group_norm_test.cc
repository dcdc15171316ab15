#include "kernels/group_norm.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/group_norm.h>
#include <ATen/ops/silu.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/kernels/device_array.h"

namespace hmar {
namespace {

using kernels::GroupNormArgs;
using kernels::kGroups;
using Bf16s = std::vector<__nv_bfloat16>;

std::vector<float> Normals(size_t count, float mean, float deviation, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(mean, deviation);
  std::vector<float> values(count);
  for (float& v : values) v = normal(random);
  return values;
}

// A layer and its input, (B, S, C).
struct Layer {
  int B;
  int64_t S;
  int C;
  bool silu = true;
  Bf16s x;
  std::vector<float> weight, bias;

  Layer(int B, int64_t S, int C, bool silu, float mean = 0.3f, float deviation = 1)
      : B(B),
        S(S),
        C(C),
        silu(silu),
        x(ToBf16(Normals(B * S * C, mean, deviation, 1))),
        weight(Normals(C, 1, 0.3f, 2)),
        bias(Normals(C, 0, 0.5f, 3)) {}

  // The same layer with image b alone.
  Layer Alone(int b) const {
    Layer one = *this;
    one.B = 1;
    one.x.assign(x.begin() + b * S * C, x.begin() + (b + 1) * S * C);
    return one;
  }
};

// The device's copy of a layer, and what GroupNorm needs beside it.
struct OnDevice {
  explicit OnDevice(const Layer& layer)
      : x(layer.x),
        out(layer.x.size()),
        weight(layer.weight),
        bias(layer.bias),
        workspace(kernels::GroupNormWorkspaceBytes(layer.B, layer.S) / sizeof(float)) {
    args.x_BSC = x.data();
    args.out_BSC = out.data();
    args.weight_C = weight.data();
    args.bias_C = bias.data();
    args.workspace = workspace.data();
    args.B = layer.B;
    args.S = layer.S;
    args.C = layer.C;
    args.silu = layer.silu;
  }

  DeviceArray<__nv_bfloat16> x, out;
  DeviceArray<float> weight, bias, workspace;
  GroupNormArgs args;
};

Bf16s RunGroupNorm(const Layer& layer) {
  const OnDevice device(layer);
  CheckCuda(kernels::GroupNorm(device.args, nullptr), "GroupNorm");
  return device.out.Download();
}

// In double precision, (B, S, C).
std::vector<double> Reference(const Layer& layer) {
  std::vector<float> x = ToFloats(layer.x), weight = layer.weight, bias = layer.bias;
  const at::Tensor x_BCS = at::from_blob(x.data(), {layer.B, layer.S, layer.C}, at::kFloat)
                               .to(at::kDouble)
                               .transpose(1, 2);
  const auto vector = [&](std::vector<float>& v) {
    return at::from_blob(v.data(), {layer.C}, at::kFloat).to(at::kDouble);
  };
  at::Tensor y = at::group_norm(x_BCS.contiguous(), kGroups, vector(weight), vector(bias), 1e-6);
  if (layer.silu) y = at::silu(y);
  y = y.transpose(1, 2).contiguous();
  return {y.data_ptr<double>(), y.data_ptr<double>() + y.numel()};
}

// The largest |x| in standard deviations of its group: the size of x * scale before the mean is
// taken off.
double LargestRatio(const Layer& layer) {
  const int64_t width = layer.C / kGroups, elements = layer.S * width;
  const std::vector<float> x = ToFloats(layer.x);
  double largest_ratio = 0;
  for (int64_t part = 0; part < int64_t{layer.B} * kGroups; ++part) {
    double sum = 0, squares = 0, largest = 0;
    for (int64_t i = 0; i < elements; ++i) {
      const int64_t position = part / kGroups * layer.S + i / width;
      const double v = x[position * layer.C + part % kGroups * width + i % width];
      sum += v;
      squares += v * v;
      largest = std::max(largest, std::abs(v));
    }
    const double variance = squares / elements - sum / elements * (sum / elements);
    largest_ratio = std::max(largest_ratio, largest / std::sqrt(std::max(variance, 0.0) + 1e-6));
  }
  return largest_ratio;
}

// Half a unit of bf16's last place, and some fp32 roundings of x * scale.
void ExpectMatches(const Layer& layer, const Bf16s& got) {
  const std::vector<double> want = Reference(layer);
  ASSERT_EQ(got.size(), want.size());
  const double slack = 2e-6 * (5 + LargestRatio(layer));
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(__bfloat162float(got[i]), want[i], std::abs(want[i]) / 256 + slack) << "at " << i;
  }
}

bool SameBytes(const __nv_bfloat16* a, const __nv_bfloat16* b, size_t count) {
  return std::memcmp(a, b, count * sizeof(*a)) == 0;
}

struct Shape {
  int B;
  int64_t S;
  int C;
};

class GroupNormShapes : public testing::TestWithParam<Shape> {};

TEST_P(GroupNormShapes, MatchesDoublePrecision) {
  HMAR_SKIP_WITHOUT_GPU();
  const auto [B, S, C] = GetParam();
  for (const bool silu : {true, false}) {
    const Layer layer(B, S, C, silu);
    ExpectMatches(layer, RunGroupNorm(layer));
  }
}

INSTANTIATE_TEST_SUITE_P(All, GroupNormShapes,
                         testing::Values(Shape{2, 64, 32}, Shape{1, 1, 32}, Shape{3, 1, 160},
                                         Shape{2, 63, 64}, Shape{1, 64, 128}, Shape{2, 1000, 160},
                                         Shape{1, 17, 160}, Shape{2, 63, 320}, Shape{1, 256, 640},
                                         Shape{2, 63, 1024}, Shape{1, 1000, 1024}, Shape{1, 63, 96},
                                         Shape{1, 63, 992}, Shape{1, 20'000, 64},
                                         Shape{1, 4096, 160}),
                         [](const testing::TestParamInfo<Shape>& info) {
                           return "B" + std::to_string(info.param.B) + "S" +
                                  std::to_string(info.param.S) + "C" + std::to_string(info.param.C);
                         });

TEST(GroupNormTest, KeepsSmallDeviationsAboutALargeMean) {
  HMAR_SKIP_WITHOUT_GPU();
  const Layer layer(2, 1000, 160, true, 50, 1);
  ExpectMatches(layer, RunGroupNorm(layer));
}

// Neighbours in bf16: E[x^2] - E[x]^2 in fp32 would keep two digits of the variance, 1 of 66,050.
TEST(GroupNormTest, KeepsTheLastBitOfTheInput) {
  HMAR_SKIP_WITHOUT_GPU();
  Layer layer(1, 4096, 160, false);
  for (__nv_bfloat16& v : layer.x) v = __float2bfloat16(__bfloat162float(v) < 0.3f ? 256 : 258);
  ExpectMatches(layer, RunGroupNorm(layer));
}

// The statistics are taken about values of the first positions.
TEST(GroupNormTest, AnOutlierInFrontCostsNoPrecision) {
  HMAR_SKIP_WITHOUT_GPU();
  Layer layer(1, 1000, 160, false);
  for (int c = 0; c < layer.C; ++c) layer.x[c] = __float2bfloat16(c % 2 ? 3000.0f : -1000.0f);
  ExpectMatches(layer, RunGroupNorm(layer));
}

TEST(GroupNormTest, ConstantInputGivesTheBias) {
  HMAR_SKIP_WITHOUT_GPU();
  Layer layer(1, 500, 320, true);
  std::fill(layer.x.begin(), layer.x.end(), __float2bfloat16(2.5f));
  ExpectMatches(layer, RunGroupNorm(layer));
}

TEST(GroupNormTest, InPlace) {
  HMAR_SKIP_WITHOUT_GPU();
  const Layer layer(2, 1000, 160, true);
  OnDevice device(layer);
  device.args.out_BSC = device.x.data();
  CheckCuda(kernels::GroupNorm(device.args, nullptr));
  const Bf16s got = device.x.Download(), want = RunGroupNorm(layer);
  EXPECT_TRUE(SameBytes(got.data(), want.data(), want.size()));
}

TEST(GroupNormTest, AnImageIsTheSameInAnyBatch) {
  HMAR_SKIP_WITHOUT_GPU();
  for (const auto& [B, S, C] : {Shape{5, 1000, 160}, Shape{40, 256, 320}, Shape{300, 70, 32}}) {
    Layer layer(B, S, C, true);
    layer.x[0] = __float2bfloat16(NAN);  // Of image 0: nothing that the others see.
    const Bf16s together = RunGroupNorm(layer);
    for (const int b : {1, B / 2, B - 1}) {
      const Bf16s alone = RunGroupNorm(layer.Alone(b));
      EXPECT_TRUE(SameBytes(together.data() + b * S * C, alone.data(), alone.size()))
          << "image " << b << " of " << B;
    }
  }
}

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

TEST(GroupNormTest, AppliesPartialsOfUnevenChunks) {
  HMAR_SKIP_WITHOUT_GPU();
  const Layer layer(2, 1000, 160, true, 3);
  std::vector<int64_t> many;
  for (int64_t s = 0; s <= layer.S; s += 4) many.push_back(s);
  for (const std::vector<int64_t>& borders :
       {std::vector<int64_t>{0, 1, 700, 710, 1000}, std::vector<int64_t>{0, 1000}, many}) {
    OnDevice device(layer);
    DeviceArray<float> partials(Partials(layer, borders));
    device.args.workspace = partials.data();
    const int chunks = static_cast<int>(borders.size()) - 1;
    CheckCuda(kernels::GroupNormApply(device.args, chunks, nullptr));
    ExpectMatches(layer, device.out.Download());
  }
}

TEST(GroupNormTest, ChunksAreBoundedAndDependOnPositionsAlone) {
  for (const int64_t S : {1, 2, 63, 64, 1000, 4096, 65'536, 1'000'000}) {
    const int chunks = kernels::GroupNormChunks(S);
    EXPECT_GE(chunks, 1);
    EXPECT_LE(chunks, std::min<int64_t>(S, 128));
    EXPECT_EQ(kernels::GroupNormWorkspaceBytes(3, S), 3 * kernels::GroupNormWorkspaceBytes(1, S));
  }
}

TEST(GroupNormTest, RefusesWhatItCannotDo) {
  HMAR_SKIP_WITHOUT_GPU();
  const OnDevice device(Layer(1, 4, 64, true));
  const auto with = [&](const auto& change) {
    GroupNormArgs args = device.args;
    change(args);
    return kernels::GroupNorm(args, nullptr);
  };
  EXPECT_EQ(with([](GroupNormArgs& a) { a.B = 0; }), cudaSuccess);
  EXPECT_EQ(with([](GroupNormArgs& a) { a.B = -1; }), cudaErrorInvalidValue);
  EXPECT_EQ(with([](GroupNormArgs& a) { a.S = 0; }), cudaErrorInvalidValue);
  EXPECT_EQ(with([](GroupNormArgs& a) { a.C = 40; }), cudaErrorInvalidValue);
  EXPECT_EQ(with([](GroupNormArgs& a) { a.C = 1056; }), cudaErrorInvalidValue);
  EXPECT_EQ(with([](GroupNormArgs& a) { a.x_BSC += 1; }), cudaErrorInvalidValue);
  EXPECT_EQ(kernels::GroupNormApply(device.args, 0, nullptr), cudaErrorInvalidValue);
}

}  // namespace
}  // namespace hmar
