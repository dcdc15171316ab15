// How Gemm finds the kernels of a weight shape.

#include <algorithm>
#include <map>
#include <random>

#include "absl/strings/str_cat.h"
#include "kernels/same_bytes.h"
#include "model/cuda/blas_status.h"
#include "model/cuda/gemm.h"
#include "model/cuda/gemm_call.h"
#include "model/cuda/timed_graph.h"

namespace hmar {
namespace {

constexpr int kProposals = 12;            // A number of rows.
constexpr int64_t kSmallest = 16;         // Rows of the smallest class of calls.
constexpr int64_t kFewTokensRows = 1024;  // Beyond, kernels for few rows are hopeless.
// Launches that are timed together. Of calls of few rows one a layer, so that weights come from
// memory as in a forward, and twice, for they are short.
constexpr size_t kTimedLaunches = 6, kMostTimedLaunches = 24;
constexpr int kFewTokensRuns = 2;
// Of FillRandom: a prime, so that no two rows of a layer's input are the same.
constexpr int64_t kRandomBlock = 262147;

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

// Numbers of rows that a layer is run with are multiples of it.
int64_t StepOf(const LinearWeights& layer) { return layer.fp8() ? kRowGroup : 1; }

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
  const cublasStatus_t found = cublasLtMatmulAlgoGetHeuristic(
      handle_, const_cast<cublasLtMatmulDescOpaque_t*>(&call.product),
      const_cast<cublasLtMatrixLayoutOpaque_t*>(&call.weight_layout),
      const_cast<cublasLtMatrixLayoutOpaque_t*>(&call.x_layout),
      const_cast<cublasLtMatrixLayoutOpaque_t*>(&call.out_layout),
      const_cast<cublasLtMatrixLayoutOpaque_t*>(&call.out_layout), &preference, kProposals,
      results.data(), &count);
  if (found == CUBLAS_STATUS_NOT_SUPPORTED) return std::vector<Kernel>();
  HMAR_BLAS_RETURN_IF_ERROR(found);
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
  TimedGraph graph;
  HMAR_RETURN_IF_ERROR(graph.Capture(stream, [&]() -> absl::Status {
    for (size_t i = 0; i < launches; ++i) {
      HMAR_RETURN_IF_ERROR(Launch(calls[i % calls.size()], kernel, stream));
    }
    return absl::OkStatus();
  }));
  float least_ms = 0;
  for (int run = 0; run < (few ? kFewTokensRuns : 1); ++run) {
    HMAR_ASSIGN_OR_RETURN(const float ms, graph.Milliseconds(stream));
    if (run == 0 || ms < least_ms) least_ms = ms;
  }
  return least_ms / static_cast<float>(launches);
}

// Whether a kernel gives a call's rows, all of them, the bytes wanted. Not, too, if it refuses that
// number of rows.
absl::StatusOr<bool> Gemm::Gives(const Wanted& wanted, const Call& call, const Kernel& kernel,
                                 cudaStream_t stream) const {
  HMAR_CUDA_RETURN_IF_ERROR(cudaMemsetAsync(call.out, 0xFF, call.out_bytes(), stream));
  HMAR_CUDA_RETURN_IF_ERROR(cudaMemsetAsync(wanted.differ, 0, sizeof(*wanted.differ), stream));
  if (const absl::Status launched = Launch(call, kernel, stream); !launched.ok()) {
    if (absl::IsUnavailable(launched)) return launched;
    return false;
  }
  HMAR_CUDA_RETURN_IF_ERROR(
      kernels::CompareBytes(call.out, wanted.out, call.out_bytes(), wanted.differ, stream));
  int32_t differ = 0;
  HMAR_CUDA_RETURN_IF_ERROR(
      cudaMemcpyAsync(&differ, wanted.differ, sizeof(differ), cudaMemcpyDeviceToHost, stream));
  HMAR_CUDA_RETURN_IF_ERROR(cudaStreamSynchronize(stream));
  return differ == 0;
}

// The kernel whose bits the others must give: ours where it runs, else the first of those that
// cuBLASLt proposes that can. Never chosen by time: the same model must give the same bytes on
// every GPU of a sort.
absl::StatusOr<std::vector<Gemm::Kernel>> Gemm::References(const Call& largest) const {
  if (OwnKernelRuns(largest.layer)) return std::vector<Kernel>{ManyTokensTiling()};
  HMAR_ASSIGN_OR_RETURN(std::vector<Kernel> proposals, Proposals(largest));
  if (proposals.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the CUDA engine has no kernel for a layer of ", largest.layer.K, " to ", largest.layer.N));
  }
  return proposals;
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

// The fastest kernel that gives the bytes wanted to the first call, of its class's most rows, to as
// many rows as the class has at least, and to a number in between: kernels of a library may cut
// their work by the number of rows. `calls`: of one number of rows, to be timed in turn.
absl::StatusOr<std::optional<Gemm::Kernel>> Gemm::Fastest(absl::Span<const Call> calls,
                                                          int64_t fewest_rows,
                                                          const Kernel& reference,
                                                          const Wanted& wanted,
                                                          cudaStream_t stream) const {
  const Call& call = calls.front();
  HMAR_ASSIGN_OR_RETURN(const std::vector<Kernel> candidates, Candidates(call, reference));
  std::multimap<float, Kernel> by_time;
  for (const Kernel& candidate : candidates) {
    const absl::StatusOr<float> ms = Time(calls, candidate, stream);
    if (ms.ok()) by_time.emplace(*ms, candidate);  // Else refused for this shape after all.
  }
  const int64_t step = StepOf(call.layer);
  const int64_t middle = std::max((fewest_rows + call.rows) / 2 / step * step, fewest_rows);
  for (const auto& [ms, candidate] : by_time) {
    bool gives = true;
    for (const int64_t rows : {call.rows, fewest_rows, middle}) {
      if (!gives) break;
      HMAR_ASSIGN_OR_RETURN(gives, Gives(wanted, call.With(rows), candidate, stream));
    }
    if (gives) return candidate;
  }
  return std::nullopt;
}

// Kernels for every class of rows that give what `reference` does; none if a class has none.
absl::StatusOr<Gemm::KernelByRows> Gemm::TuneTo(const Kernel& reference,
                                                absl::Span<const LinearWeights> layers,
                                                const Call& largest, const Wanted& wanted,
                                                cudaStream_t stream) const {
  HMAR_RETURN_IF_ERROR(Launch(largest.To(wanted.out), reference, stream));
  KernelByRows kernels;
  const int64_t step = StepOf(largest.layer);
  int64_t fewest_rows = step;
  for (const int64_t rows : RowClasses(max_rows_)) {
    std::vector<Call> calls;
    for (const LinearWeights& layer : layers) {
      calls.emplace_back(layer, largest.epilogue, largest.fp32_out, largest.x, rows, largest.out);
    }
    HMAR_ASSIGN_OR_RETURN(const std::optional<Kernel> fastest,
                          Fastest(calls, fewest_rows, reference, wanted, stream));
    if (!fastest.has_value()) return KernelByRows();
    kernels.emplace(rows, *fastest);
    fewest_rows = rows + step;
  }
  return kernels;
}

absl::Status Gemm::TuneAny(absl::Span<const LinearWeights> layers, Epilogue epilogue, bool fp32_out,
                           const GemmInput& x, void* out, cudaStream_t stream) {
  const LinearWeights& layer = layers.front();
  KernelByRows& chosen = kernels_[{layer.N, layer.K, epilogue, fp32_out, layer.fp8()}];
  if (!chosen.empty()) return absl::OkStatus();
  const Call largest(layer, epilogue, fp32_out, x, max_rows_, out);
  HMAR_ASSIGN_OR_RETURN(const ScratchMemory wanted_out, ScratchMemory::Take(largest.out_bytes()));
  HMAR_ASSIGN_OR_RETURN(const ScratchMemory differ, ScratchMemory::Take(sizeof(int32_t)));
  const Wanted wanted = {wanted_out.as<void>(), differ.as<int32_t>()};
  HMAR_ASSIGN_OR_RETURN(const std::vector<Kernel> references, References(largest));
  for (const Kernel& reference : references) {
    HMAR_ASSIGN_OR_RETURN(chosen, TuneTo(reference, layers, largest, wanted, stream));
    if (!chosen.empty()) return absl::OkStatus();
  }
  return absl::InternalError(absl::StrCat("no kernel of a layer of ", layer.K, " to ", layer.N,
                                          " gives the same bits for every number of rows"));
}

// A block of them over and over.
absl::Status FillRandom(__nv_bfloat16* x, int64_t count, cudaStream_t stream) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<__nv_bfloat16> block(std::min(count, kRandomBlock));
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
