#ifndef HMAR_KERNELS_FP8_ROWS_H_
#define HMAR_KERNELS_FP8_ROWS_H_

#include <cuda_bf16.h>
#include <cuda_fp8.h>
#include <cuda_runtime_api.h>

#include <cstdint>

namespace hmar::kernels {

inline constexpr int kMaxFp8RowC = 8192;

// A matrix in fp8, e4m3, with a scale a row: element = rows_TC * scale_T. The largest magnitude of
// a row is 448, the largest e4m3; a row of zeros has scale 1. 16-byte aligned.
struct Fp8Rows {
  __nv_fp8_storage_t* rows_TC = nullptr;  // (T, C)
  float* scale_T = nullptr;               // (T)
};

// out = x, row by row, rounded to nearest even. x_TC (T, C) finite bf16, 16-byte aligned, C a
// multiple of 16 up to kMaxFp8RowC; T may be 0. Every row by itself. Asynchronous on `stream`;
// allocates nothing.
cudaError_t QuantizeRows(const __nv_bfloat16* x_TC, int64_t T, int C, const Fp8Rows& out,
                         cudaStream_t stream);

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_FP8_ROWS_H_
