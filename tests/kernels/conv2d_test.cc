#include "kernels/conv2d.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>
#include <vector>

#include "kernels/conv2d_internal.h"
#include "tests/kernels/conv2d_reference.h"
#include "tests/kernels/device_array.h"

namespace hmar {
namespace {

using kernels::Conv2dArgs;
using kernels::ConvKind;
using Launch = std::function<cudaError_t(const Conv2dArgs&)>;

// The output as floats. Fails where the kernel wrote behind it.
std::vector<float> Run(const Operands& o, const Launch& launch) {
  constexpr size_t kGuard = 512;
  const Layer& l = o.layer;
  const DeviceArray<__nv_bfloat16> x(ToBf16(o.x)), weight(Packed(o)), residual(ToBf16(o.residual));
  const DeviceArray<float> bias(o.bias);
  const bool fp32 = l.output == Output::kFp32;
  const DeviceArray<float> out_fp32(fp32 ? l.output_count() + kGuard : 0);
  const DeviceArray<__nv_bfloat16> out(fp32 ? 0 : l.output_count() + kGuard);
  const Conv2dArgs args = {
      .kind = l.kind,
      .x_BHWI = x.data(),
      .weight = weight.data(),
      .bias_O = bias.data(),
      .residual_BHWO = l.output == Output::kResidual ? residual.data() : nullptr,
      .out_BHWO = fp32 ? nullptr : out.data(),
      .out_fp32_BHWO = fp32 ? out_fp32.data() : nullptr,
      .B = l.B,
      .H = l.H,
      .W = l.W,
      .I = l.I,
      .O = l.O};
  EXPECT_EQ(launch(args), cudaSuccess);
  std::vector<float> values = fp32 ? out_fp32.Download() : ToFloats(out.Download());
  for (size_t i = l.output_count(); i < values.size(); ++i) {
    EXPECT_TRUE(std::isnan(values[i])) << "written behind the output: " << i;
  }
  values.resize(l.output_count());
  return values;
}

std::vector<float> RunPublic(const Operands& o) {
  return Run(o, [](const Conv2dArgs& args) { return kernels::Conv2d(args, nullptr); });
}

std::vector<float> RunGeneric(const Operands& o) {
  return Run(o, [](const Conv2dArgs& args) { return kernels::Conv2dGeneric(args, nullptr); });
}

std::vector<float> RunTile(const Operands& o, kernels::HopperTile tile) {
  return Run(o, [&](const Conv2dArgs& args) { return kernels::Conv2dHopper(args, tile, nullptr); });
}

// The tensor cores add 16 products at a time to an fp32 sum and may truncate: an error of at most
// some 2^-22 of the sum of magnitudes each time. Then the output is rounded.
void ExpectNear(const std::vector<float>& actual, const Reference& expected, const Layer& l) {
  ASSERT_EQ(actual.size(), expected.value.size());
  const double additions = double(l.kernel_side() * l.kernel_side() * l.I) / 16 + 4;
  const double rounding = l.output == Output::kFp32 ? 0x1p-23 : 0x1p-8;
  int failures = 0;
  for (size_t i = 0; i < actual.size() && failures < 5; ++i) {
    const double bound =
        0x1p-22 * additions * expected.magnitude[i] + rounding * std::abs(expected.value[i]);
    const double error = std::abs(actual[i] - expected.value[i]);
    if (error <= bound) continue;  // Not for a NaN.
    ++failures;
    const int pixel = int(i / l.O), W = l.out_W();
    ADD_FAILURE() << "row " << pixel / W << " (of all images), column " << pixel % W << ", channel "
                  << i % l.O << ": " << actual[i] << ", expected " << expected.value[i]
                  << " within " << bound;
  }
}

class Conv2dTest : public testing::TestWithParam<Layer> {};

TEST_P(Conv2dTest, EveryImplementationMatchesTheReference) {
  HMAR_SKIP_WITHOUT_GPU();
  const Operands operands = RandomOperands(GetParam(), 1);
  const Reference expected = ComputeReference(operands);
  const std::vector<float> generic = RunGeneric(operands);
  {
    SCOPED_TRACE("generic");
    ExpectNear(generic, expected, GetParam());
  }
  const std::vector<float> chosen = RunPublic(operands);
  if (!kernels::HopperAvailable()) {
    EXPECT_EQ(chosen, generic);
    return;
  }
  ExpectNear(chosen, expected, GetParam());
  if (GetParam().output == Output::kFp32) return;  // One tile only.
  for (const kernels::HopperTile tile : kernels::kHopperTiles) {
    EXPECT_TRUE(RunTile(operands, tile) == chosen) << "tile " << int(tile);
  }
}

constexpr ConvKind k1x1 = ConvKind::kSame1x1, k3x3 = ConvKind::kSame3x3,
                   kUp = ConvKind::kUpsample3x3, kDown = ConvKind::kDownsample3x3;

INSTANTIATE_TEST_SUITE_P(
    Layers, Conv2dTest,
    testing::Values(
        Layer{k3x3, 1, 16, 16, 32, 640}, Layer{k3x3, 3, 8, 8, 64, 64},
        Layer{k3x3, 1, 32, 32, 160, 160, Output::kResidual},
        Layer{k3x3, 2, 24, 40, 64, 160, Output::kResidual},
        Layer{k3x3, 3, 17, 5, 72, 40, Output::kResidual}, Layer{k3x3, 1, 16, 16, 320, 160},
        Layer{k3x3, 1, 16, 16, 640, 64}, Layer{k3x3, 1, 32, 32, 160, 3, Output::kFp32},
        Layer{k3x3, 3, 17, 5, 32, 3, Output::kFp32}, Layer{k3x3, 1, 9, 19, 32, 72, Output::kFp32},
        Layer{k3x3, 2, 1, 1, 8, 8}, Layer{k1x1, 3, 16, 16, 640, 64},
        Layer{k1x1, 1, 16, 16, 640, 1920}, Layer{k1x1, 1, 24, 40, 320, 160, Output::kResidual},
        Layer{k1x1, 3, 17, 5, 72, 40}, Layer{kUp, 1, 8, 8, 160, 160},
        Layer{kUp, 1, 16, 16, 320, 320}, Layer{kUp, 3, 17, 5, 72, 40, Output::kResidual},
        Layer{kUp, 2, 24, 40, 32, 64}, Layer{kUp, 1, 5, 33, 64, 3, Output::kFp32},
        Layer{kDown, 1, 32, 32, 160, 160}, Layer{kDown, 3, 18, 6, 72, 40, Output::kResidual},
        Layer{kDown, 2, 26, 70, 32, 64}, Layer{kDown, 2, 2, 2, 8, 8},
        Layer{kDown, 1, 16, 40, 320, 320}, Layer{kDown, 1, 10, 34, 64, 3, Output::kFp32},
        Layer{k3x3, 1, 16, 16, 8, 160}, Layer{k3x3, 2, 16, 16, 32, 32, Output::kFp32}),
    NameOf);

// Enough tiles that a thread block goes through several, and that the tile chosen for the batch is
// not the one chosen for an image alone.
TEST(Conv2dBatchTest, AnImageHasTheSameBytesInAnyBatch) {
  HMAR_SKIP_WITHOUT_GPU();
  for (const Layer layer :
       {Layer{k3x3, 264, 12, 8, 32, 160, Output::kResidual},
        Layer{k3x3, 5, 24, 40, 160, 320, Output::kResidual}, Layer{kUp, 101, 8, 8, 72, 160},
        Layer{k1x1, 5, 17, 5, 640, 1920}, Layer{k3x3, 300, 16, 16, 32, 3, Output::kFp32},
        Layer{kDown, 101, 16, 24, 72, 160}, Layer{kDown, 40, 24, 16, 32, 64},
        Layer{k3x3, 300, 12, 8, 32, 64}}) {
    const Operands operands = RandomOperands(layer, 2);
    const std::vector<float> all = RunPublic(operands);
    const size_t image = layer.output_count() / layer.B;
    for (const int b : {0, 1, layer.B / 2, layer.B - 1}) {
      const std::vector<float> alone = RunPublic(OneImage(operands, b));
      EXPECT_TRUE(std::equal(alone.begin(), alone.end(), all.begin() + b * image))
          << "image " << b << " of " << layer.B;
    }
  }
}

TEST(Conv2dBatchTest, EveryTileGoesThroughManyTiles) {
  HMAR_SKIP_WITHOUT_GPU();
  if (!kernels::HopperAvailable()) GTEST_SKIP() << "no Hopper GPU";
  const Operands operands = RandomOperands({k3x3, 300, 12, 8, 72, 160, Output::kResidual}, 4);
  const std::vector<float> generic = RunGeneric(operands);
  const std::vector<float> expected = RunPublic(operands);
  for (size_t i = 0; i < expected.size(); i += 7) {
    // Sums of 648 products of magnitude up to 1/4, and a residual: a few units at most.
    ASSERT_NEAR(expected[i], generic[i], 0.01 + std::abs(generic[i]) / 128) << i;
  }
  for (const kernels::HopperTile tile : kernels::kHopperTiles) {
    EXPECT_TRUE(RunTile(operands, tile) == expected) << "tile " << int(tile);
  }
}

TEST(Conv2dBatchTest, NoImagesAreNoWork) {
  const Conv2dArgs args = {.B = 0, .H = 16, .W = 16, .I = 32, .O = 64};
  EXPECT_EQ(kernels::Conv2d(args, nullptr), cudaSuccess);
}

TEST(Conv2dArgumentsTest, RefusesWhatItCannotDo) {
  // Never read: every call is refused.
  auto* const bf16 = reinterpret_cast<__nv_bfloat16*>(0x1000);
  auto* const fp32 = reinterpret_cast<float*>(0x1000);
  const Conv2dArgs good = {.x_BHWI = bf16,
                           .weight = bf16,
                           .bias_O = fp32,
                           .out_BHWO = bf16,
                           .B = 1,
                           .H = 16,
                           .W = 16,
                           .I = 32,
                           .O = 64};
  const auto refused = [&](const std::function<void(Conv2dArgs&)>& spoil) {
    Conv2dArgs args = good;
    spoil(args);
    return kernels::Conv2d(args, nullptr) == cudaErrorInvalidValue;
  };
  EXPECT_TRUE(refused([](Conv2dArgs& a) { a.B = -1; }));
  EXPECT_TRUE(refused([](Conv2dArgs& a) { a.H = 0; }));
  EXPECT_TRUE(refused([](Conv2dArgs& a) { a.W = -3; }));
  EXPECT_TRUE(refused([](Conv2dArgs& a) { a.I = 36; }));
  EXPECT_TRUE(refused([](Conv2dArgs& a) { a.O = 3; }));
  EXPECT_TRUE(refused([](Conv2dArgs& a) { a.B = a.H = a.W = 1 << 10; }));
  EXPECT_TRUE(refused([](Conv2dArgs& a) { a.kind = static_cast<ConvKind>(7); }));
  EXPECT_TRUE(refused([](Conv2dArgs& a) { a.kind = kDown, a.H = 15; }));
  EXPECT_TRUE(refused([](Conv2dArgs& a) { a.kind = kDown, a.W = 17; }));
  EXPECT_TRUE(refused([](Conv2dArgs& a) { a.x_BHWI = nullptr; }));
  EXPECT_TRUE(refused([](Conv2dArgs& a) { a.weight = nullptr; }));
  EXPECT_TRUE(refused([](Conv2dArgs& a) { a.bias_O = nullptr; }));
  EXPECT_TRUE(refused([](Conv2dArgs& a) { a.out_BHWO = nullptr; }));
  EXPECT_TRUE(refused([&](Conv2dArgs& a) { a.out_fp32_BHWO = fp32; }));
  EXPECT_TRUE(refused([](Conv2dArgs& a) { a.x_BHWI += 1; }));
  EXPECT_TRUE(refused([&](Conv2dArgs& a) { a.residual_BHWO = bf16 + 4; }));
  EXPECT_TRUE(refused([&](Conv2dArgs& a) {
    a.out_BHWO = nullptr, a.out_fp32_BHWO = fp32, a.residual_BHWO = bf16;
  }));
}

uint16_t Bf16Bits(float value) { return __nv_bfloat16_raw(__float2bfloat16(value)).x; }

// Output row 2 y + p of a map enlarged twofold sees, through kernel row k, enlarged row
// 2 y + p + k - 1, which is row y + floor((p + k - 1) / 2): tap 0 of the phase is y + p - 1.
int UpsampleTap(int phase, int k) { return (phase + k + 1) / 2 - 1 - (phase - 1); }

TEST(PackConvWeightTest, SumsTheTapsThatMeetInEachPhase) {
  constexpr int kO = 5, kI = 11, kPadded = 16;
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<float> weight(kO * kI * 9);
  for (float& w : weight) w = normal(random);
  ASSERT_EQ(kernels::PackedConvWeightCount(kUp, kO, kI), 16 * kO * kPadded);
  std::vector<uint16_t> packed(16 * kO * kPadded, 0xFFFF);
  kernels::PackConvWeight(kUp, weight.data(), kO, kI, packed.data());
  for (int row = 0; row < 16 * kO; ++row) {
    const int phase = row / kO / 4, tap = row / kO % 4, o = row % kO;
    for (int i = 0; i < kPadded; ++i) {
      float sum = 0;
      for (int k = 0; k < 9 && i < kI; ++k) {
        const bool here =
            UpsampleTap(phase / 2, k / 3) == tap / 2 && UpsampleTap(phase % 2, k % 3) == tap % 2;
        if (here) sum += weight[(o * kI + i) * 9 + k];
      }
      ASSERT_EQ(packed[row * kPadded + i], Bf16Bits(sum)) << row << " " << i;
    }
  }
}

TEST(PackConvWeightTest, TapsComeFirst) {
  constexpr int kO = 3, kI = 8;
  std::vector<float> weight(kO * kI * 9);
  for (size_t i = 0; i < weight.size(); ++i) weight[i] = std::sin(float(i));
  ASSERT_EQ(kernels::PackedConvWeightCount(k3x3, kO, kI), 9 * kO * kI);
  ASSERT_EQ(kernels::PackedConvWeightCount(k1x1, kO, 3), kO * 8);
  std::vector<uint16_t> packed(weight.size());
  kernels::PackConvWeight(k3x3, weight.data(), kO, kI, packed.data());
  for (int tap = 0; tap < 9; ++tap) {
    for (int oi = 0; oi < kO * kI; ++oi) {
      ASSERT_EQ(packed[tap * kO * kI + oi], Bf16Bits(weight[oi * 9 + tap]));
    }
  }
}

}  // namespace
}  // namespace hmar
