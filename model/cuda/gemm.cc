#include "model/cuda/gemm.h"

#include <algorithm>
#include <cstring>
#include <random>

#include "absl/strings/str_cat.h"
#include "model/cuda/blas_status.h"

namespace hmar {
namespace {

constexpr size_t kWorkspaceBytes = 32 << 20;
constexpr int kProposals = 12;     // A number of rows.
constexpr int64_t kSmallest = 32;  // Rows of the smallest class of calls.
constexpr int kTimedLaunches = 5;
constexpr int64_t kComparedRows = 256;

template <typename T>
T Config(const cublasLtMatmulAlgo_t& algorithm, cublasLtMatmulAlgoConfigAttributes_t attribute) {
  T value = {};
  size_t written = 0;
  cublasLtMatmulAlgoConfigGetAttribute(&algorithm, attribute, &value, sizeof(value), &written);
  return value;
}

// One sum an output, in one kernel: what may depend on the number of rows is left out.
bool SumsInOnePiece(const cublasLtMatmulAlgo_t& algorithm) {
  const auto split = Config<int32_t>(algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM);
  const auto scheme = Config<uint32_t>(algorithm, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME);
  return (split == 0 || split == 1) && scheme == CUBLASLT_REDUCTION_SCHEME_NONE;
}

std::vector<int64_t> RowClasses(int64_t max_rows) {
  std::vector<int64_t> classes;
  for (int64_t rows = kSmallest; rows < max_rows; rows *= 2) classes.push_back(rows);
  classes.push_back(max_rows);
  return classes;
}

}  // namespace

// A product as cuBLASLt sees it, column-major: out^T (N, rows) = W (N, K) x^T (K, rows).
struct Gemm::Call {
  Call(const LinearWeights& layer, Epilogue epilogue, bool fp32_out, const GemmInput& x,
       int64_t rows, void* out)
      : layer(layer), x(x), rows(rows), out(out) {
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
    element_bytes = fp32_out ? sizeof(float) : sizeof(__nv_bfloat16);
  }

  template <typename T>
  void Set(cublasLtMatmulDescAttributes_t attribute, const T& value) {
    cublasLtMatmulDescSetAttribute(&product, attribute, &value, sizeof(value));
  }

  const LinearWeights& layer;
  const GemmInput x;
  int64_t rows;
  void* out;
  size_t element_bytes;
  cublasLtMatmulDescOpaque_t product;
  cublasLtMatrixLayoutOpaque_t weight_layout, x_layout, out_layout;
};

Gemm::Gemm(int64_t max_rows, cublasLtHandle_t handle, void* workspace)
    : max_rows_(max_rows), handle_(handle), workspace_(workspace) {}

Gemm::~Gemm() { cublasLtDestroy(handle_); }

absl::StatusOr<std::unique_ptr<Gemm>> Gemm::Create(int64_t max_rows, DeviceMemory* memory) {
  HMAR_ASSIGN_OR_RETURN(uint8_t * workspace,
                        memory->Allocate<uint8_t>("workspace", kWorkspaceBytes));
  cublasLtHandle_t handle;
  HMAR_BLAS_RETURN_IF_ERROR(cublasLtCreate(&handle));
  return std::unique_ptr<Gemm>(new Gemm(max_rows, handle, workspace));
}

absl::Status Gemm::Launch(const Call& call, const cublasLtMatmulAlgo_t& algorithm,
                          cudaStream_t stream) const {
  const float one = 1, zero = 0;
  HMAR_BLAS_RETURN_IF_ERROR(cublasLtMatmul(
      handle_, const_cast<cublasLtMatmulDescOpaque_t*>(&call.product), &one, call.layer.weight_NK,
      const_cast<cublasLtMatrixLayoutOpaque_t*>(&call.weight_layout), call.x.data,
      const_cast<cublasLtMatrixLayoutOpaque_t*>(&call.x_layout), &zero, call.out,
      const_cast<cublasLtMatrixLayoutOpaque_t*>(&call.out_layout), call.out,
      const_cast<cublasLtMatrixLayoutOpaque_t*>(&call.out_layout), &algorithm, workspace_,
      kWorkspaceBytes, stream));
  return absl::OkStatus();
}

absl::Status Gemm::RunAny(const LinearWeights& layer, Epilogue epilogue, bool fp32_out,
                          const GemmInput& x, int64_t rows, void* out, cudaStream_t stream) {
  if (rows == 0) return absl::OkStatus();
  if (layer.fp8()) rows = (rows + kFp8RowGroup - 1) / kFp8RowGroup * kFp8RowGroup;
  const Algorithms& algorithms =
      algorithms_.at({layer.N, layer.K, epilogue, fp32_out, layer.fp8()});
  return Launch(Call(layer, epilogue, fp32_out, x, rows, out), algorithms.lower_bound(rows)->second,
                stream);
}

absl::StatusOr<std::vector<cublasLtMatmulAlgo_t>> Gemm::Proposals(const Call& call) const {
  cublasLtMatmulPreferenceOpaque_t preference;
  cublasLtMatmulPreferenceInit(&preference);
  cublasLtMatmulPreferenceSetAttribute(&preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                       &kWorkspaceBytes, sizeof(kWorkspaceBytes));
  // Sums in one piece only, or the list is full of others for few rows.
  const uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_NONE;
  cublasLtMatmulPreferenceSetAttribute(&preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                       &schemes, sizeof(schemes));
  std::vector<cublasLtMatmulHeuristicResult_t> results(kProposals);
  int count = 0;
  HMAR_BLAS_RETURN_IF_ERROR(cublasLtMatmulAlgoGetHeuristic(
      handle_, const_cast<cublasLtMatmulDescOpaque_t*>(&call.product),
      const_cast<cublasLtMatrixLayoutOpaque_t*>(&call.weight_layout),
      const_cast<cublasLtMatrixLayoutOpaque_t*>(&call.x_layout),
      const_cast<cublasLtMatrixLayoutOpaque_t*>(&call.out_layout),
      const_cast<cublasLtMatrixLayoutOpaque_t*>(&call.out_layout), &preference, kProposals,
      results.data(), &count));
  std::vector<cublasLtMatmulAlgo_t> algorithms;
  for (int i = 0; i < count; ++i) {
    if (results[i].state == CUBLAS_STATUS_SUCCESS && SumsInOnePiece(results[i].algo)) {
      algorithms.push_back(results[i].algo);
    }
  }
  return algorithms;
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
                                           nullptr, workspace_, kWorkspaceBytes, stream));
  return absl::OkStatus();
}

// Milliseconds of one launch.
absl::StatusOr<float> Gemm::Time(const Call& call, const cublasLtMatmulAlgo_t& algorithm,
                                 cudaStream_t stream) const {
  cudaEvent_t begin, end;
  HMAR_CUDA_RETURN_IF_ERROR(cudaEventCreate(&begin));
  HMAR_CUDA_RETURN_IF_ERROR(cudaEventCreate(&end));
  HMAR_RETURN_IF_ERROR(Launch(call, algorithm, stream));
  HMAR_CUDA_RETURN_IF_ERROR(cudaEventRecord(begin, stream));
  for (int i = 0; i < kTimedLaunches; ++i) {
    HMAR_RETURN_IF_ERROR(Launch(call, algorithm, stream));
  }
  HMAR_CUDA_RETURN_IF_ERROR(cudaEventRecord(end, stream));
  HMAR_CUDA_RETURN_IF_ERROR(cudaEventSynchronize(end));
  float ms = 0;
  HMAR_CUDA_RETURN_IF_ERROR(cudaEventElapsedTime(&ms, begin, end));
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  return ms / kTimedLaunches;
}

absl::Status Gemm::TuneAny(const LinearWeights& layer, Epilogue epilogue, bool fp32_out,
                           const GemmInput& x, void* out, cudaStream_t stream) {
  Algorithms& chosen = algorithms_[{layer.N, layer.K, epilogue, fp32_out, layer.fp8()}];
  if (!chosen.empty()) return absl::OkStatus();
  std::vector<uint8_t> wanted, got;
  const auto run = [&](const Call& call, const cublasLtMatmulAlgo_t& algorithm,
                       std::vector<uint8_t>* bytes) -> absl::Status {
    bytes->resize(std::min(call.rows, kComparedRows) * layer.N * call.element_bytes);
    HMAR_CUDA_RETURN_IF_ERROR(cudaMemsetAsync(out, 0xFF, bytes->size(), stream));
    HMAR_RETURN_IF_ERROR(Launch(call, algorithm, stream));
    HMAR_CUDA_RETURN_IF_ERROR(
        cudaMemcpyAsync(bytes->data(), out, bytes->size(), cudaMemcpyDeviceToHost, stream));
    HMAR_CUDA_RETURN_IF_ERROR(cudaStreamSynchronize(stream));
    return absl::OkStatus();
  };

  const Call largest(layer, epilogue, fp32_out, x, max_rows_, out);
  HMAR_ASSIGN_OR_RETURN(const auto references, Proposals(largest));
  if (references.empty()) {
    return absl::InternalError(
        absl::StrCat("cuBLASLt has no kernel for a layer of ", layer.K, " to ", layer.N));
  }
  const cublasLtMatmulAlgo_t reference = references.front();
  HMAR_RETURN_IF_ERROR(run(largest, reference, &wanted));
  for (const int64_t rows : RowClasses(max_rows_)) {
    const Call call(layer, epilogue, fp32_out, x, rows, out);
    HMAR_ASSIGN_OR_RETURN(auto candidates, Proposals(call));
    candidates.push_back(reference);
    float fastest = 0;
    for (const cublasLtMatmulAlgo_t& candidate : candidates) {
      if (!run(call, candidate, &got).ok()) continue;  // Refused for this shape after all.
      if (std::memcmp(got.data(), wanted.data(), got.size()) != 0) continue;
      HMAR_ASSIGN_OR_RETURN(const float ms, Time(call, candidate, stream));
      if (chosen.count(rows) != 0 && ms >= fastest) continue;
      fastest = ms;
      chosen[rows] = candidate;
    }
  }
  return absl::OkStatus();
}

// A block of them over and over: the copies do not matter to a product's rounding.
absl::Status FillRandom(__nv_bfloat16* x, int64_t count, cudaStream_t stream) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<__nv_bfloat16> block(std::min<int64_t>(count, 1 << 18));
  for (__nv_bfloat16& value : block) value = __float2bfloat16(normal(random));
  for (int64_t i = 0; i < count; i += static_cast<int64_t>(block.size())) {
    const size_t size = std::min<int64_t>(block.size(), count - i) * sizeof(block[0]);
    HMAR_CUDA_RETURN_IF_ERROR(
        cudaMemcpyAsync(x + i, block.data(), size, cudaMemcpyHostToDevice, stream));
  }
  HMAR_CUDA_RETURN_IF_ERROR(cudaStreamSynchronize(stream));
  return absl::OkStatus();
}

}  // namespace hmar
