#ifndef HMAR_MODEL_TORCH_PACKED_LINEAR_H_
#define HMAR_MODEL_TORCH_PACKED_LINEAR_H_

// Linear layers with weights packed once, at load. Two things that a general GEMM does not give:
//  - a row's result does not depend on how many rows there are: every output is one sum over k in
//  rising order, whatever
//    tile it falls into. That is what makes an image the same in any crowd, on any machine.
//  - no packing a call: with the few rows of a single image, packing took more time than
//  multiplying.

#include <cstdint>
#include <vector>

#include "model/torch/aten.h"

namespace hmar {

// y = x W^T + b in fp32. Immutable after construction; Apply is safe from any thread and splits its
// work over ATen's.
class PackedLinear {
 public:
  PackedLinear() = default;

  // weight (O, I); bias (O), or undefined for none.
  PackedLinear(const at::Tensor& weight_OI, const at::Tensor& bias_O);

  int64_t inputs() const { return inputs_; }    // I
  int64_t outputs() const { return outputs_; }  // O
  uint64_t bytes() const;                       // Of weights and bias, as they are held.

  // x (T, I), out (T, O), both without gaps; they may not overlap.
  void Apply(const float* x, int64_t T, float* out) const;

  // The same on the calling thread alone, for callers that split the rows themselves.
  void ApplyHere(const float* x, int64_t T, float* out) const;

  // The same on tensors: (T, I) -> (T, O).
  at::Tensor operator()(const at::Tensor& x_TI) const;

 private:
  // One block of rows times one panel.
  void Multiply(const float* x, int64_t rows, int64_t panel, float* out) const;

  int64_t inputs_ = 0, outputs_ = 0;
  at::Tensor panels_;  // (ceil(O / kPanelWidth), I, kPanelWidth), zeros beyond O.
  at::Tensor bias_;    // (ceil(O / kPanelWidth) * kPanelWidth)
};

// The 3 x 3 neighbourhood of each position, zeros beyond the border: (B, Z, P, P) -> (B P P, 9 Z),
// in the order of a convolution's weights. A small convolution is a PackedLinear over these.
at::Tensor Neighbourhoods(const at::Tensor& x_BZPP);

}  // namespace hmar

#endif  // HMAR_MODEL_TORCH_PACKED_LINEAR_H_
