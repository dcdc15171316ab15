// Convolutions and norms behind each other, as in the decoder.

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

#include "kernels/conv2d.h"
#include "kernels/group_norm.h"
#include "tests/kernels/conv2d_reference.h"
#include "tests/kernels/device_array.h"

namespace hmar {
namespace {

using kernels::ConvKind;

// Residual blocks x += conv(norm(conv(norm(x)))) that share their weights and reuse their buffers:
// a kernel that read or wrote too early would show.
class ResBlocks {
 public:
  using Bf16 = __nv_bfloat16;

  explicit ResBlocks(const Layer& layer) : ResBlocks(RandomOperands(layer, 4)) {}

  // `between` is called after each layer.
  void Run(cudaStream_t stream, const std::function<void()>& between) {
    stream_ = stream;
    Convolve(input_.data(), nullptr, x_);
    between();
    for (int i = 0; i < kBlocks; ++i) {
      Norm(x_);
      between();
      Convolve(normed_.data(), nullptr, h_);
      between();
      Norm(h_);
      between();
      Convolve(normed_.data(), x_.data, x_);
      between();
    }
  }

  // Waits for the device.
  std::vector<float> Result() const { return ToFloats(x_map_.Download()); }

 private:
  static constexpr int kBlocks = 8;

  // A feature map, and the statistics that its convolution leaves.
  struct Map {
    Bf16* data;
    float* partials;
  };

  explicit ResBlocks(const Operands& operands)
      : layer_(operands.layer),
        chunks_(kernels::Conv2dChunks(layer_.kind, layer_.H, layer_.W)),
        input_(ToBf16(operands.x)),
        weight_(Packed(operands)),
        bias_(operands.bias),
        scale_(std::vector<float>(layer_.O, 1.0f)) {}

  void Convolve(const Bf16* in, const Bf16* residual, const Map& out) const {
    ASSERT_EQ(kernels::Conv2d({.kind = layer_.kind,
                               .x_BHWI = in,
                               .weight = weight_.data(),
                               .bias_O = bias_.data(),
                               .residual_BHWO = residual,
                               .out_BHWO = out.data,
                               .partials = out.partials,
                               .B = layer_.B,
                               .H = layer_.H,
                               .W = layer_.W,
                               .I = layer_.I,
                               .O = layer_.O},
                              stream_),
              cudaSuccess);
  }

  void Norm(const Map& in) const {
    const kernels::GroupNormArgs args = {.x_BSC = in.data,
                                         .out_BSC = normed_.data(),
                                         .weight_C = scale_.data(),
                                         .bias_C = bias_.data(),
                                         .workspace = workspace_.data(),
                                         .B = layer_.B,
                                         .S = int64_t{layer_.H} * layer_.W,
                                         .C = layer_.O};
    ASSERT_EQ(kernels::GroupNormFromPartials(args, in.partials, chunks_, stream_), cudaSuccess);
  }

  const Layer layer_;  // I = O.
  const int chunks_;   // Of an image.
  cudaStream_t stream_ = nullptr;
  const DeviceArray<Bf16> input_, weight_;
  const DeviceArray<float> bias_, scale_;
  const DeviceArray<Bf16> x_map_{layer_.output_count()}, h_map_{layer_.output_count()},
      normed_{layer_.output_count()};
  const DeviceArray<float> x_partials_{size_t(layer_.B) * chunks_ * 3 * kernels::kGroups},
      h_partials_{x_partials_.size()},
      workspace_{kernels::GroupNormWorkspaceBytes(layer_.B, 0) / sizeof(float)};
  const Map x_ = {x_map_.data(), x_partials_.data()}, h_ = {h_map_.data(), h_partials_.data()};
};

// Few and many chunks (the norm merges them by a kernel of its own), few and many tiles, and tiles
// whose channels are no whole number of groups (96 / 32 = 3).
TEST(Conv2dChainTest, DependentLaunchesGiveWhatOneByOneDo) {
  HMAR_SKIP_WITHOUT_GPU();
  cudaStream_t stream;
  CheckCuda(cudaStreamCreate(&stream));
  constexpr ConvKind k3x3 = ConvKind::kSame3x3;
  for (const Layer layer : {Layer{k3x3, 1, 16, 16, 640, 640}, Layer{k3x3, 1, 48, 32, 320, 320},
                            Layer{k3x3, 3, 48, 64, 160, 160}, Layer{k3x3, 2, 24, 40, 96, 96}}) {
    ResBlocks blocks(layer);
    blocks.Run(stream, [&] { CheckCuda(cudaStreamSynchronize(stream)); });
    const std::vector<float> expected = blocks.Result();
    for (const float v : expected) ASSERT_TRUE(std::isfinite(v));
    for (int again = 0; again < 5; ++again) {
      blocks.Run(stream, [] {});
      EXPECT_TRUE(blocks.Result() == expected) << "O " << layer.O;
    }
    cudaGraph_t graph;
    cudaGraphExec_t replay;
    CheckCuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    blocks.Run(stream, [] {});
    CheckCuda(cudaStreamEndCapture(stream, &graph), "capture");
    CheckCuda(cudaGraphInstantiate(&replay, graph, 0));
    for (int again = 0; again < 5; ++again) {
      CheckCuda(cudaGraphLaunch(replay, stream));
      EXPECT_TRUE(blocks.Result() == expected) << "O " << layer.O << ", in a graph";
    }
    cudaGraphExecDestroy(replay), cudaGraphDestroy(graph);
  }
  cudaStreamDestroy(stream);
}

}  // namespace
}  // namespace hmar
