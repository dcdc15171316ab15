#include "kernels/group_norm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tests/kernels/device_array.h"
#include "tests/kernels/group_norm_reference.h"

namespace hmar {
namespace {

using kernels::GroupNormArgs;

Bf16s RunGroupNorm(const Layer& layer) {
  const OnDevice device(layer);
  CheckCuda(kernels::GroupNorm(device.args, nullptr), "GroupNorm");
  return device.out.Download();
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
  const float* const partials = device.workspace.data();
  EXPECT_EQ(kernels::GroupNormFromPartials(device.args, partials, 0, nullptr),
            cudaErrorInvalidValue);
  EXPECT_EQ(kernels::GroupNormFromPartials(device.args, partials + 1, 1, nullptr),
            cudaErrorInvalidValue);
}

}  // namespace
}  // namespace hmar
