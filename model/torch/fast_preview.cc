#include "model/torch/fast_preview.h"

#include <ATen/ops/ones.h>
#include <ATen/ops/pixel_unshuffle.h>

#include <algorithm>

namespace hmar {
namespace {

constexpr int64_t kMaxPixels = 4;
// Ridge, as a share of the mean square of an input: small pictures of few colours leave directions
// that nothing pins.
constexpr double kRidge = 1e-3;

}  // namespace

FastPreview FastPreview::Fit(const at::Tensor& f_hat_NZPP, const at::Tensor& image_N3SS) {
  const int64_t Z = f_hat_NZPP.size(1), P = f_hat_NZPP.size(2), S = image_N3SS.size(2);
  const int64_t q = std::min(kMaxPixels, S / P), outputs = 3 * q * q;
  const at::Tensor small = at::_adaptive_avg_pool2d(image_N3SS, {q * P, q * P});
  // Equations: one a token of each picture. The last input is a constant.
  const at::Tensor y =
      at::pixel_unshuffle(small, q).permute({0, 2, 3, 1}).reshape({-1, outputs}).to(at::kDouble);
  at::Tensor x = Neighbourhoods(f_hat_NZPP).to(at::kDouble);
  x = at::cat({x, at::ones({x.size(0), 1}, at::kDouble)}, 1);
  at::Tensor normal = at::mm(x.t(), x);
  normal.diagonal().add_(normal.diagonal().mean().mul(kRidge));
  const at::Tensor solution =
      at::linalg_solve(normal, at::mm(x.t(), y)).to(at::kFloat);  // (9 Z + 1, outputs)
  return FastPreview(q, PackedLinear(solution.narrow(0, 0, 9 * Z).t(), solution[9 * Z]));
}

at::Tensor FastPreview::Apply(const at::Tensor& f_hat_BZPP) const {
  const int64_t B = f_hat_BZPP.size(0), P = f_hat_BZPP.size(2);
  const at::Tensor patches =
      read_out_(Neighbourhoods(f_hat_BZPP)).view({B, P, P, -1}).permute({0, 3, 1, 2});
  return at::pixel_shuffle(patches, pixels_);
}

}  // namespace hmar
