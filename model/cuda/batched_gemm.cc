#include "model/cuda/batched_gemm.h"

#include "model/cuda/blas_status.h"

namespace hmar {
namespace {

constexpr size_t kWorkspaceBytes = 4 << 20;

cublasLtMatrixLayoutOpaque_t Layout(cudaDataType_t type, int64_t rows, int64_t columns,
                                    int64_t column_stride, int64_t stride, int batch) {
  cublasLtMatrixLayoutOpaque_t layout;
  cublasLtMatrixLayoutInit(&layout, type, rows, columns, column_stride);
  cublasLtMatrixLayoutSetAttribute(&layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch,
                                   sizeof(batch));
  cublasLtMatrixLayoutSetAttribute(&layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride,
                                   sizeof(stride));
  return layout;
}

}  // namespace

// Column-major, as cuBLASLt sees it: out^T (n, m) = b' a^T, where b' is b^T stored as rows (b (k,
// n)) or b (n, k) itself.
struct BatchedGemm::Product {
  MatrixBatch a, b;
  int64_t m, n, k;
  bool b_transposed;
  float alpha;
  void* out;
};

absl::StatusOr<std::unique_ptr<BatchedGemm>> BatchedGemm::Create(int max_batch,
                                                                 DeviceMemory* memory) {
  HMAR_ASSIGN_OR_RETURN(uint8_t * workspace,
                        memory->Allocate<uint8_t>("workspace", kWorkspaceBytes));
  cublasLtHandle_t handle;
  HMAR_BLAS_RETURN_IF_ERROR(cublasLtCreate(&handle));
  return std::unique_ptr<BatchedGemm>(new BatchedGemm(max_batch, handle, workspace));
}

BatchedGemm::~BatchedGemm() { cublasLtDestroy(handle_); }

absl::Status BatchedGemm::Run(const Product& p, int batch, cudaStream_t stream) {
  const cudaDataType_t out_type = p.b_transposed ? CUDA_R_32F : CUDA_R_16BF;
  const cublasOperation_t op = p.b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
  cublasLtMatmulDescOpaque_t product;
  cublasLtMatmulDescInit(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F);
  cublasLtMatmulDescSetAttribute(&product, CUBLASLT_MATMUL_DESC_TRANSA, &op, sizeof(op));
  const auto layouts = [&](int count, cublasLtMatrixLayoutOpaque_t* b,
                           cublasLtMatrixLayoutOpaque_t* a, cublasLtMatrixLayoutOpaque_t* out) {
    *b = p.b_transposed ? Layout(CUDA_R_16BF, p.k, p.n, p.b.row_stride, p.b.stride, count)
                        : Layout(CUDA_R_16BF, p.n, p.k, p.b.row_stride, p.b.stride, count);
    *a = Layout(CUDA_R_16BF, p.k, p.m, p.a.row_stride, p.a.stride, count);
    *out = Layout(out_type, p.n, p.m, p.n, p.n * p.m, count);
  };
  cublasLtMatrixLayoutOpaque_t b, a, out;
  const auto key = std::make_tuple(p.m, p.n, p.k, p.b_transposed);
  auto found = algorithms_.find(key);
  if (found == algorithms_.end()) {
    layouts(max_batch_, &b, &a, &out);
    cublasLtMatmulPreferenceOpaque_t preference;
    cublasLtMatmulPreferenceInit(&preference);
    cublasLtMatmulPreferenceSetAttribute(&preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                         &kWorkspaceBytes, sizeof(kWorkspaceBytes));
    const uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_NONE;  // Sums in one piece.
    cublasLtMatmulPreferenceSetAttribute(&preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                         &schemes, sizeof(schemes));
    cublasLtMatmulHeuristicResult_t result;
    int count = 0;
    HMAR_BLAS_RETURN_IF_ERROR(cublasLtMatmulAlgoGetHeuristic(handle_, &product, &b, &a, &out, &out,
                                                             &preference, 1, &result, &count));
    if (count == 0)
      return absl::InternalError("cuBLASLt has no kernel for the autoencoder's attention");
    found = algorithms_.emplace(key, result.algo).first;
  }
  layouts(batch, &b, &a, &out);
  const float zero = 0;
  HMAR_BLAS_RETURN_IF_ERROR(cublasLtMatmul(handle_, &product, &p.alpha, p.b.data, &b, p.a.data, &a,
                                           &zero, p.out, &out, p.out, &out, &found->second,
                                           workspace_, kWorkspaceBytes, stream));
  return absl::OkStatus();
}

absl::Status BatchedGemm::TimesTransposed(const MatrixBatch& a, const MatrixBatch& b, int64_t m,
                                          int64_t n, int64_t k, float alpha, int batch, float* out,
                                          cudaStream_t stream) {
  return Run({a, b, m, n, k, /*b_transposed=*/true, alpha, out}, batch, stream);
}

absl::Status BatchedGemm::Times(const MatrixBatch& a, const MatrixBatch& b, int64_t m, int64_t n,
                                int64_t k, int batch, __nv_bfloat16* out, cudaStream_t stream) {
  return Run({a, b, m, n, k, /*b_transposed=*/false, 1, out}, batch, stream);
}

}  // namespace hmar
