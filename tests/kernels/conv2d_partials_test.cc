// The statistics that a convolution leaves for the GroupNorm behind it.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <vector>

#include "kernels/conv2d.h"
#include "kernels/conv2d_internal.h"
#include "tests/kernels/conv2d_reference.h"
#include "tests/kernels/device_array.h"

namespace hmar {
namespace {

using kernels::Conv2dArgs;
using kernels::ConvKind;
using kernels::kGroups;
using Convolution = std::function<cudaError_t(const Conv2dArgs&)>;

constexpr int kPartial = 3 * kGroups;

int ChunksOf(const Layer& l) { return kernels::Conv2dChunks(l.kind, l.H, l.W); }

struct Result {
  std::vector<float> out;       // (B, H, W, O) of the output.
  std::vector<float> partials;  // (B, chunks, 3, 32)

  bool operator==(const Result& other) const {
    const size_t bytes = partials.size() * sizeof(float);
    return out == other.out && partials.size() == other.partials.size() &&
           std::memcmp(partials.data(), other.partials.data(), bytes) == 0;
  }
};

// Fails where the kernel wrote behind the partials.
Result Launch(const Operands& o, const Convolution& convolution) {
  constexpr size_t kGuard = 256;
  const Layer& l = o.layer;
  const size_t count = size_t(l.B) * ChunksOf(l) * kPartial;
  const DeviceArray<__nv_bfloat16> x(ToBf16(o.x)), weight(Packed(o)), residual(ToBf16(o.residual)),
      out(l.output_count());
  const DeviceArray<float> bias(o.bias), partials(count + kGuard);
  const Conv2dArgs args = {
      .kind = l.kind,
      .x_BHWI = x.data(),
      .weight = weight.data(),
      .bias_O = bias.data(),
      .residual_BHWO = l.output == Output::kResidual ? residual.data() : nullptr,
      .out_BHWO = out.data(),
      .partials = partials.data(),
      .B = l.B,
      .H = l.H,
      .W = l.W,
      .I = l.I,
      .O = l.O};
  EXPECT_EQ(convolution(args), cudaSuccess);
  Result result = {ToFloats(out.Download()), partials.Download()};
  for (size_t i = count; i < count + kGuard; ++i) {
    EXPECT_TRUE(std::isnan(result.partials[i])) << "written behind the partials: " << i - count;
  }
  result.partials.resize(count);
  return result;
}

Result RunPublic(const Operands& o) {
  return Launch(o, [](const Conv2dArgs& args) { return kernels::Conv2d(args, nullptr); });
}

Result RunTile(const Operands& o, kernels::HopperTile tile) {
  return Launch(o,
                [&](const Conv2dArgs& args) { return kernels::Conv2dHopper(args, tile, nullptr); });
}

// Of one group of one chunk, straight from the output: chunk = (phase, row, column) of chunks.
struct Statistics {
  double count = 0, mean = 0, m2 = 0, largest = 0;
};

Statistics StatisticsOf(const Layer& l, const std::vector<float>& out, int b, int chunk,
                        int group) {
  const int H = l.grid_H(), W = l.grid_W();
  const int across = (W + 15) / 16, down = (H + 3) / 4, width = l.O / kGroups;
  const int phase = chunk / across / down, s = l.scale();
  std::vector<double> values;
  for (int y = chunk / across % down * 4, end = std::min(y + 4, H); y < end; ++y) {
    for (int x = chunk % across * 16, stop = std::min(x + 16, W); x < stop; ++x) {
      const int64_t row = int64_t{b} * H * s + y * s + phase / 2;
      const int64_t pixel = row * W * s + x * s + phase % 2;
      for (int c = 0; c < width; ++c) values.push_back(out[pixel * l.O + group * width + c]);
    }
  }
  Statistics result;
  result.count = double(values.size());
  for (const double v : values) {
    result.mean += v / result.count;
    result.largest = std::max(result.largest, std::abs(v));
  }
  for (const double v : values) result.m2 += (v - result.mean) * (v - result.mean);
  return result;
}

// Means are good to a few fp32 roundings of values up to the largest. M2: to as many of its own
// size (2^-24 times up to n + 1 = 17 variances of a channel), and as far as means of channels and
// rows are rounded.
void ExpectStatistics(const Layer& l, const Result& result) {
  int failures = 0;
  for (int i = 0; i < l.B * ChunksOf(l) * kGroups && failures < 5; ++i) {
    const int chunk = i / kGroups, group = i % kGroups;
    const float* const partial = &result.partials[size_t(chunk) * kPartial + group];
    const Statistics want =
        StatisticsOf(l, result.out, chunk / ChunksOf(l), chunk % ChunksOf(l), group);
    const double mean_error = std::abs(partial[kGroups] - want.mean);
    const double m2_error = std::abs(partial[2 * kGroups] - want.m2);
    const double rounding = 0x1p-23 * want.largest, mean_bound = 4 * rounding;
    const double m2_bound = 0x1p-16 * want.m2 + 2 * rounding * std::sqrt(want.count * want.m2) +
                            want.count * mean_bound * mean_bound;
    if (partial[0] == want.count && mean_error <= mean_bound && m2_error <= m2_bound) {
      continue;
    }
    ++failures;
    ADD_FAILURE() << "chunk " << chunk << " of all images', group " << group << ": " << partial[0]
                  << ", " << partial[kGroups] << ", " << partial[2 * kGroups] << ", expected "
                  << want.count << ", " << want.mean << ", " << want.m2;
  }
}

class Conv2dPartialsTest : public testing::TestWithParam<Layer> {};

TEST_P(Conv2dPartialsTest, EveryImplementationLeavesTheOutputsStatistics) {
  HMAR_SKIP_WITHOUT_GPU();
  const Operands operands = RandomOperands(GetParam(), 11);
  {
    SCOPED_TRACE("generic");
    ExpectStatistics(GetParam(), Launch(operands, [](const Conv2dArgs& args) {
                       return kernels::Conv2dGeneric(args, nullptr);
                     }));
  }
  const Result chosen = RunPublic(operands);
  ExpectStatistics(GetParam(), chosen);
  if (!kernels::HopperAvailable()) return;
  for (const kernels::HopperTile tile : kernels::kHopperTiles) {
    EXPECT_TRUE(RunTile(operands, tile) == chosen) << "tile " << int(tile);
  }
}

constexpr ConvKind k1x1 = ConvKind::kSame1x1, k3x3 = ConvKind::kSame3x3,
                   kUp = ConvKind::kUpsample3x3, kDown = ConvKind::kDownsample3x3;

// Groups of 1, 2, 3, 4, 5, 10, 20 and 32 channels; some tiles split those of 3, 5, 10 and 20.
INSTANTIATE_TEST_SUITE_P(
    Layers, Conv2dPartialsTest,
    testing::Values(Layer{k3x3, 2, 16, 16, 32, 640}, Layer{k3x3, 1, 32, 32, 160, 160},
                    Layer{k3x3, 2, 24, 40, 32, 160, Output::kResidual},
                    Layer{k3x3, 3, 17, 5, 72, 320, Output::kResidual},
                    Layer{k3x3, 1, 9, 19, 32, 64}, Layer{k3x3, 2, 8, 8, 8, 32},
                    Layer{k3x3, 1, 9, 8, 16, 96, Output::kResidual}, Layer{k3x3, 2, 1, 1, 8, 128},
                    Layer{k1x1, 3, 16, 16, 640, 640, Output::kResidual},
                    Layer{k1x1, 1, 6, 17, 32, 1024}, Layer{kUp, 1, 16, 16, 64, 320},
                    Layer{kUp, 3, 17, 5, 72, 160, Output::kResidual}, Layer{kUp, 2, 5, 33, 32, 64},
                    Layer{kDown, 1, 32, 32, 160, 160}, Layer{kDown, 3, 18, 10, 72, 320},
                    Layer{kDown, 2, 6, 38, 32, 64}),
    NameOf);

// The chunk's own values, not zero, are what sums are taken about.
TEST(Conv2dPartialsBatchTest, KeepsSmallDeviationsAboutALargeMean) {
  HMAR_SKIP_WITHOUT_GPU();
  Operands operands = RandomOperands({k3x3, 1, 16, 24, 8, 160}, 12);
  for (size_t o = 0; o < operands.bias.size(); ++o) operands.bias[o] = o % 2 == 0 ? 250 : 258;
  const Result chosen = RunPublic(operands);
  ExpectStatistics(operands.layer, chosen);
}

TEST(Conv2dPartialsBatchTest, ALayersOutputIsTheSameWithoutThem) {
  HMAR_SKIP_WITHOUT_GPU();
  const Operands operands = RandomOperands({k3x3, 2, 24, 40, 64, 160, Output::kResidual}, 13);
  const Result with = RunPublic(operands), without = Launch(operands, [](Conv2dArgs args) {
                                             args.partials = nullptr;
                                             return kernels::Conv2d(args, nullptr);
                                           });
  EXPECT_EQ(with.out, without.out);
}

// Enough tiles that a thread block goes through several, in batches that choose other tiles.
TEST(Conv2dPartialsBatchTest, AnImageHasTheSameBytesInAnyBatch) {
  HMAR_SKIP_WITHOUT_GPU();
  for (const Layer layer :
       {Layer{k3x3, 264, 12, 8, 32, 160, Output::kResidual}, Layer{k3x3, 5, 24, 40, 160, 320},
        Layer{kUp, 101, 8, 8, 72, 160}, Layer{k3x3, 300, 12, 8, 32, 64}}) {
    const Operands operands = RandomOperands(layer, 14);
    const Result all = RunPublic(operands);
    ExpectStatistics(layer, all);
    const size_t image = all.partials.size() / layer.B;
    for (const int b : {0, 1, layer.B / 2, layer.B - 1}) {
      const Result alone = RunPublic(OneImage(operands, b));
      EXPECT_TRUE(std::equal(alone.partials.begin(), alone.partials.end(),
                             all.partials.begin() + b * image))
          << "image " << b << " of " << layer.B;
    }
    if (!kernels::HopperAvailable()) continue;
    for (const kernels::HopperTile tile : kernels::kHopperTiles) {
      EXPECT_TRUE(RunTile(operands, tile) == all) << "tile " << int(tile);
    }
  }
}

TEST(Conv2dPartialsArgumentsTest, RefusesWhatHasNoGroups) {
  auto* const bf16 = reinterpret_cast<__nv_bfloat16*>(0x1000);  // Never read.
  auto* const fp32 = reinterpret_cast<float*>(0x1000);
  const auto refused = [&](int O, bool fp32_output, int shift) {
    const Conv2dArgs args = {.x_BHWI = bf16,
                             .weight = bf16,
                             .bias_O = fp32,
                             .out_BHWO = fp32_output ? nullptr : bf16,
                             .out_fp32_BHWO = fp32_output ? fp32 : nullptr,
                             .partials = fp32 + shift,
                             .B = 1,
                             .H = 16,
                             .W = 16,
                             .I = 32,
                             .O = O};
    return kernels::Conv2d(args, nullptr) == cudaErrorInvalidValue;
  };
  EXPECT_TRUE(refused(48, false, 0));
  EXPECT_TRUE(refused(1056, false, 0));
  EXPECT_TRUE(refused(64, true, 0));
  EXPECT_TRUE(refused(64, false, 1));
}

}  // namespace
}  // namespace hmar
