#ifndef HMAR_TESTS_KERNELS_CONV2D_REFERENCE_H_
#define HMAR_TESTS_KERNELS_CONV2D_REFERENCE_H_

// Random convolutions, and their results by ATen on the CPU in fp64.

#include <ATen/core/Tensor.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/upsample_nearest2d.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "kernels/conv2d.h"
#include "tests/kernels/device_array.h"

namespace hmar {

enum class Output { kBf16, kResidual, kFp32 };

struct Layer {
  kernels::ConvKind kind;
  int B, H, W, I, O;
  Output output = Output::kBf16;

  int kernel_side() const { return kind == kernels::ConvKind::kSame1x1 ? 1 : 3; }
  int scale() const { return kind == kernels::ConvKind::kUpsample3x3 ? 2 : 1; }
  int stride() const { return kind == kernels::ConvKind::kDownsample3x3 ? 2 : 1; }
  // Of a phase, and of the output.
  int grid_H() const { return H / stride(); }
  int grid_W() const { return W / stride(); }
  int out_H() const { return grid_H() * scale(); }
  int out_W() const { return grid_W() * scale(); }
  size_t input_count() const { return size_t(B) * H * W * I; }
  size_t output_count() const { return size_t(B) * out_H() * out_W() * O; }
};

inline std::string NameOf(const testing::TestParamInfo<Layer>& info) {
  static constexpr const char* kKinds[] = {"Same1x1", "Same3x3", "Upsample", "Downsample"};
  static constexpr const char* kOutputs[] = {"", "Residual", "Fp32"};
  const Layer& l = info.param;
  return kKinds[int(l.kind)] + std::string("B") + std::to_string(l.B) + "H" + std::to_string(l.H) +
         "W" + std::to_string(l.W) + "I" + std::to_string(l.I) + "O" + std::to_string(l.O) +
         kOutputs[int(l.output)];
}

// A layer with everything random, all of it exact in bf16.
struct Operands {
  Layer layer;
  std::vector<float> x, weight, bias, residual;
};

inline std::vector<float> RandomBf16(size_t count, std::mt19937& random) {
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values(count);
  for (float& v : values) v = __bfloat162float(__float2bfloat16(uniform(random)));
  return values;
}

// Multiples of 1/64 up to 1/4: sums of four of them, which an upsampling layer makes, are still
// exact in bf16, so the reference needs no allowance for the weights' rounding.
inline std::vector<float> RandomWeight(size_t count, std::mt19937& random) {
  std::uniform_int_distribution<int> uniform(-16, 16);
  std::vector<float> values(count);
  for (float& v : values) v = uniform(random) / 64.0f;
  return values;
}

inline Operands RandomOperands(const Layer& layer, int seed) {
  std::mt19937 random(seed);
  const int taps = layer.kernel_side() * layer.kernel_side();
  Operands operands = {.layer = layer,
                       .x = RandomBf16(layer.input_count(), random),
                       .weight = RandomWeight(size_t(layer.O) * layer.I * taps, random),
                       .bias = RandomBf16(layer.O, random),
                       .residual = {}};
  if (layer.output == Output::kResidual) {
    operands.residual = RandomBf16(layer.output_count(), random);
  }
  return operands;
}

// Image `b` alone.
inline Operands OneImage(const Operands& all, int b) {
  Layer layer = all.layer;
  layer.B = 1;
  const auto cut = [b](const std::vector<float>& values, size_t count) {
    if (values.empty()) return values;
    return std::vector<float>(values.begin() + b * count, values.begin() + (b + 1) * count);
  };
  return {.layer = layer,
          .x = cut(all.x, layer.input_count()),
          .weight = all.weight,
          .bias = all.bias,
          .residual = cut(all.residual, layer.output_count())};
}

inline std::vector<__nv_bfloat16> Packed(const Operands& o) {
  const Layer& l = o.layer;
  std::vector<uint16_t> bits(kernels::PackedConvWeightCount(l.kind, l.O, l.I));
  kernels::PackConvWeight(l.kind, o.weight.data(), l.O, l.I, bits.data());
  std::vector<__nv_bfloat16> packed;
  for (const uint16_t b : bits) packed.push_back(__nv_bfloat16(__nv_bfloat16_raw{b}));
  return packed;
}

struct Reference {
  std::vector<double> value;
  std::vector<double> magnitude;  // The same sums over absolute values.
};

inline at::Tensor Doubles(const std::vector<float>& values, at::IntArrayRef sizes) {
  return at::from_blob(const_cast<float*>(values.data()), sizes, at::kFloat).to(at::kDouble);
}

inline std::vector<double> Values(const at::Tensor& tensor_BOHW) {
  const at::Tensor t = tensor_BOHW.permute({0, 2, 3, 1}).contiguous();
  return {t.data_ptr<double>(), t.data_ptr<double>() + t.numel()};
}

inline Reference ComputeReference(const Operands& o) {
  const Layer& l = o.layer;
  const int side = l.kernel_side(), stride = l.stride();
  const int padding = stride == 1 ? side / 2 : 0;
  at::Tensor x = Doubles(o.x, {l.B, l.H, l.W, l.I}).permute({0, 3, 1, 2}).contiguous();
  if (l.scale() == 2) x = at::upsample_nearest2d(x, {l.out_H(), l.out_W()});
  if (stride == 2) x = at::constant_pad_nd(x, {0, 1, 0, 1});
  const at::Tensor weight = Doubles(o.weight, {l.O, l.I, side, side});
  const at::Tensor bias = Doubles(o.bias, {l.O});
  at::Tensor value = at::conv2d(x, weight, bias, stride, padding);
  at::Tensor magnitude = at::conv2d(x.abs(), weight.abs(), bias.abs(), stride, padding);
  if (!o.residual.empty()) {
    const at::Tensor residual =
        Doubles(o.residual, {l.B, l.out_H(), l.out_W(), l.O}).permute({0, 3, 1, 2});
    value = value.add(residual);
    magnitude = magnitude.add(residual.abs());
  }
  return {Values(value), Values(magnitude)};
}

}  // namespace hmar

#endif  // HMAR_TESTS_KERNELS_CONV2D_REFERENCE_H_
