#ifndef HMAR_MODEL_TORCH_PACKED_CONV_H_
#define HMAR_MODEL_TORCH_PACKED_CONV_H_

#include <cstdint>

#include "model/torch/aten.h"
#include "model/torch/packed_linear.h"

namespace hmar {

// Where a convolution takes its input from.
enum class ConvShape {
  kSame,        // Output as large as the input, zeros beyond its border.
  kDownsample,  // Stride 2, zeros beyond the right and the bottom border only.
  kUpsample,    // Of the input enlarged twofold by repetition.
};

// A 3 x 3 or 1 x 1 convolution over channels-last maps, as a PackedLinear over each position's
// neighbourhood: so its results do not depend on how many images there are either. fp32. Immutable;
// operator() splits its work over ATen's threads.
class PackedConv {
 public:
  PackedConv() = default;

  // weight (O, I, k, k) with k 1 or 3; bias (O).
  PackedConv(const at::Tensor& weight_OIkk, const at::Tensor& bias_O);

  // (B, H, W, I) -> (B, H', W', O). REQUIRES: kSame for a 1 x 1 convolution.
  at::Tensor operator()(const at::Tensor& x_BHWI, ConvShape shape = ConvShape::kSame) const;

  uint64_t bytes() const { return linear_.bytes(); }

 private:
  int64_t side_ = 0;  // k
  int64_t inputs_ = 0;
  PackedLinear linear_;  // (k k I) -> (O), taps outermost.
};

// GroupNorm with 32 groups, then SiLU if `silu`. x (B, H, W, C), weight and bias (C). An image's
// result depends on that image alone.
at::Tensor GroupNorm(const at::Tensor& x_BHWC, const at::Tensor& weight_C, const at::Tensor& bias_C,
                     bool silu);

}  // namespace hmar

#endif  // HMAR_MODEL_TORCH_PACKED_CONV_H_
