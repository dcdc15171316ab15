#include "model/cuda/gemm.h"

#include "model/cuda/blas_status.h"
#include "model/cuda/gemm_call.h"

namespace hmar {

Gemm::Gemm(int64_t max_rows, cublasLtHandle_t handle, void* workspace)
    : max_rows_(max_rows), handle_(handle), workspace_(workspace) {}

Gemm::~Gemm() { cublasLtDestroy(handle_); }

absl::StatusOr<std::unique_ptr<Gemm>> Gemm::Create(int64_t max_rows, DeviceMemory* memory) {
  HMAR_ASSIGN_OR_RETURN(uint8_t * workspace,
                        memory->Allocate<uint8_t>("workspace", kGemmWorkspaceBytes));
  cublasLtHandle_t handle;
  HMAR_BLAS_RETURN_IF_ERROR(cublasLtCreate(&handle));
  return std::unique_ptr<Gemm>(new Gemm(max_rows, handle, workspace));
}

absl::Status Gemm::LaunchOwn(const Call& call, const kernels::LinearTiling& tiling,
                             cudaStream_t stream) const {
  kernels::LinearArgs args;
  args.x_TK = static_cast<const __nv_bfloat16*>(call.x.data);
  args.weight_NK = static_cast<const __nv_bfloat16*>(call.layer.weight_NK);
  args.bias_N = call.layer.bias_N;
  (call.fp32_out ? reinterpret_cast<void*&>(args.out_fp32_TN)
                 : reinterpret_cast<void*&>(args.out_TN)) = call.out;
  args.T = static_cast<int>(call.rows);
  args.N = static_cast<int>(call.layer.N);
  args.K = static_cast<int>(call.layer.K);
  args.epilogue = call.epilogue == Epilogue::kBias ? kernels::LinearEpilogue::kBias
                                                   : kernels::LinearEpilogue::kBiasGelu;
  HMAR_CUDA_RETURN_IF_ERROR(kernels::Linear(args, tiling, stream));
  return absl::OkStatus();
}

absl::Status Gemm::Launch(const Call& call, const Kernel& kernel, cudaStream_t stream) const {
  if (const auto* tiling = std::get_if<kernels::LinearTiling>(&kernel)) {
    return LaunchOwn(call, *tiling, stream);
  }
  const float one = 1, zero = 0;
  HMAR_BLAS_RETURN_IF_ERROR(cublasLtMatmul(
      handle_, const_cast<cublasLtMatmulDescOpaque_t*>(&call.product), &one, call.layer.weight_NK,
      const_cast<cublasLtMatrixLayoutOpaque_t*>(&call.weight_layout), call.x.data,
      const_cast<cublasLtMatrixLayoutOpaque_t*>(&call.x_layout), &zero, call.out,
      const_cast<cublasLtMatrixLayoutOpaque_t*>(&call.out_layout), call.out,
      const_cast<cublasLtMatrixLayoutOpaque_t*>(&call.out_layout),
      &std::get<cublasLtMatmulAlgo_t>(kernel), workspace_, kGemmWorkspaceBytes, stream));
  return absl::OkStatus();
}

absl::Status Gemm::RunAny(const LinearWeights& layer, Epilogue epilogue, bool fp32_out,
                          const GemmInput& x, int64_t rows, void* out, cudaStream_t stream) {
  if (rows == 0) return absl::OkStatus();
  if (layer.fp8()) rows = WholeGroups(rows);
  const KernelByRows& kernels = kernels_.at({layer.N, layer.K, epilogue, fp32_out, layer.fp8()});
  return Launch(Call(layer, epilogue, fp32_out, x, rows, out), kernels.lower_bound(rows)->second,
                stream);
}

absl::Status Gemm::RunFp32(const float* x, int64_t rows, const float* weight_NK, int64_t N,
                           int64_t K, float* out, cudaStream_t stream) {
  const cublasOperation_t transposed = CUBLAS_OP_T;
  cublasLtMatmulDescOpaque_t product;
  cublasLtMatmulDescInit(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F);
  cublasLtMatmulDescSetAttribute(&product, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                 sizeof(transposed));
  cublasLtMatrixLayoutOpaque_t w_layout, x_layout, out_layout;
  cublasLtMatrixLayoutInit(&w_layout, CUDA_R_32F, K, N, K);
  cublasLtMatrixLayoutInit(&x_layout, CUDA_R_32F, K, rows, K);
  cublasLtMatrixLayoutInit(&out_layout, CUDA_R_32F, N, rows, N);
  const float one = 1, zero = 0;
  HMAR_BLAS_RETURN_IF_ERROR(cublasLtMatmul(handle_, &product, &one, weight_NK, &w_layout, x,
                                           &x_layout, &zero, out, &out_layout, out, &out_layout,
                                           nullptr, workspace_, kGemmWorkspaceBytes, stream));
  return absl::OkStatus();
}

}  // namespace hmar
