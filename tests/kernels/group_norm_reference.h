#ifndef HMAR_TESTS_KERNELS_GROUP_NORM_REFERENCE_H_
#define HMAR_TESTS_KERNELS_GROUP_NORM_REFERENCE_H_

// Random inputs of GroupNorm, and its results by ATen on the CPU in fp64.

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/group_norm.h>
#include <ATen/ops/silu.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/group_norm.h"
#include "tests/kernels/device_array.h"

namespace hmar {

using Bf16s = std::vector<__nv_bfloat16>;

inline std::vector<float> Normals(size_t count, float mean, float deviation, unsigned seed) {
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
  kernels::GroupNormArgs args;
};

// In double precision, (B, S, C).
inline std::vector<double> Reference(const Layer& layer) {
  std::vector<float> x = ToFloats(layer.x), weight = layer.weight, bias = layer.bias;
  const at::Tensor x_BCS = at::from_blob(x.data(), {layer.B, layer.S, layer.C}, at::kFloat)
                               .to(at::kDouble)
                               .transpose(1, 2);
  const auto vector = [&](std::vector<float>& v) {
    return at::from_blob(v.data(), {layer.C}, at::kFloat).to(at::kDouble);
  };
  at::Tensor y =
      at::group_norm(x_BCS.contiguous(), kernels::kGroups, vector(weight), vector(bias), 1e-6);
  if (layer.silu) y = at::silu(y);
  y = y.transpose(1, 2).contiguous();
  return {y.data_ptr<double>(), y.data_ptr<double>() + y.numel()};
}

// The largest |x| in standard deviations of its group: the size of x * scale before the mean is
// taken off.
inline double LargestRatio(const Layer& layer) {
  const int64_t width = layer.C / kernels::kGroups, elements = layer.S * width;
  const std::vector<float> x = ToFloats(layer.x);
  double largest_ratio = 0;
  for (int64_t part = 0; part < int64_t{layer.B} * kernels::kGroups; ++part) {
    double sum = 0, squares = 0, largest = 0;
    for (int64_t i = 0; i < elements; ++i) {
      const int64_t position = part / kernels::kGroups * layer.S + i / width;
      const double v = x[position * layer.C + part % kernels::kGroups * width + i % width];
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
inline void ExpectMatches(const Layer& layer, const Bf16s& got) {
  const std::vector<double> want = Reference(layer);
  ASSERT_EQ(got.size(), want.size());
  const double slack = 2e-6 * (5 + LargestRatio(layer));
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(__bfloat162float(got[i]), want[i], std::abs(want[i]) / 256 + slack) << "at " << i;
  }
}

inline bool SameBytes(const __nv_bfloat16* a, const __nv_bfloat16* b, size_t count) {
  return std::memcmp(a, b, count * sizeof(*a)) == 0;
}

}  // namespace hmar

#endif  // HMAR_TESTS_KERNELS_GROUP_NORM_REFERENCE_H_
