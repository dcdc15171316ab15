// Linear over the layers of a block of the official transformers, each by its fastest tiling, and
// what they add up to. `--tilings` shows the next ones, too.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "kernels/linear.h"
#include "tests/kernels/gpu_timer.h"

namespace hmar {
namespace {

using Bf16 = __nv_bfloat16;
using kernels::LinearArgs;
using kernels::LinearEpilogue;
using kernels::LinearTiling;

constexpr int kTokens[] = {2, 8, 32, 72, 128, 200, 338, 512, 1024, 4096, 8192, 10880, 16384};
constexpr int kWidths[] = {1024, 1920};
constexpr int64_t kWeightElements = 200 << 20;  // Rotated: L2 must not hold them.
constexpr int64_t kMostElements = int64_t{16384} * 7680;
constexpr double kPeakTflops = 790, kCopyGbps = 4200;
constexpr int kPeriod = 1000003;  // A prime: operands repeat a pattern that the host knows.

struct Layer {
  const char* name;
  int N, K;
  LinearEpilogue epilogue = LinearEpilogue::kBias;
  bool fp32 = false;
  bool in_block = true;
};

std::vector<Layer> LayersOf(int C) {
  return {{"qkv", 3 * C, C}, {"proj", C, C},
          {"fc1", 4 * C, C}, {"fc1 gelu", 4 * C, C, LinearEpilogue::kBiasGelu, false, false},
          {"fc2", C, 4 * C}, {"head", 4096, C, LinearEpilogue::kBias, true, false}};
}

// `count` elements, the i-th of them pattern[i % kPeriod].
class PatternMemory {
 public:
  PatternMemory(int64_t count, uint32_t seed) : memory_(size_t(count)) {
    pattern_.reserve(kPeriod);
    for (int i = 0; i < kPeriod; ++i) {
      seed = seed * 1664525 + 1013904223;
      pattern_.push_back(static_cast<float>(seed >> 24) / 128 - 1);
    }
    const std::vector<Bf16> rounded = ToBf16(pattern_);
    for (int64_t at = 0; at < count; at += kPeriod) {
      CheckCuda(cudaMemcpy(memory_.data() + at, rounded.data(),
                           std::min<int64_t>(kPeriod, count - at) * 2, cudaMemcpyDefault));
    }
  }
  Bf16* data() const { return memory_.data(); }
  double operator[](int64_t i) const { return pattern_[i % kPeriod]; }

 private:
  std::vector<float> pattern_;
  DeviceArray<Bf16> memory_;
};

struct Memory {
  PatternMemory x{kMostElements, 1};
  PatternMemory weights{kWeightElements, 2};
  PatternMemory bias{1 << 16, 3};
  DeviceArray<float> bias_fp32{std::vector<float>(1 << 16, 0.5f)};
  DeviceArray<float> out{size_t{16384} * 4096};  // As bf16: 8,192 outputs a token.
};

LinearArgs ArgsOf(const Memory& memory, const Layer& l, int T, int copy) {
  const int64_t weights = int64_t{l.N} * l.K, copies = kWeightElements / weights;
  return {.x_TK = memory.x.data(),
          .weight_NK = memory.weights.data() + copy % copies * weights,
          .bias_N = l.fp32 ? static_cast<const void*>(memory.bias_fp32.data()) : memory.bias.data(),
          .out_TN = l.fp32 ? nullptr : reinterpret_cast<Bf16*>(memory.out.data()),
          .out_fp32_TN = l.fp32 ? memory.out.data() : nullptr,
          .T = T,
          .N = l.N,
          .K = l.K,
          .epilogue = l.epilogue};
}

double ReferenceAt(const Memory& memory, const Layer& l, int64_t t, int64_t n) {
  double sum = l.fp32 ? 0.5 : memory.bias[n];
  for (int k = 0; k < l.K; ++k) sum += memory.x[t * l.K + k] * memory.weights[n * l.K + k];
  if (l.epilogue == LinearEpilogue::kBias) return sum;
  return sum / (1 + std::exp(-2 * std::sqrt(2 / M_PI) * (sum + 0.044715 * sum * sum * sum)));
}

// A few outputs, first and last among them. A product left out is off by a third on average.
void Check(const Memory& memory, const Layer& l, int T, const LinearTiling& tiling) {
  CheckCuda(kernels::Linear(ArgsOf(memory, l, T, 0), tiling, nullptr));
  CheckCuda(cudaDeviceSynchronize(), "Linear");
  uint32_t seed = 7;
  for (int i = 0; i < 32; ++i) {
    seed = seed * 1664525 + 1013904223;
    const int64_t t = i == 0 ? 0 : i == 1 ? T - 1 : (seed >> 8) % T;
    const int64_t n = i == 0 ? 0 : i == 1 ? l.N - 1 : (seed >> 4) % l.N;
    float actual;
    Bf16 rounded;
    if (l.fp32) {
      CheckCuda(cudaMemcpy(&actual, memory.out.data() + t * l.N + n, 4, cudaMemcpyDefault));
    } else {
      const auto* const out = reinterpret_cast<const Bf16*>(memory.out.data());
      CheckCuda(cudaMemcpy(&rounded, out + t * l.N + n, 2, cudaMemcpyDefault));
      actual = __bfloat162float(rounded);
    }
    const double expected = ReferenceAt(memory, l, t, n);
    if (std::abs(actual - expected) <= std::abs(expected) / 200 + 0.02) continue;
    std::printf("WRONG %s N %d K %d T %d, token %lld, output %lld: %g, expected %g\n", l.name, l.N,
                l.K, T, static_cast<long long>(t), static_cast<long long>(n), actual, expected);
    std::exit(1);
  }
}

double Time(const Memory& memory, const Layer& l, int T, const LinearTiling& tiling, int runs) {
  const double expected_us = 2.0 * T * l.N * l.K / 500e6 + 5;
  const int repeats = static_cast<int>(std::clamp(4000 / expected_us, 4.0, 40.0));
  int turn = 0;
  return MedianMicroseconds(
      [&](cudaStream_t stream) {
        CheckCuda(kernels::Linear(ArgsOf(memory, l, T, turn++), tiling, stream));
      },
      repeats, runs);
}

void Print(const Layer& l, int T, const LinearTiling& tiling, double us) {
  const double tflops = 2.0 * T * l.N * l.K / us * 1e-6, gbps = 2e-3 * l.N * l.K / us;
  const double floor_us =
      std::max(2.0 * T * l.N * l.K / (kPeakTflops * 1e6),
               2e-3 * (double(l.N) * l.K + double(T) * (l.N + l.K)) / kCopyGbps);
  std::printf(
      "%-8s N %4d K %4d T %5d  %3d x %3d by %d  %7.1f us  %6.1f TFLOP/s  %6.0f GB/s of weights"
      "  %5.1f %% of the floor\n",
      l.name, l.N, l.K, T, tiling.tokens, tiling.channels, tiling.token_blocks, us, tflops, gbps,
      100 * floor_us / us);
}

bool Sensible(const LinearTiling& t, int T) {
  if (t.kernel == LinearTiling::Kernel::kManyTokens) return T > 64;
  return T <= 1024 && t.tokens < 2 * T + 8 && (t.channels >= 32 || T <= 128);
}

// The fastest first.
std::vector<LinearTiling> Ranked(const Memory& memory, const Layer& l, int T) {
  constexpr int kRoughRuns = 3;
  std::vector<std::pair<double, LinearTiling>> times;
  for (const LinearTiling& tiling : kernels::LinearTilings()) {
    if (Sensible(tiling, T)) times.emplace_back(Time(memory, l, T, tiling, kRoughRuns), tiling);
  }
  std::sort(times.begin(), times.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<LinearTiling> ranked;
  for (const auto& [us, tiling] : times) ranked.push_back(tiling);
  return ranked;
}

constexpr int kRuns = 9;

// The layer's fastest tiling; where the layer is one of the block's, block_us grows by its time.
LinearTiling RunLayer(const Memory& memory, const Layer& l, int T, bool tilings, double* block_us) {
  const std::vector<LinearTiling> ranked = Ranked(memory, l, T);
  const size_t shown = tilings ? std::min<size_t>(ranked.size(), 5) : 1;
  for (size_t i = 0; i < shown; ++i) {
    Check(memory, l, T, ranked[i]);
    const double us = Time(memory, l, T, ranked[i], kRuns);
    if (i > 0) std::printf("    ");
    Print(l, T, ranked[i], us);
    if (i == 0 && l.in_block) *block_us += us;
  }
  return ranked.front();
}

// Layers one behind the other, as a block has them.
double TimeChain(const Memory& memory, const std::vector<std::pair<Layer, LinearTiling>>& layers,
                 int T) {
  int turn = 0;
  return MedianMicroseconds(
      [&](cudaStream_t stream) {
        for (const auto& [layer, tiling] : layers) {
          CheckCuda(kernels::Linear(ArgsOf(memory, layer, T, turn), tiling, stream));
        }
        ++turn;
      },
      T > 1024 ? 4 : 16, kRuns);
}

void RunBlock(const Memory& memory, int C, int T, bool tilings) {
  double us = 0;
  std::vector<std::pair<Layer, LinearTiling>> in_block;
  for (const Layer& layer : LayersOf(C)) {
    const LinearTiling tiling = RunLayer(memory, layer, T, tilings, &us);
    if (layer.in_block) in_block.emplace_back(layer, tiling);
  }
  std::printf("block    C %4d T %5d: %8.1f us, %6.1f TFLOP/s; chained %8.1f us\n", C, T, us,
              24.0 * T * C * C / us * 1e-6, TimeChain(memory, in_block, T));
}

void RunBench(bool tilings) {
  const Memory memory;
  const LinearTiling any = {LinearTiling::Kernel::kFewTokens, 8, 8};
  if (kernels::Linear(ArgsOf(memory, {"", 64, 64}, 1, 0), any, nullptr) == cudaErrorNotSupported) {
    std::puts("no Hopper GPU");
    return;
  }
  for (const int C : kWidths) {
    for (const int T : kTokens) RunBlock(memory, C, T, tilings);
  }
}

}  // namespace
}  // namespace hmar

int main(int argc, char** argv) {
  if (!hmar::HasGpu()) {
    std::puts("no CUDA device on this machine");
    return 0;
  }
  hmar::RunBench(argc > 1 && std::strcmp(argv[1], "--tilings") == 0);
}
