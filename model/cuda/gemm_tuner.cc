// How Gemm finds the kernels of a weight shape.

#include <algorithm>
#include <cstring>
#include <map>
#include <random>

#include "absl/strings/str_cat.h"
#include "model/cuda/blas_status.h"
#include "model/cuda/gemm.h"
#include "model/cuda/gemm_call.h"

namespace hmar {
namespace {

constexpr int kProposals = 12;            // A number of rows.
constexpr int64_t kSmallest = 16;         // Rows of the smallest class of calls.
constexpr int64_t kFewTokensRows = 1024;  // Beyond, kernels for few rows are hopeless.
// Launches that are timed together. Of calls of few rows one a layer, so that weights come from
// memory as in a forward, and twice, for they are short.
constexpr size_t kTimedLaunches = 6, kMostTimedLaunches = 24;
constexpr int kFewTokensRuns = 2;
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

// 16, 24, 32, 48, 64, 96, ... rows: each class is for the rows up to it.
std::vector<int64_t> RowClasses(int64_t max_rows) {
  std::vector<int64_t> classes;
  for (int64_t rows = kSmallest; rows < max_rows; rows *= 2) {
    classes.push_back(rows);
    const int64_t between = rows + rows / 2;
    if (between % kRowGroup == 0 && between < max_rows) classes.push_back(between);
  }
  classes.push_back(max_rows);
  return classes;
}

bool OwnKernelRuns(const LinearWeights& layer) {
  int device = 0, major = 0, minor = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
  return major == 9 && minor == 0 && !layer.fp8() && layer.N % 64 == 0 && layer.K % 64 == 0;
}

kernels::LinearTiling ManyTokensTiling() {
  for (const kernels::LinearTiling& tiling : kernels::LinearTilings()) {
    if (tiling.kernel == kernels::LinearTiling::Kernel::kManyTokens) return tiling;
  }
  return {};
}

// Work captured as a CUDA graph, to be timed.
class Replay {
 public:
  Replay() = default;
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;
  ~Replay() {
    if (graph_ != nullptr) cudaGraphDestroy(graph_);
    if (executable_ != nullptr) cudaGraphExecDestroy(executable_);
    for (const cudaEvent_t event : {begin_, end_}) {
      if (event != nullptr) cudaEventDestroy(event);
    }
  }

  template <typename Work>
  absl::Status Capture(cudaStream_t stream, const Work& work) {
    HMAR_CUDA_RETURN_IF_ERROR(cudaEventCreate(&begin_));
    HMAR_CUDA_RETURN_IF_ERROR(cudaEventCreate(&end_));
    HMAR_CUDA_RETURN_IF_ERROR(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    const absl::Status status = work();
    const cudaError_t ended = cudaStreamEndCapture(stream, &graph_);
    HMAR_RETURN_IF_ERROR(status);
    HMAR_CUDA_RETURN_IF_ERROR(ended);
    HMAR_CUDA_RETURN_IF_ERROR(cudaGraphInstantiate(&executable_, graph_, 0));
    HMAR_CUDA_RETURN_IF_ERROR(cudaGraphUpload(executable_, stream));
    return absl::OkStatus();
  }

  // Runs it. Waits.
  absl::StatusOr<float> Milliseconds(cudaStream_t stream) const {
    HMAR_CUDA_RETURN_IF_ERROR(cudaEventRecord(begin_, stream));
    HMAR_CUDA_RETURN_IF_ERROR(cudaGraphLaunch(executable_, stream));
    HMAR_CUDA_RETURN_IF_ERROR(cudaEventRecord(end_, stream));
    HMAR_CUDA_RETURN_IF_ERROR(cudaEventSynchronize(end_));
    float ms = 0;
    HMAR_CUDA_RETURN_IF_ERROR(cudaEventElapsedTime(&ms, begin_, end_));
    return ms;
  }

 private:
  cudaGraph_t graph_ = nullptr;
  cudaGraphExec_t executable_ = nullptr;
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
};

}  // namespace

absl::StatusOr<std::vector<Gemm::Kernel>> Gemm::Proposals(const Call& call) const {
  cublasLtMatmulPreferenceOpaque_t preference;
  cublasLtMatmulPreferenceInit(&preference);
  cublasLtMatmulPreferenceSetAttribute(&preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                       &kGemmWorkspaceBytes, sizeof(kGemmWorkspaceBytes));
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
  std::vector<Kernel> kernels;
  for (int i = 0; i < count; ++i) {
    if (results[i].state == CUBLAS_STATUS_SUCCESS && SumsInOnePiece(results[i].algo)) {
      kernels.push_back(results[i].algo);
    }
  }
  return kernels;
}

// Milliseconds of one launch. As a CUDA graph: one by one, the host takes as long for a launch as
// the device for few rows.
absl::StatusOr<float> Gemm::Time(absl::Span<const Call> calls, const Kernel& kernel,
                                 cudaStream_t stream) const {
  HMAR_RETURN_IF_ERROR(Launch(calls[0], kernel, stream));  // Loaded before the capture, or refused.
  const bool few = calls[0].rows <= kFewTokensRows;
  const size_t launches =
      few ? std::clamp(calls.size(), kTimedLaunches, kMostTimedLaunches) : kTimedLaunches;
  Replay replay;
  HMAR_RETURN_IF_ERROR(replay.Capture(stream, [&]() -> absl::Status {
    for (size_t i = 0; i < launches; ++i) {
      HMAR_RETURN_IF_ERROR(Launch(calls[i % calls.size()], kernel, stream));
    }
    return absl::OkStatus();
  }));
  float least_ms = 0;
  for (int run = 0; run < (few ? kFewTokensRuns : 1); ++run) {
    HMAR_ASSIGN_OR_RETURN(const float ms, replay.Milliseconds(stream));
    if (run == 0 || ms < least_ms) least_ms = ms;
  }
  return least_ms / static_cast<float>(launches);
}

// The output of the first rows.
absl::StatusOr<std::vector<uint8_t>> Gemm::OutputBytes(const Call& call, const Kernel& kernel,
                                                       cudaStream_t stream) const {
  std::vector<uint8_t> bytes(std::min(call.rows, kComparedRows) * call.layer.N *
                             call.element_bytes());
  HMAR_CUDA_RETURN_IF_ERROR(cudaMemsetAsync(call.out, 0xFF, bytes.size(), stream));
  HMAR_RETURN_IF_ERROR(Launch(call, kernel, stream));
  HMAR_CUDA_RETURN_IF_ERROR(
      cudaMemcpyAsync(bytes.data(), call.out, bytes.size(), cudaMemcpyDeviceToHost, stream));
  HMAR_CUDA_RETURN_IF_ERROR(cudaStreamSynchronize(stream));
  return bytes;
}

// The kernel whose bits the others must give: ours where it runs, else the one that cuBLASLt likes
// best. Never chosen by time: the same model must give the same bytes on every GPU of a sort.
absl::StatusOr<Gemm::Kernel> Gemm::Reference(const Call& largest) const {
  if (OwnKernelRuns(largest.layer)) return ManyTokensTiling();
  HMAR_ASSIGN_OR_RETURN(const std::vector<Kernel> proposals, Proposals(largest));
  if (proposals.empty()) {
    return absl::InternalError(absl::StrCat("cuBLASLt has no kernel for a layer of ",
                                            largest.layer.K, " to ", largest.layer.N));
  }
  return proposals.front();
}

// What may be fastest for a number of rows.
absl::StatusOr<std::vector<Gemm::Kernel>> Gemm::Candidates(const Call& call,
                                                           const Kernel& reference) const {
  HMAR_ASSIGN_OR_RETURN(std::vector<Kernel> candidates, Proposals(call));
  candidates.push_back(reference);
  if (!OwnKernelRuns(call.layer)) return candidates;
  for (const kernels::LinearTiling& tiling : kernels::LinearTilings()) {
    const bool few = tiling.kernel == kernels::LinearTiling::Kernel::kFewTokens;
    if (few ? call.rows <= kFewTokensRows && tiling.tokens < 2 * call.rows : call.rows > 64) {
      candidates.push_back(tiling);
    }
  }
  return candidates;
}

// The fastest kernel that gives the first call the bytes `wanted`, those of its layer for the most
// rows. `calls`: of one number of rows, to be timed in turn.
absl::StatusOr<Gemm::Kernel> Gemm::Fastest(absl::Span<const Call> calls, const Kernel& reference,
                                           const std::vector<uint8_t>& wanted,
                                           cudaStream_t stream) const {
  const Call& call = calls.front();
  HMAR_ASSIGN_OR_RETURN(const std::vector<Kernel> candidates, Candidates(call, reference));
  std::multimap<float, Kernel> by_time;
  for (const Kernel& candidate : candidates) {
    const absl::StatusOr<float> ms = Time(calls, candidate, stream);
    if (ms.ok()) by_time.emplace(*ms, candidate);  // Else refused for this shape after all.
  }
  for (const auto& [ms, candidate] : by_time) {
    HMAR_ASSIGN_OR_RETURN(const std::vector<uint8_t> bytes, OutputBytes(call, candidate, stream));
    if (std::memcmp(bytes.data(), wanted.data(), bytes.size()) == 0) return candidate;
  }
  return absl::InternalError(absl::StrCat("no kernel of a layer of ", call.layer.K, " to ",
                                          call.layer.N, " gives ", call.rows,
                                          " rows the bits that it gives ", max_rows_));
}

absl::Status Gemm::TuneAny(absl::Span<const LinearWeights> layers, Epilogue epilogue, bool fp32_out,
                           const GemmInput& x, void* out, cudaStream_t stream) {
  const LinearWeights& layer = layers.front();
  KernelByRows& chosen = kernels_[{layer.N, layer.K, epilogue, fp32_out, layer.fp8()}];
  if (!chosen.empty()) return absl::OkStatus();
  const Call largest(layer, epilogue, fp32_out, x, max_rows_, out);
  HMAR_ASSIGN_OR_RETURN(const Kernel reference, Reference(largest));
  HMAR_ASSIGN_OR_RETURN(const std::vector<uint8_t> wanted, OutputBytes(largest, reference, stream));
  for (const int64_t rows : RowClasses(max_rows_)) {
    std::vector<Call> calls;
    for (const LinearWeights& each : layers) {
      calls.emplace_back(each, epilogue, fp32_out, x, rows, out);
    }
    HMAR_ASSIGN_OR_RETURN(chosen[rows], Fastest(calls, reference, wanted, stream));
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
