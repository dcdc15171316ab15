#ifndef HMAR_KERNELS_ROW_NORM_H_
#define HMAR_KERNELS_ROW_NORM_H_

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/fp8_rows.h"

namespace hmar::kernels {

inline constexpr int kMaxRowNormC = 4096;

// AdaLN vectors of every class: `vectors` holds class_stride elements a class, among them vectors
// of C elements at the offsets that the calls below name. Everything 16-byte aligned, offsets and
// stride in elements, multiples of 8.
struct ClassVectors {
  const __nv_bfloat16* vectors = nullptr;
  int64_t class_stride = 0;
  const int32_t* class_of_row_T = nullptr;  // (T)
};

// LayerNorm without weights, then out = normed * scale + shift with the row's class vectors;
// `scale` is stored with its 1 added. (HMAR's AdaLN blocks; DiT, arXiv 2212.09748, section 3.2.)
struct NormModulation {
  int64_t scale_offset = 0;
  int64_t shift_offset = 0;
  float eps = 0;
};

// T rows of C elements, C a multiple of 8 up to kMaxRowNormC; T may be 0. Means and variances in
// fp32 (two passes over registers), each row by itself. Asynchronous on `stream`; allocate nothing.

// out_TC = modulate(norm(x_TC)).
cudaError_t NormModulate(const __nv_bfloat16* x_TC, __nv_bfloat16* out_TC, int64_t T, int C,
                         const ClassVectors& classes, const NormModulation& modulation,
                         cudaStream_t stream);

// x_TC += gamma * branch_TC, rounded to bf16; then out_TC = modulate(norm(x_TC)) of the rounded
// sum. out_TC may be branch_TC. gamma_offset: where the class vectors hold gamma.
cudaError_t GateNormModulate(__nv_bfloat16* x_TC, const __nv_bfloat16* branch_TC,
                             __nv_bfloat16* out_TC, int64_t T, int C, const ClassVectors& classes,
                             int64_t gamma_offset, const NormModulation& modulation,
                             cudaStream_t stream);

// The same, with the bf16 results rounded further to fp8, as QuantizeRows would.
cudaError_t NormModulate(const __nv_bfloat16* x_TC, const Fp8Rows& out, int64_t T, int C,
                         const ClassVectors& classes, const NormModulation& modulation,
                         cudaStream_t stream);
cudaError_t GateNormModulate(__nv_bfloat16* x_TC, const __nv_bfloat16* branch_TC,
                             const Fp8Rows& out, int64_t T, int C, const ClassVectors& classes,
                             int64_t gamma_offset, const NormModulation& modulation,
                             cudaStream_t stream);

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_ROW_NORM_H_
