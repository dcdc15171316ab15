// For builds with CUDA.

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/match.h"
#include "model/cpu_engine.h"
#include "model/cuda_engine.h"
#include "model/status_macros.h"
#include "tests/bench/bench_engine.h"
#include "tests/bench/kernel_profile.h"

namespace hmar {

absl::StatusOr<std::unique_ptr<Engine>> MakeBenchEngine(const BenchEngineOptions& options) {
  HMAR_ASSIGN_OR_RETURN(ModelFolder folder, OpenModelFolder(options.model));
  if (options.device == "cpu") {
    CpuEngineOptions cpu;
    cpu.max_images = options.max_images;
    cpu.threads = options.threads;
    return MakeCpuEngine(std::move(folder), cpu);
  }
  if (!absl::StartsWith(options.device, "cuda:")) {
    return absl::InvalidArgumentError("--device is cpu or cuda:N");
  }
  CudaEngineOptions cuda;
  cuda.device = std::atoi(options.device.c_str() + 5);
  cuda.max_images = options.max_images;
  cuda.max_step_rows = options.max_step_rows;
  cuda.precision = options.precision == "fp8" ? Precision::kFp8 : Precision::kBf16;
  cuda.graphs = options.graphs;
  return MakeCudaEngine(std::move(folder), cuda);
}

namespace {

// By its name: ours or cuBLASLt's. The products of the decoder's attention are among these, too,
// with some thousandth of the operations.
bool IsLinearLayer(const KernelShare& kernel) {
  for (const char* part : {"Linear", "nvjet", "gemm", "cutlass"}) {
    if (absl::StrContains(kernel.name, part)) return true;
  }
  return false;
}

}  // namespace

void PrintKernelShares(const std::function<double()>& work) {
  StartKernelProfile();
  const double flop = work();
  const std::vector<KernelShare> shares = StopKernelProfile();
  double total = 0, linear = 0;
  for (const KernelShare& share : shares) {
    total += share.seconds;
    if (IsLinearLayer(share)) linear += share.seconds;
  }
  for (const KernelShare& share : shares) {
    if (share.seconds < 0.002 * total) break;
    std::printf("%5.1f %%  %9.1f ms  %8lu launches  %8.1f us each  %s\n",
                100 * share.seconds / total, 1e3 * share.seconds,
                static_cast<unsigned long>(share.launches),
                1e6 * share.seconds / static_cast<double>(share.launches), share.name.c_str());
  }
  std::printf("kernels %.1f ms\n", 1e3 * total);
  if (linear > 0) {
    std::printf("linear layers %.1f ms = %.1f %%, %.1f TFLOP, %.0f TFLOP/s\n", 1e3 * linear,
                100 * linear / total, 1e-12 * flop, 1e-12 * flop / linear);
  }
}

}  // namespace hmar
