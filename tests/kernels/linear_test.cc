#include "kernels/linear.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "kernels/linear_internal.h"
#include "tests/kernels/device_array.h"

namespace hmar {
namespace {

using Bf16 = __nv_bfloat16;
using kernels::LinearArgs;
using kernels::LinearEpilogue;
using kernels::LinearTiling;

constexpr int kMostTokens = 5000, kMostColumns = 4096, kMostWeights = 4096 * 1024;
constexpr size_t kGuardBytes = 1024;

// In [-1, 1), multiples of 2^-7: exact in bf16. A fixed sequence a seed.
std::vector<Bf16> RandomBf16(size_t count, uint32_t seed) {
  std::vector<Bf16> values(count);
  for (Bf16& v : values) {
    seed = seed * 1664525 + 1013904223;
    v = __float2bfloat16(static_cast<float>(seed >> 24) / 128 - 1);
  }
  return values;
}

std::vector<float> Biases(const std::vector<Bf16>& rounded) { return ToFloats(rounded); }

// Operands of all shapes: a shape takes their beginnings. Weights of a sum's variance K / 9 are as
// hard on the sums as any.
struct Operands {
  const std::vector<Bf16> x = RandomBf16(size_t{kMostTokens} * kMostColumns, 1);
  const std::vector<Bf16> weight = RandomBf16(kMostWeights, 2);
  const std::vector<Bf16> bias = RandomBf16(kMostColumns, 3);
  const DeviceArray<Bf16> device_x{x}, device_weight{weight}, device_bias{bias};
  const DeviceArray<float> device_bias_fp32{Biases(bias)};
  const DeviceArray<uint8_t> out{size_t{kMostTokens} * kMostColumns * 4 + kGuardBytes};
};

struct Shape {
  int N, K;
  LinearEpilogue epilogue = LinearEpilogue::kBias;
  bool fp32 = false;

  size_t row_bytes() const { return size_t(N) * (fp32 ? 4 : 2); }
};

std::ostream& operator<<(std::ostream& stream, const Shape& s) {
  return stream << "N " << s.N << ", K " << s.K
                << (s.epilogue == LinearEpilogue::kBiasGelu ? ", GELU" : "")
                << (s.fp32 ? ", fp32" : "");
}

class LinearTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (HasGpu()) operands_ = new Operands;
  }
  static void TearDownTestSuite() {
    delete operands_;
    operands_ = nullptr;
  }
  void SetUp() override {
    HMAR_SKIP_WITHOUT_GPU();
    if (kernels::Linear(Args({64, 64}, 0, 1), nullptr) == cudaErrorNotSupported) {
      GTEST_SKIP() << "no Hopper GPU";
    }
  }

  static const Operands& operands() { return *operands_; }

  // Of tokens first_token to first_token + T - 1, into the beginning of out.
  static LinearArgs Args(const Shape& s, int first_token, int T) {
    auto* const out = operands().out.data();
    return {.x_TK = operands().device_x.data() + int64_t{first_token} * s.K,
            .weight_NK = operands().device_weight.data(),
            .bias_N = s.fp32 ? static_cast<const void*>(operands().device_bias_fp32.data())
                             : operands().device_bias.data(),
            .out_TN = s.fp32 ? nullptr : reinterpret_cast<Bf16*>(out),
            .out_fp32_TN = s.fp32 ? reinterpret_cast<float*>(out) : nullptr,
            .T = T,
            .N = s.N,
            .K = s.K,
            .epilogue = s.epilogue};
  }

  // The output's bytes. Fails where the kernel wrote behind it.
  static std::vector<uint8_t> Run(
      const Shape& s, int first_token, int T,
      const std::function<cudaError_t(const LinearArgs&)>& launch = [](const LinearArgs& args) {
        return kernels::Linear(args, nullptr);
      }) {
    std::vector<uint8_t> bytes(T * s.row_bytes() + kGuardBytes);
    CheckCuda(cudaMemset(operands().out.data(), 0xFF, bytes.size()));
    EXPECT_EQ(launch(Args(s, first_token, T)), cudaSuccess);
    CheckCuda(cudaDeviceSynchronize(), "Linear");
    CheckCuda(cudaMemcpy(bytes.data(), operands().out.data(), bytes.size(), cudaMemcpyDefault));
    EXPECT_TRUE(
        std::all_of(bytes.end() - kGuardBytes, bytes.end(), [](uint8_t b) { return b == 0xFF; }))
        << "written behind the output: " << s << ", T " << T;
    bytes.resize(bytes.size() - kGuardBytes);
    return bytes;
  }

  static float ValueAt(const Shape& s, const std::vector<uint8_t>& bytes, size_t i) {
    float value;
    Bf16 rounded;
    if (s.fp32) {
      std::memcpy(&value, bytes.data() + i * 4, 4);
      return value;
    }
    std::memcpy(static_cast<void*>(&rounded), bytes.data() + i * 2, 2);
    return __bfloat162float(rounded);
  }

  // Nothing was left out: the poison is NaN, no result is.
  static void ExpectAllWritten(const Shape& s, const std::vector<uint8_t>& bytes) {
    const size_t count = bytes.size() / (s.fp32 ? 4 : 2);
    for (size_t i = 0; i < count; ++i) {
      ASSERT_FALSE(std::isnan(ValueAt(s, bytes, i)))
          << s << ": token " << i / s.N << ", output " << i % s.N << " not written";
    }
  }

  // The tensor cores add 16 products at a time to an fp32 sum and may truncate: an error of at most
  // some 2^-22 of the sum of magnitudes each time. GELU's slope is below 1.13, its own error below
  // 2^-17 of the result. Then the output is rounded.
  static void ExpectRight(const Shape& s, const std::vector<uint8_t>& bytes, int t, int n) {
    double value = __bfloat162float(operands().bias[n]), magnitude = std::abs(value);
    for (int k = 0; k < s.K; ++k) {
      const double product = double{__bfloat162float(operands().x[size_t(t) * s.K + k])} *
                             __bfloat162float(operands().weight[size_t(n) * s.K + k]);
      value += product, magnitude += std::abs(product);
    }
    double bound = 0x1p-22 * (s.K / 16 + 4) * magnitude, relative = s.fp32 ? 0x1p-23 : 0x1p-8;
    if (s.epilogue == LinearEpilogue::kBiasGelu) {
      const double u = std::sqrt(2 / M_PI) * (value + 0.044715 * value * value * value);
      value *= 0.5 * (1 + std::tanh(u)), bound *= 1.13, relative += 0x1p-17;
    }
    const float actual = ValueAt(s, bytes, size_t(t) * s.N + n);
    EXPECT_LE(std::abs(actual - value), bound + relative * std::abs(value))
        << s << ": token " << t << ", output " << n << ": " << actual << ", expected " << value;
  }

  // First and last tokens and outputs, and others between.
  static void ExpectSamplesRight(const Shape& s, const std::vector<uint8_t>& bytes, int T) {
    uint32_t seed = T;
    const auto below = [&](int n) {
      return static_cast<int>((seed = seed * 1664525 + 9) >> 8) % n;
    };
    for (int i = 0; i < 40; ++i) {
      const int t = i % 4 == 0 ? 0 : i % 4 == 1 ? T - 1 : below(T);
      const int n = i < 4 ? 0 : i < 8 ? s.N - 1 : below(s.N);
      ExpectRight(s, bytes, t, n);
    }
  }

 private:
  static inline const Operands* operands_ = nullptr;
};

constexpr int kTokens[] = {1,   2,   7,   8,   9,   63,  64,   65,  100,
                           255, 256, 257, 511, 512, 513, 1000, 5000};

std::vector<Shape> WithEpilogues(int N, int K) {
  return {{N, K, LinearEpilogue::kBias, false},
          {N, K, LinearEpilogue::kBiasGelu, false},
          {N, K, LinearEpilogue::kBias, true},
          {N, K, LinearEpilogue::kBiasGelu, true}};
}

TEST_F(LinearTest, MatchesTheReferenceAtSamples) {
  constexpr int kShapes[][2] = {{64, 64},     {192, 128},   {1024, 1024}, {3072, 1024},
                                {4096, 1024}, {1024, 4096}, {512, 128}};
  for (const auto& [N, K] : kShapes) {
    for (const Shape& shape : WithEpilogues(N, K)) {
      for (const int T : kTokens) {
        if (T == 5000 && shape.fp32) continue;  // Time.
        ExpectSamplesRight(shape, Run(shape, 0, T), T);
        if (HasFailure()) return;
      }
    }
  }
}

TEST_F(LinearTest, MatchesTheReferenceEverywhere) {
  for (const Shape& shape : WithEpilogues(192, 128)) {
    const int T = 137;
    const std::vector<uint8_t> bytes = Run(shape, 0, T);
    for (int i = 0; i < T * shape.N; ++i) ExpectRight(shape, bytes, i / shape.N, i % shape.N);
    if (HasFailure()) return;
  }
}

TEST_F(LinearTest, EveryTilingGivesTheSameBytes) {
  struct Case {
    Shape shape;
    int T;
  };
  // Tiles that leave the matrix on both sides, and enough of them that a thread block goes through
  // several.
  std::vector<Case> cases = {{{1088, 320, LinearEpilogue::kBiasGelu}, 5000}, {{1024, 1024}, 300}};
  for (const Shape& shape : WithEpilogues(384, 448)) cases.push_back({shape, 333});
  for (const auto& [shape, T] : cases) {
    const std::vector<uint8_t> expected = Run(shape, 0, T);
    ExpectAllWritten(shape, expected);
    ExpectSamplesRight(shape, expected, T);
    for (const LinearTiling& tiling : kernels::LinearTilings()) {
      if (shape.N % (tiling.channels * tiling.channel_blocks) != 0 && tiling.channel_blocks > 1) {
        continue;
      }
      const std::vector<uint8_t> bytes = Run(shape, 0, T, [&](const LinearArgs& args) {
        return kernels::LinearBy(tiling, args, nullptr);
      });
      EXPECT_TRUE(bytes == expected)
          << shape << ", T " << T << ": tiles of " << tiling.tokens << " x " << tiling.channels
          << ", cluster of " << tiling.token_blocks << " x " << tiling.channel_blocks;
    }
  }
}

TEST_F(LinearTest, ATokenHasTheSameBytesAmongAnyNumber) {
  constexpr LinearEpilogue kGelu = LinearEpilogue::kBiasGelu, kBias = LinearEpilogue::kBias;
  for (const Shape& shape :
       {Shape{1024, 1024}, Shape{3072, 1024}, Shape{4096, 1024, kGelu}, Shape{1024, 4096},
        Shape{4096, 1024, kBias, true}, Shape{64, 64}, Shape{1920, 1920}}) {
    const std::vector<uint8_t> all = Run(shape, 0, kMostTokens);
    ExpectAllWritten(shape, all);
    for (const int T : {1, 8, 100, 256, 300, 600, 1000}) {
      for (const int first : {0, 777, kMostTokens - T}) {
        const std::vector<uint8_t> some = Run(shape, first, T);
        EXPECT_TRUE(std::equal(some.begin(), some.end(), all.begin() + first * shape.row_bytes()))
            << shape << ": tokens " << first << " and the " << T - 1 << " after it";
      }
    }
  }
}

// Layers that read what the one before wrote, and write what it read: any that started too early
// would show.
class LinearChainTest : public LinearTest {
 protected:
  static constexpr int kC = 1024, kMostChainTokens = 1000;

  struct Buffers {
    explicit Buffers(const std::vector<Bf16>& values) : weight(values) {}

    DeviceArray<Bf16> weight, x{kMostChainTokens * kC}, hidden{kMostChainTokens * 4 * kC};
  };

  void SetUp() override {
    LinearTest::SetUp();
    if (IsSkipped()) return;
    std::vector<float> weight = ToFloats(operands().weight);
    for (float& w : weight) w /= 16;  // Sums of about x's size: a long chain stays finite.
    buffers_ = std::make_unique<Buffers>(ToBf16(weight));
  }

  // `between` is called after each launch.
  void Launch(int T, int layers, cudaStream_t stream, const std::function<void()>& between) {
    for (int i = 0; i < layers; ++i) {
      const bool widens = i % 2 == 0;
      const LinearArgs args = {
          .x_TK = widens ? buffers_->x.data() : buffers_->hidden.data(),
          .weight_NK = buffers_->weight.data(),
          .bias_N = operands().device_bias.data(),
          .out_TN = widens ? buffers_->hidden.data() : buffers_->x.data(),
          .T = T,
          .N = widens ? 4 * kC : kC,
          .K = widens ? kC : 4 * kC,
          .epilogue = widens ? LinearEpilogue::kBiasGelu : LinearEpilogue::kBias};
      ASSERT_EQ(kernels::Linear(args, stream), cudaSuccess);
      between();
    }
  }

  void Reset(cudaStream_t stream) {
    CheckCuda(cudaMemcpyAsync(buffers_->x.data(), operands().device_x.data(), buffers_->x.bytes(),
                              cudaMemcpyDefault, stream));
  }

  std::vector<float> Result() const { return ToFloats(buffers_->x.Download()); }

  std::unique_ptr<Buffers> buffers_;
};

TEST_F(LinearChainTest, DependentLaunchesGiveWhatOneByOneDo) {
  constexpr int kLayers = 40;
  cudaStream_t stream;
  CheckCuda(cudaStreamCreate(&stream));
  for (const int T : {2, 72, 338, 1000}) {
    Reset(stream);
    Launch(T, kLayers, stream, [&] { CheckCuda(cudaStreamSynchronize(stream)); });
    const std::vector<float> expected = Result();
    for (const float v : expected) ASSERT_TRUE(std::isfinite(v));
    for (int again = 0; again < 5; ++again) {
      Reset(stream);
      Launch(T, kLayers, stream, [] {});
      EXPECT_TRUE(Result() == expected) << "T " << T;
    }
    // In a graph, behind a copy and with a node that is no kernel between.
    cudaGraph_t graph;
    cudaGraphExec_t replay;
    CheckCuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    Reset(stream);
    int launched = 0;
    Launch(T, kLayers, stream, [&] {
      if (++launched % 8 != 0) return;
      CheckCuda(cudaMemsetAsync(operands().out.data(), 0, 64, stream));
    });
    CheckCuda(cudaStreamEndCapture(stream, &graph), "capture");
    CheckCuda(cudaGraphInstantiate(&replay, graph, 0));
    for (int again = 0; again < 5; ++again) {
      CheckCuda(cudaGraphLaunch(replay, stream));
      EXPECT_TRUE(Result() == expected) << "T " << T << ", in a graph";
    }
    cudaGraphExecDestroy(replay), cudaGraphDestroy(graph);
  }
  cudaStreamDestroy(stream);
}

TEST(LinearArgumentsTest, RefusesWhatItCannotDo) {
  // Never read: every call is refused.
  auto* const bf16 = reinterpret_cast<Bf16*>(0x1000);
  auto* const fp32 = reinterpret_cast<float*>(0x1000);
  const LinearArgs good = {
      .x_TK = bf16, .weight_NK = bf16, .bias_N = bf16, .out_TN = bf16, .T = 3, .N = 64, .K = 128};
  const auto refused = [&](const std::function<void(LinearArgs&)>& spoil) {
    LinearArgs args = good;
    spoil(args);
    return kernels::Linear(args, nullptr) == cudaErrorInvalidValue;
  };
  EXPECT_TRUE(refused([](LinearArgs& a) { a.T = -1; }));
  EXPECT_TRUE(refused([](LinearArgs& a) { a.T = 1 << 19; }));
  EXPECT_TRUE(refused([](LinearArgs& a) { a.N = 0; }));
  EXPECT_TRUE(refused([](LinearArgs& a) { a.N = 96; }));
  EXPECT_TRUE(refused([](LinearArgs& a) { a.K = 32; }));
  EXPECT_TRUE(refused([](LinearArgs& a) { a.epilogue = static_cast<LinearEpilogue>(5); }));
  EXPECT_TRUE(refused([](LinearArgs& a) { a.x_TK = nullptr; }));
  EXPECT_TRUE(refused([](LinearArgs& a) { a.weight_NK = nullptr; }));
  EXPECT_TRUE(refused([](LinearArgs& a) { a.bias_N = nullptr; }));
  EXPECT_TRUE(refused([](LinearArgs& a) { a.out_TN = nullptr; }));
  EXPECT_TRUE(refused([&](LinearArgs& a) { a.out_fp32_TN = fp32; }));
  EXPECT_TRUE(refused([](LinearArgs& a) { a.x_TK += 1; }));
  EXPECT_TRUE(refused([](LinearArgs& a) { a.out_TN += 4; }));
}

TEST(LinearArgumentsTest, NoTokensAreNoWork) {
  EXPECT_EQ(kernels::Linear({.T = 0, .N = 64, .K = 64}, nullptr), cudaSuccess);
}

}  // namespace
}  // namespace hmar
