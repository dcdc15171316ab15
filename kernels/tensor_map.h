#ifndef HMAR_KERNELS_TENSOR_MAP_H_
#define HMAR_KERNELS_TENSOR_MAP_H_

// Descriptions of matrices for the tensor memory accelerator. Host code.

#include <cuda.h>
#include <cudaTypedefs.h>
#include <cuda_runtime_api.h>

#include <cstdint>

namespace hmar::kernels {

// By the driver's own entry point, so that the program starts where there is no driver. Null where
// the driver has none.
inline PFN_cuTensorMapEncodeTiled_v12000 TensorMapEncoder() {
  static const PFN_cuTensorMapEncodeTiled_v12000 encoder = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult found;
    const cudaError_t e = cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function,
                                                           12000, cudaEnableDefault, &found);
    const bool ok = e == cudaSuccess && found == cudaDriverEntryPointSuccess;
    return reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(ok ? function : nullptr);
  }();
  return encoder;
}

inline constexpr int kColumnBlock = 64;  // bf16: 128 bytes, the width of the swizzle.

// A row-major bf16 matrix (rows, columns), columns a multiple of 64, seen as (columns / 64 blocks,
// rows, 64): a box of box_blocks x box_rows x 64 comes block by block, each with the 128-byte
// swizzle that MatrixDescriptor expects. Its coordinates are (0, row, block).
inline cudaError_t EncodeBlockedMatrix(const void* data, int64_t rows, int64_t columns,
                                       int box_rows, int box_blocks, CUtensorMap* map) {
  const cuuint64_t sizes[] = {kColumnBlock, static_cast<cuuint64_t>(rows),
                              static_cast<cuuint64_t>(columns / kColumnBlock)};
  const cuuint64_t strides[] = {static_cast<cuuint64_t>(columns) * 2, kColumnBlock * 2};  // Bytes.
  const cuuint32_t box[] = {kColumnBlock, static_cast<cuuint32_t>(box_rows),
                            static_cast<cuuint32_t>(box_blocks)};
  const cuuint32_t steps[] = {1, 1, 1};
  const CUresult result = TensorMapEncoder()(
      map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 3, const_cast<void*>(data), sizes, strides, box, steps,
      CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
      CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return result == CUDA_SUCCESS ? cudaSuccess : cudaErrorInvalidValue;
}

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_TENSOR_MAP_H_
