// Conv2d over the layers of the official decoder (256 px), and what they add up to. `--partials`:
// with the statistics that the norms behind them read. `--tiles` also times every tile of the
// Hopper kernel, to check ChooseHopperTile against.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "kernels/conv2d.h"
#include "kernels/conv2d_internal.h"
#include "tests/kernels/gpu_timer.h"

namespace hmar {
namespace {

using Bf16 = __nv_bfloat16;
using kernels::Conv2dArgs;
using kernels::ConvKind;

constexpr double kPeakTflops = 790;
constexpr int kBatches[] = {1, 8, 32};
constexpr int64_t kMaxElements = int64_t{32} * 256 * 256 * 160;  // Of a batch's largest map.
constexpr int64_t kRotatedBytes = 160 << 20;
constexpr int kMaxCopies = 16;

enum class Output { kBf16, kResidual, kFp32 };

struct Layer {
  const char* name;
  ConvKind kind;
  int map, I, O;
  Output output;
  int count;  // In one pass of the decoder.

  int side() const { return kind == ConvKind::kSame1x1 ? 1 : 3; }
  int scale() const { return kind == ConvKind::kUpsample3x3 ? 2 : 1; }
  int out_map() const { return map * scale(); }
  // Shortcuts and q, k and v have no norm behind them.
  bool before_norm() const {
    return output == Output::kResidual || (output == Output::kBf16 && side() == 3);
  }
  int64_t inputs() const { return int64_t{map} * map * I; }
  // Of an image, done as written: over the enlarged map.
  double NaiveFlop() const { return 2.0 * out_map() * out_map() * I * O * side() * side(); }
  double Flop() const { return scale() == 2 ? NaiveFlop() * 4 / 9 : NaiveFlop(); }
};

constexpr ConvKind k1x1 = ConvKind::kSame1x1, k3x3 = ConvKind::kSame3x3,
                   kUp = ConvKind::kUpsample3x3;

constexpr Layer kLayers[] = {
    {"conv_in", k3x3, 16, 32, 640, Output::kBf16, 1},
    {"640 conv1", k3x3, 16, 640, 640, Output::kBf16, 5},
    {"640 conv2", k3x3, 16, 640, 640, Output::kResidual, 5},
    {"qkv", k1x1, 16, 640, 1920, Output::kBf16, 4},
    {"attention out", k1x1, 16, 640, 640, Output::kResidual, 4},
    {"upsample 640", kUp, 16, 640, 640, Output::kBf16, 1},
    {"640-320 conv1", k3x3, 32, 640, 320, Output::kBf16, 1},
    {"640-320 shortcut", k1x1, 32, 640, 320, Output::kBf16, 1},
    {"320 conv1", k3x3, 32, 320, 320, Output::kBf16, 2},
    {"320 conv2", k3x3, 32, 320, 320, Output::kResidual, 3},
    {"upsample 320", kUp, 32, 320, 320, Output::kBf16, 1},
    {"320 conv1", k3x3, 64, 320, 320, Output::kBf16, 3},
    {"320 conv2", k3x3, 64, 320, 320, Output::kResidual, 3},
    {"upsample 320", kUp, 64, 320, 320, Output::kBf16, 1},
    {"320-160 conv1", k3x3, 128, 320, 160, Output::kBf16, 1},
    {"320-160 shortcut", k1x1, 128, 320, 160, Output::kBf16, 1},
    {"160 conv1", k3x3, 128, 160, 160, Output::kBf16, 2},
    {"160 conv2", k3x3, 128, 160, 160, Output::kResidual, 3},
    {"upsample 160", kUp, 128, 160, 160, Output::kBf16, 1},
    {"160 conv1", k3x3, 256, 160, 160, Output::kBf16, 3},
    {"160 conv2", k3x3, 256, 160, 160, Output::kResidual, 3},
    {"conv_out", k3x3, 256, 160, 3, Output::kFp32, 1},
};

std::vector<float> RandomBf16(int64_t count, float scale, int seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> values(count);
  for (float& v : values) v = __bfloat162float(__float2bfloat16(normal(random)));
  return values;
}

// Device memory full of a pattern that the host knows: element i is pattern[i % its size], a prime.
class PatternMemory {
 public:
  PatternMemory(int64_t count, int seed)
      : pattern_(RandomBf16(1000003, 1, seed)), memory_(size_t(count)) {
    const std::vector<Bf16> rounded = ToBf16(pattern_);
    const auto period = static_cast<int64_t>(rounded.size());
    for (int64_t at = 0; at < count; at += period) {
      CheckCuda(cudaMemcpy(memory_.data() + at, rounded.data(), std::min(period, count - at) * 2,
                           cudaMemcpyDefault));
    }
  }
  Bf16* data() const { return memory_.data(); }
  float operator[](int64_t i) const { return pattern_[i % pattern_.size()]; }

 private:
  std::vector<float> pattern_;
  DeviceArray<Bf16> memory_;
};

// The maps of all layers. Rotated inputs of a small layer lie one behind the other.
struct Memory {
  PatternMemory x{kMaxElements, 1};
  PatternMemory residual{kMaxElements, 2};
  DeviceArray<Bf16> out{size_t(kMaxElements)};
  DeviceArray<float> partials{size_t{32} * 1024 * 3 * kernels::kGroups};  // All copies' alike.
  bool with_partials = false;
};

// A layer's parameters on the device, kMaxCopies times.
struct Parameters {
  explicit Parameters(const Layer& l)
      : weight(RandomBf16(int64_t{l.O} * l.I * l.side() * l.side(),
                          1 / std::sqrt(float(l.I * l.side() * l.side())), 3)),
        bias(RandomBf16(l.O, 1, 4)),
        packed_count(kernels::PackedConvWeightCount(l.kind, l.O, l.I)),
        device_bias(bias),
        packed(size_t(packed_count * kMaxCopies)) {
    std::vector<uint16_t> bits(packed_count);
    kernels::PackConvWeight(l.kind, weight.data(), l.O, l.I, bits.data());
    for (int copy = 0; copy < kMaxCopies; ++copy) {
      CheckCuda(cudaMemcpy(packed.data() + copy * packed_count, bits.data(), packed_count * 2,
                           cudaMemcpyDefault));
    }
  }

  std::vector<float> weight, bias;
  int64_t packed_count;
  DeviceArray<float> device_bias;
  DeviceArray<uint16_t> packed;
};

// A layer at a batch size.
struct Case {
  const Memory& memory;
  const Parameters& parameters;
  const Layer& layer;
  int B;

  int Copies() const {
    const int64_t elements = B * layer.inputs();
    const int64_t out_elements = int64_t{B} * layer.out_map() * layer.out_map() * layer.O *
                                 (layer.output == Output::kFp32 ? 2 : 1);
    const int64_t wanted = kRotatedBytes / (elements * 2) + 1;
    const int64_t fitting = kMaxElements / std::max(elements, out_elements);
    return static_cast<int>(std::min<int64_t>({wanted, fitting, kMaxCopies}));
  }

  Conv2dArgs Args(int copy) const {
    const int64_t outputs = int64_t{B} * layer.out_map() * layer.out_map() * layer.O;
    const bool fp32 = layer.output == Output::kFp32;
    Bf16* const out = memory.out.data() + copy * outputs * (fp32 ? 2 : 1);
    return {
        .kind = layer.kind,
        .x_BHWI = memory.x.data() + copy * B * layer.inputs(),
        .weight = reinterpret_cast<const Bf16*>(parameters.packed.data()) +
                  copy * parameters.packed_count,
        .bias_O = parameters.device_bias.data(),
        .residual_BHWO =
            layer.output == Output::kResidual ? memory.residual.data() + copy * outputs : nullptr,
        .out_BHWO = fp32 ? nullptr : out,
        .out_fp32_BHWO = fp32 ? reinterpret_cast<float*>(out) : nullptr,
        .partials = memory.with_partials && layer.before_norm() ? memory.partials.data() : nullptr,
        .B = B,
        .H = layer.map,
        .W = layer.map,
        .I = layer.I,
        .O = layer.O};
  }
};

struct Sample {
  double value, magnitude;  // The square root of the products' summed squares.
};

// Output `at` of the case's first copy, as the layer is defined: over the enlarged map.
Sample ReferenceAt(const Case& c, int64_t at) {
  const Layer& l = c.layer;
  const int o = static_cast<int>(at % l.O), map = l.out_map();
  const int64_t pixel = at / l.O;
  const int x = static_cast<int>(pixel % map), y = static_cast<int>(pixel / map % map);
  const int64_t image = pixel / map / map;
  double sum = c.parameters.bias[o], squares = 0;
  for (int tap = 0; tap < l.side() * l.side(); ++tap) {
    const int v = y + tap / l.side() - l.side() / 2, u = x + tap % l.side() - l.side() / 2;
    if (v < 0 || v >= map || u < 0 || u >= map) continue;
    const int64_t source = ((image * l.map + v / l.scale()) * l.map + u / l.scale()) * l.I;
    for (int i = 0; i < l.I; ++i) {
      const double product =
          double{c.memory.x[source + i]} *
          c.parameters.weight[(int64_t{o} * l.I + i) * l.side() * l.side() + tap];
      sum += product;
      squares += product * product;
    }
  }
  if (l.output == Output::kResidual) sum += c.memory.residual[at];
  return {sum, std::sqrt(squares)};
}

// A few outputs, first and last among them, within rounding (an upsampling layer's summed weights
// are rounded too): a tap too few or too many is off by a third of the magnitude.
void Check(const Case& c) {
  const Conv2dArgs args = c.Args(0);
  CheckCuda(kernels::Conv2d(args, nullptr));
  CheckCuda(cudaDeviceSynchronize(), "convolution");
  const int64_t outputs = int64_t{c.B} * c.layer.out_map() * c.layer.out_map() * c.layer.O;
  std::mt19937_64 random(5);
  for (int i = 0; i < 64; ++i) {
    const auto anywhere = static_cast<int64_t>(random() % outputs);
    const int64_t at = i == 0 ? 0 : i == 1 ? outputs - 1 : anywhere;
    float actual;
    Bf16 rounded;
    if (args.out_fp32_BHWO != nullptr) {
      CheckCuda(cudaMemcpy(&actual, args.out_fp32_BHWO + at, 4, cudaMemcpyDefault));
    } else {
      CheckCuda(cudaMemcpy(&rounded, args.out_BHWO + at, 2, cudaMemcpyDefault));
      actual = __bfloat162float(rounded);
    }
    const Sample expected = ReferenceAt(c, at);
    const double bound = 0.02 * expected.magnitude + std::abs(expected.value) / 256 + 1e-3;
    if (std::abs(actual - expected.value) <= bound) continue;
    std::printf("WRONG %s, map %d, B %d, output %lld: %g, expected %g\n", c.layer.name, c.layer.map,
                c.B, static_cast<long long>(at), actual, expected.value);
    std::exit(1);
  }
}

template <typename Launch>
double Time(const Case& c, const Launch& launch) {
  const double expected_us = c.B * c.layer.Flop() / 600e6 + 5;
  const int repeats = static_cast<int>(std::clamp(10000 / expected_us, 3.0, 20.0));
  const int copies = c.Copies();
  int turn = 0;
  return MedianMicroseconds(
      [&](cudaStream_t stream) { CheckCuda(launch(c.Args(turn++ % copies), stream)); }, repeats, 9);
}

void Print(const Case& c, const char* how, double us) {
  const Layer& l = c.layer;
  const double tflops = c.B * l.Flop() / us * 1e-6;
  std::printf("%-17s %-9s %4d -> %4d at %3d  B %2d  %9.1f us  %6.1f TFLOP/s  %5.1f %% of %.0f",
              l.name, how, l.I, l.O, l.map, c.B, us, tflops, 100 * tflops / kPeakTflops,
              kPeakTflops);
  if (l.scale() == 2) std::printf("  (naive: %.1f)", c.B * l.NaiveFlop() / us * 1e-6);
  std::printf("\n");
}

void TimeTiles(const Case& c) {
  static constexpr const char* kNames[] = {"256x160", "128x160", "128x80", "128x40",
                                           "64x40",   "256x64",  "128x64", "256x8"};
  for (const kernels::HopperTile tile : kernels::kHopperTiles) {
    if (c.layer.O % 160 != 0 || tile >= kernels::HopperTile::k256x64) continue;
    Print(c, kNames[int(tile)], Time(c, [&](const Conv2dArgs& args, cudaStream_t stream) {
            return kernels::Conv2dHopper(args, tile, stream);
          }));
  }
}

void RunBench(bool tiles, bool partials) {
  Memory memory;
  memory.with_partials = partials;
  std::map<int, double> total_us;
  double flop = 0, naive_flop = 0;
  for (const Layer& layer : kLayers) {
    const Parameters parameters(layer);
    flop += layer.count * layer.Flop(), naive_flop += layer.count * layer.NaiveFlop();
    for (const int B : kBatches) {
      const Case c = {memory, parameters, layer, B};
      Check(c);
      const double us = Time(c, kernels::Conv2d);
      Print(c, "", us);
      total_us[B] += layer.count * us;
      if (tiles && kernels::HopperAvailable()) TimeTiles(c);
    }
  }
  for (const auto& [B, us] : total_us) {
    std::printf(
        "decoder B %2d: %9.1f us, %8.1f us an image, %6.1f TFLOP/s (%.0f GFLOP an image; naive: "
        "%.1f of %.0f)\n",
        B, us, us / B, B * flop / us * 1e-6, flop * 1e-9, B * naive_flop / us * 1e-6,
        naive_flop * 1e-9);
  }
}

}  // namespace
}  // namespace hmar

int main(int argc, char** argv) {
  if (!hmar::HasGpu()) {
    std::puts("no CUDA device on this machine");
    return 0;
  }
  const std::set<std::string> flags(argv + 1, argv + argc);
  hmar::RunBench(flags.count("--tiles") != 0, flags.count("--partials") != 0);
}
