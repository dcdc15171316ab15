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

uint64_t PackedLinear::bytes() const { return panels_.nbytes() + bias_.nbytes(); }

void PackedLinear::Multiply(const float* x, int64_t rows, int64_t panel, float* out) const {
  const int64_t column = panel * kPanelWidth;
  GemmTile tile;
  tile.x = x;
  tile.panel = panels_.data_ptr<float>() + column * inputs_;
  tile.bias = bias_.data_ptr<float>() + column;
  tile.out = out + column;
  tile.rows = rows;
  tile.inputs = inputs_;
  tile.columns = std::min(kPanelWidth, outputs_ - column);
  tile.stride = outputs_;
  RunGemmTile(tile);
}

void PackedLinear::Apply(const float* x, int64_t T, float* out) const {
  const int64_t panels = panels_.size(0);
  const int64_t row_blocks = (T + kRowsAtOnce - 1) / kRowsAtOnce;
  at::parallel_for(0, row_blocks * panels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i / panels * kRowsAtOnce;
      Multiply(x + row * inputs_, std::min(kRowsAtOnce, T - row), i % panels, out + row * outputs_);
    }
  });
}

void PackedLinear::ApplyHere(const float* x, int64_t T, float* out) const {
  for (int64_t panel = 0; panel < panels_.size(0); ++panel) Multiply(x, T, panel, out);
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
