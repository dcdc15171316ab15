#ifndef HMAR_TESTS_BENCH_BENCH_ENGINE_H_
#define HMAR_TESTS_BENCH_BENCH_ENGINE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "model/engine.h"

namespace hmar {

struct BenchEngineOptions {
  std::string model = "deploy/models/hmar-cifar10";
  std::string device = "cpu";      // "cpu" or "cuda:N"
  std::string precision = "bf16";  // Of a GPU: "bf16" or "fp8".
  uint32_t max_images = 64;
  uint32_t max_step_rows = 20480;  // GPU.
  int threads = 0;                 // CPU.
  bool graphs = true;              // GPU.
};

// The engine to measure. UNIMPLEMENTED for a GPU where the build has no CUDA engine.
absl::StatusOr<std::unique_ptr<Engine>> MakeBenchEngine(const BenchEngineOptions& options);

// Runs `work`, which returns the floating-point operations of its linear layers, and prints the
// share of each kernel in the device's time and what linear layers made of theirs. Kernels that
// started early count the time they waited, too. Nothing without CUDA.
void PrintKernelShares(const std::function<double()>& work);

}  // namespace hmar

#endif  // HMAR_TESTS_BENCH_BENCH_ENGINE_H_
