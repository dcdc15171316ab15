#ifndef HMAR_MODEL_CUDA_BATCHED_GEMM_H_
#define HMAR_MODEL_CUDA_BATCHED_GEMM_H_

#include <cublasLt.h>
#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <map>
#include <memory>
#include <tuple>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/cuda/device_memory.h"

namespace hmar {

// A bf16 matrix a batch entry, row-major: rows of `row_stride` elements, entries `stride` elements
// apart.
struct MatrixBatch {
  const __nv_bfloat16* data = nullptr;
  int64_t row_stride = 0;
  int64_t stride = 0;
};

// Products of one pair of matrices an image, for the autoencoder's attention. The kernel of a shape
// is fixed on its first use, whatever the batch. Not thread-safe.
class BatchedGemm {
 public:
  // `max_batch`: the batch for which kernels are chosen.
  static absl::StatusOr<std::unique_ptr<BatchedGemm>> Create(int max_batch, DeviceMemory* memory);
  ~BatchedGemm();

  // out (batch, m, n) fp32 = alpha * a (m, k) b (n, k)^T. Asynchronous.
  absl::Status TimesTransposed(const MatrixBatch& a, const MatrixBatch& b, int64_t m, int64_t n,
                               int64_t k, float alpha, int batch, float* out, cudaStream_t stream);

  // out (batch, m, n) bf16 = a (m, k) b (k, n). Asynchronous.
  absl::Status Times(const MatrixBatch& a, const MatrixBatch& b, int64_t m, int64_t n, int64_t k,
                     int batch, __nv_bfloat16* out, cudaStream_t stream);

 private:
  struct Product;
  BatchedGemm(int max_batch, cublasLtHandle_t handle, void* workspace)
      : max_batch_(max_batch), handle_(handle), workspace_(workspace) {}
  absl::Status Run(const Product& product, int batch, cudaStream_t stream);

  const int max_batch_;
  cublasLtHandle_t handle_;
  void* workspace_;
  std::map<std::tuple<int64_t, int64_t, int64_t, bool>, cublasLtMatmulAlgo_t> algorithms_;
};

}  // namespace hmar

#endif  // HMAR_MODEL_CUDA_BATCHED_GEMM_H_
