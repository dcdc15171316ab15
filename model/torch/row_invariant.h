#ifndef HMAR_MODEL_TORCH_ROW_INVARIANT_H_
#define HMAR_MODEL_TORCH_ROW_INVARIANT_H_

#include "model/torch/aten.h"

namespace hmar {

// A GEMM's rows do not depend on how many rows there are, from this many rows up: below, MKL takes
// other kernels, which sum in another order (measured with torch 2.11's MKL, one and two threads:
// it holds from 12 rows).
inline constexpr int64_t kMinGemmRows = 16;

// Rows to allocate so that a GEMM over `rows` of them is row-invariant; 0 stays 0.
inline int64_t PaddedRows(int64_t rows) { return rows == 0 ? 0 : std::max(rows, kMinGemmRows); }

// x (T, I) times weight (O, I) transposed -> (T, O); each row the same whatever T is.
inline at::Tensor RowInvariantMm(const at::Tensor& x_TI, const at::Tensor& weight_OI) {
  const int64_t missing = PaddedRows(x_TI.size(0)) - x_TI.size(0);
  if (missing == 0) return at::mm(x_TI, weight_OI.t());
  return at::mm(at::constant_pad_nd(x_TI, {0, 0, 0, missing}), weight_OI.t())
      .narrow(0, 0, x_TI.size(0));
}

}  // namespace hmar

#endif  // HMAR_MODEL_TORCH_ROW_INVARIANT_H_
