#include "model/torch/packed_linear.h"

#include <ATen/ops/im2col.h>

#include <algorithm>

#include "model/torch/gemm_tile.h"

namespace hmar {
namespace {

// Rows of x that stay in the second-level cache while all panels pass over them.
constexpr int64_t kRowsAtOnce = 96;

}  // namespace

PackedLinear::PackedLinear(const at::Tensor& weight_OI, const at::Tensor& bias_O)
    : inputs_(weight_OI.size(1)), outputs_(weight_OI.size(0)) {
  const int64_t panels = (outputs_ + kPanelWidth - 1) / kPanelWidth;
  const int64_t missing = panels * kPanelWidth - outputs_;
  panels_ = at::constant_pad_nd(weight_OI, {0, 0, 0, missing})
                .view({panels, kPanelWidth, inputs_})
                .transpose(1, 2)
                .contiguous();
  bias_ = bias_O.defined() ? at::constant_pad_nd(bias_O, {0, missing}).contiguous()
                           : at::zeros({panels * kPanelWidth}, at::kFloat);
}

void PackedLinear::Apply(const float* x, int64_t T, float* out) const {
  const int64_t panels = panels_.size(0);
  const int64_t row_blocks = (T + kRowsAtOnce - 1) / kRowsAtOnce;
  const float* weights = panels_.data_ptr<float>();
  const float* bias = bias_.data_ptr<float>();
  at::parallel_for(0, row_blocks * panels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i / panels * kRowsAtOnce, panel = i % panels,
                    column = panel * kPanelWidth;
      GemmTile tile;
      tile.x = x + row * inputs_;
      tile.panel = weights + panel * inputs_ * kPanelWidth;
      tile.bias = bias + column;
      tile.out = out + row * outputs_ + column;
      tile.rows = std::min(kRowsAtOnce, T - row);
      tile.inputs = inputs_;
      tile.columns = std::min(kPanelWidth, outputs_ - column);
      tile.stride = outputs_;
      RunGemmTile(tile);
    }
  });
}

at::Tensor PackedLinear::operator()(const at::Tensor& x_TI) const {
  at::Tensor out = at::empty({x_TI.size(0), outputs_}, at::kFloat);
  Apply(x_TI.contiguous().data_ptr<float>(), x_TI.size(0), out.data_ptr<float>());
  return out;
}

at::Tensor Neighbourhoods(const at::Tensor& x_BZPP) {
  return at::im2col(x_BZPP, {3, 3}, {1, 1}, {1, 1}, {1, 1})
      .transpose(1, 2)
      .reshape({-1, 9 * x_BZPP.size(1)});
}

}  // namespace hmar
