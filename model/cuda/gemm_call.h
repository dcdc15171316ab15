#ifndef HMAR_MODEL_CUDA_GEMM_CALL_H_
#define HMAR_MODEL_CUDA_GEMM_CALL_H_

// Internal to gemm.cc and gemm_tuner.cc.

#include "model/cuda/gemm.h"

namespace hmar {

inline constexpr size_t kGemmWorkspaceBytes = 32 << 20;

// A product as cuBLASLt sees it, column-major: out^T (N, rows) = W (N, K) x^T (K, rows).
struct Gemm::Call {
  Call(const LinearWeights& layer, Epilogue epilogue, bool fp32_out, const GemmInput& x,
       int64_t rows, void* out)
      : layer(layer), epilogue(epilogue), fp32_out(fp32_out), x(x), rows(rows), out(out) {
    const cublasOperation_t transposed = CUBLAS_OP_T;
    const cublasLtEpilogue_t kind =
        epilogue == Epilogue::kBias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_GELU_BIAS;
    const cudaDataType_t out_type = fp32_out ? CUDA_R_32F : CUDA_R_16BF;
    cublasLtMatmulDescInit(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    Set(CUBLASLT_MATMUL_DESC_TRANSA, transposed);
    Set(CUBLASLT_MATMUL_DESC_EPILOGUE, kind);
    Set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, layer.bias_N);
    Set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, out_type);
    const cudaDataType_t in_type = layer.fp8() ? CUDA_R_8F_E4M3 : CUDA_R_16BF;
    cublasLtMatrixLayoutInit(&weight_layout, in_type, layer.K, layer.N, layer.K);
    cublasLtMatrixLayoutInit(&x_layout, in_type, layer.K, rows, layer.K);
    cublasLtMatrixLayoutInit(&out_layout, out_type, layer.N, rows, layer.N);
    if (layer.fp8()) {  // A scale a channel and a scale a row, applied to the fp32 sum.
      const cublasLtMatmulMatrixScale_t scales = CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F;
      Set(CUBLASLT_MATMUL_DESC_A_SCALE_MODE, scales);
      Set(CUBLASLT_MATMUL_DESC_B_SCALE_MODE, scales);
      Set(CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, layer.scale_N);
      Set(CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, x.scale_T);
    }
  }

  template <typename T>
  void Set(cublasLtMatmulDescAttributes_t attribute, const T& value) {
    cublasLtMatmulDescSetAttribute(&product, attribute, &value, sizeof(value));
  }

  // The same of another number of rows; with its output elsewhere.
  Call With(int64_t other_rows) const { return {layer, epilogue, fp32_out, x, other_rows, out}; }
  Call To(void* other_out) const { return {layer, epilogue, fp32_out, x, rows, other_out}; }

  int64_t out_bytes() const {
    return rows * layer.N * static_cast<int64_t>(fp32_out ? sizeof(float) : sizeof(__nv_bfloat16));
  }

  const LinearWeights& layer;
  Epilogue epilogue;
  bool fp32_out;
  const GemmInput x;
  int64_t rows;
  void* out;
  cublasLtMatmulDescOpaque_t product;
  cublasLtMatrixLayoutOpaque_t weight_layout, x_layout, out_layout;
};

// The reference kernel's output for the most rows, on the device, and a flag for comparisons.
struct Gemm::Wanted {
  void* out;
  int32_t* differ;
};

}  // namespace hmar

#endif  // HMAR_MODEL_CUDA_GEMM_CALL_H_
