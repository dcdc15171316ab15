#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <memory>
#include <vector>

#include "kernels/linear.h"
#include "tests/kernels/linear_fixture.h"

namespace hmar {
namespace {

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
      ASSERT_EQ(kernels::Linear(args, TilingFor(T, args.N), stream), cudaSuccess);
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

}  // namespace
}  // namespace hmar
