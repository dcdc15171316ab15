#ifndef HMAR_MODEL_CUDA_GEMM_H_
#define HMAR_MODEL_CUDA_GEMM_H_

// Matrix products whose rows do not depend on how many rows there are: by our own kernel
// (kernels/linear.h) and cuBLASLt's.
//
// cuBLASLt picks a kernel by shape, and kernels may sum in different orders; ours have many
// tilings, of which another is fastest for each number of rows. So each weight shape gets its
// kernels at load, for some twenty classes of numbers of rows: all that give bit for bit what one
// reference kernel gives, in every row of the class's largest, smallest and a middle number, may
// compete.

#include <cublasLt.h>
#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <tuple>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/fp8_rows.h"
#include "kernels/linear.h"
#include "model/cuda/device_memory.h"
#include "model/cuda/row_buffer.h"

namespace hmar {

enum class Epilogue {
  kBias,      // out = x W^T + b
  kBiasGelu,  // out = gelu(x W^T + b), tanh approximation
};

// A linear layer on the device: weight (N, K), row-major, and a bias (N) of the output's type.
struct LinearWeights {
  const void* weight_NK = nullptr;  // bf16; e4m3 where there are scales.
  const void* bias_N = nullptr;     // bf16; fp32 where the output is fp32.
  int64_t N = 0;
  int64_t K = 0;
  const float* scale_N = nullptr;  // Of the channels of an e4m3 weight; null: bf16.

  bool fp8() const { return scale_N != nullptr; }
};

// The rows that a layer is applied to, (rows, K): in the type of its weight.
struct GemmInput {
  GemmInput(const __nv_bfloat16* bf16_rows) : data(bf16_rows) {}  // NOLINT: meant to convert.
  GemmInput(const kernels::Fp8Rows& rows) : data(rows.rows_TC), scale_T(rows.scale_T) {}  // NOLINT

  const void* data;
  const float* scale_T = nullptr;  // Of fp8 rows.
};

// Not thread-safe: one stream uses it at a time.
class Gemm {
 public:
  // `max_rows`: the most rows of any call.
  static absl::StatusOr<std::unique_ptr<Gemm>> Create(int64_t max_rows, DeviceMemory* memory);
  ~Gemm();

  // Chooses the kernels of a weight shape; call once for each combination that Run will see.
  // `layers`: all of that shape, to be timed in turn as a forward uses them, so that their weights
  // come from memory; x: max_rows random rows; out: room for as many, 16-byte aligned. Takes as
  // much memory once more for the time it runs. Waits for the device. `Out` is __nv_bfloat16 or
  // float. FAILED_PRECONDITION: no kernel takes the shape. INTERNAL: kernels take it, but none
  // gives the same bits for every number of rows.
  template <typename Out>
  absl::Status Tune(absl::Span<const LinearWeights> layers, Epilogue epilogue, const GemmInput& x,
                    Out* out, cudaStream_t stream) {
    return TuneAny(layers, epilogue, sizeof(Out) == sizeof(float), x, out, stream);
  }

  // out (rows, N) = epilogue(x (rows, K)), asynchronously. An fp8 layer works on rows in groups of
  // kRowGroup: it reads and writes up to the end of the last group, where contents mean nothing.
  // REQUIRES: Tune was called for the layer's shape; 0 <= rows <= max_rows.
  template <typename Out>
  absl::Status Run(const LinearWeights& layer, Epilogue epilogue, const GemmInput& x, int64_t rows,
                   Out* out, cudaStream_t stream) {
    return RunAny(layer, epilogue, sizeof(Out) == sizeof(float), x, rows, out, stream);
  }

  // out (rows, N) = x (rows, K) W (N, K)^T in fp32, for loading: by whatever kernel cuBLASLt likes
  // best.
  absl::Status RunFp32(const float* x, int64_t rows, const float* weight_NK, int64_t N, int64_t K,
                       float* out, cudaStream_t stream);

 private:
  // N, K, epilogue, fp32 output, fp8 input.
  using Shape = std::tuple<int64_t, int64_t, Epilogue, bool, bool>;
  using Kernel = std::variant<kernels::LinearTiling, cublasLtMatmulAlgo_t>;  // Ours or theirs.
  using KernelByRows = std::map<int64_t, Kernel>;  // By the most rows it is for.

  struct Call;
  struct Wanted;
  Gemm(int64_t max_rows, cublasLtHandle_t handle, void* workspace);
  absl::Status RunAny(const LinearWeights& layer, Epilogue epilogue, bool fp32_out,
                      const GemmInput& x, int64_t rows, void* out, cudaStream_t stream);
  absl::Status TuneAny(absl::Span<const LinearWeights> layers, Epilogue epilogue, bool fp32_out,
                       const GemmInput& x, void* out, cudaStream_t stream);
  absl::Status Launch(const Call& call, const Kernel& kernel, cudaStream_t stream) const;
  absl::Status LaunchOwn(const Call& call, const kernels::LinearTiling& tiling,
                         cudaStream_t stream) const;
  absl::StatusOr<std::vector<Kernel>> References(const Call& largest) const;
  absl::StatusOr<std::vector<Kernel>> Candidates(const Call& call, const Kernel& reference) const;
  absl::StatusOr<KernelByRows> TuneTo(const Kernel& reference,
                                      absl::Span<const LinearWeights> layers, const Call& largest,
                                      const Wanted& wanted, cudaStream_t stream) const;
  absl::StatusOr<std::optional<Kernel>> Fastest(absl::Span<const Call> calls, int64_t fewest_rows,
                                                const Kernel& reference, const Wanted& wanted,
                                                cudaStream_t stream) const;
  absl::StatusOr<std::vector<Kernel>> Proposals(const Call& call) const;
  absl::StatusOr<bool> Gives(const Wanted& wanted, const Call& call, const Kernel& kernel,
                             cudaStream_t stream) const;
  absl::StatusOr<float> Time(absl::Span<const Call> calls, const Kernel& kernel,
                             cudaStream_t stream) const;

  const int64_t max_rows_;
  cublasLtHandle_t handle_;
  void* workspace_;
  std::map<Shape, KernelByRows> kernels_;
};

// Normal numbers, for Tune. Waits for the device.
absl::Status FillRandom(__nv_bfloat16* x, int64_t count, cudaStream_t stream);

}  // namespace hmar

#endif  // HMAR_MODEL_CUDA_GEMM_H_
